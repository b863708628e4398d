/* board.c: see board.h. */
#include "cli/board.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

static const double REDRAW = 0.1;
enum { CELLS = 20 }; /* of a bar */

void gp_board_init(gp_board *b)
{
    *b = (gp_board){.next = gp_now() + REDRAW};
    pthread_mutex_init(&b->lock, NULL);
}

/* Takes the lines off the terminal: to the first one's start, and all below is cleared. */
static void erase(gp_board *b, gp_buf *out)
{
    if (b->drawn > 1)
        gp_buf_printf(out, "\033[%dA", b->drawn - 1);
    if (b->drawn)
        gp_buf_puts(out, "\r\033[J");
    b->drawn = 0;
}

static void show(const gp_buf *out)
{
    if (out->len)
        fwrite(out->data, 1, out->len, stderr);
    fflush(stderr);
}

/* What is too long for the terminal loses the beginning of its label: numbers change, and its end tells files apart. */
static void shorten(gp_buf *line, const char *label, size_t columns)
{
    if (line->len <= columns)
        return;
    size_t cut = line->len - columns + 3, n = strlen(label);
    while (cut < n && (label[cut] & 0xc0) == 0x80) /* not within a character of UTF-8 */
        cut++;
    if (cut >= n)
        return;
    memmove(line->data + 3, line->data + cut, line->len - cut + 1);
    memcpy(line->data, "...", 3);
    line->len -= cut - 3;
}

/* A bar at the end of the line, where there is room for it. */
static void add_bar(gp_buf *line, const gp_progress *p, size_t columns)
{
    if (p->total <= 0 || line->len + CELLS + 3 > columns)
        return;
    int full = (int)(fmin(fmax((double)p->done / (double)p->total, 0), 1) * CELLS);
    gp_buf_printf(line, "%*s[", (int)(columns - CELLS - 2 - line->len), "");
    for (int i = 0; i < CELLS; i++)
        gp_buf_puts(line, i < full ? "#" : ".");
    gp_buf_puts(line, "]");
}

static void draw(gp_board *b, gp_buf *out, double now)
{
    int columns, rows;
    gp_progress_window(&columns, &rows);
    erase(b, out);
    for (int i = 0; i < b->count && b->drawn < rows - 1; i++) {
        gp_buf plain = {0}, line = {0};
        gp_progress_line(&plain, b->jobs[i], now, NULL);
        shorten(&plain, b->jobs[i]->label, (size_t)columns - 1);
        gp_buf_show(&line, plain.data, plain.len);
        gp_buf_release(&plain);
        add_bar(&line, b->jobs[i], (size_t)columns - 1);
        gp_buf_printf(out, "%s%.*s", b->drawn ? "\n" : "", columns - 1, line.data);
        gp_buf_release(&line);
        b->drawn++;
    }
}

static void update(gp_board *b, bool at_once)
{
    double now = gp_now();
    if (!at_once && now < b->next)
        return;
    gp_buf out = {0};
    draw(b, &out, now);
    show(&out);
    gp_buf_release(&out);
    b->next = now + REDRAW;
}

void gp_board_release(gp_board *b)
{
    gp_board_pause(b);
    pthread_mutex_unlock(&b->lock);
    pthread_mutex_destroy(&b->lock);
}

void gp_board_join(gp_board *b, gp_progress *p)
{
    pthread_mutex_lock(&b->lock);
    if (b->count < GP_BOARD_MOST && p->terminal && !p->quiet)
        b->jobs[b->count++] = p;
    pthread_mutex_unlock(&b->lock);
}

void gp_board_leave(gp_board *b, gp_progress *p)
{
    pthread_mutex_lock(&b->lock);
    for (int i = 0; i < b->count; i++)
        if (b->jobs[i] == p) {
            for (b->count--; i < b->count; i++)
                b->jobs[i] = b->jobs[i + 1];
            if (b->drawn)
                update(b, true);
        }
    pthread_mutex_unlock(&b->lock);
}

void gp_board_set(gp_board *b, gp_progress *p, int64_t done)
{
    pthread_mutex_lock(&b->lock);
    gp_progress_note(p, done, gp_now());
    update(b, false);
    pthread_mutex_unlock(&b->lock);
}

void gp_board_pause(gp_board *b)
{
    gp_buf out = {0};
    pthread_mutex_lock(&b->lock);
    erase(b, &out);
    show(&out);
    gp_buf_release(&out);
}

void gp_board_resume(gp_board *b)
{
    b->next = gp_now(); /* the next of them to get on draws all again */
    pthread_mutex_unlock(&b->lock);
}

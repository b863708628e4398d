/* progress.c: see progress.h. */
#include "cli/board.h"
#include "gptpipe/output.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const double REDRAW = 0.1, LINE = 10;

bool gp_progress_draws(void)
{
    const char *term = getenv("TERM");
    return isatty(STDERR_FILENO) && !(term && !strcmp(term, "dumb"));
}

char *gp_format_bytes(char *text, int64_t bytes)
{
    static const char *const units[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
    double x = (double)bytes / 1000;
    size_t u = 0;
    if (bytes < 1000) {
        snprintf(text, 16, "%d B", (int)bytes);
        return text;
    }
    while (x >= 999.5 && u + 1 < ARRAY_LEN(units)) {
        x /= 1000;
        u++;
    }
    snprintf(text, 16, "%.*f %s", x < 9.95 ? 1 : 0, x, units[u]);
    return text;
}

char *gp_format_seconds(char *text, double seconds)
{
    int64_t s = seconds > 0 && seconds < 1e9 ? (int64_t)(seconds + 0.5) : 0;
    if (s < 60)
        snprintf(text, 24, "%d s", (int)s);
    else if (s < 3600)
        snprintf(text, 24, "%d min %d s", (int)(s / 60), (int)(s % 60));
    else
        snprintf(text, 24, "%d h %d min", (int)(s / 3600), (int)(s / 60 % 60));
    return text;
}

void gp_progress_begin(gp_progress *p, const char *label, const char *unit, int64_t start, int64_t total, bool quiet)
{
    double now = gp_now();
    *p = (gp_progress){
        .label = label, .unit = unit, .done = start, .start = start, .total = total, .began = now, .quiet = quiet};
    p->terminal = gp_progress_draws();
    p->next = now + (p->terminal ? REDRAW : LINE); /* a job shorter than that shows nothing */
}

void gp_progress_join(gp_progress *p, struct gp_board *board)
{
    p->board = board;
    if (board)
        gp_board_join(board, p);
}

void gp_progress_window(int *columns, int *rows)
{
    struct winsize w;
    bool known = !ioctl(STDERR_FILENO, TIOCGWINSZ, &w);
    *columns = known && w.ws_col > 20 ? w.ws_col : 80;
    *rows = known && w.ws_row > 1 ? w.ws_row : 24;
}

static bool counts_bytes(const gp_progress *p)
{
    return !strcmp(p->unit, GP_PROGRESS_BYTES);
}

static void add_amount(gp_buf *line, const gp_progress *p, int64_t n)
{
    char text[16];
    if (counts_bytes(p))
        gp_buf_puts(line, gp_format_bytes(text, n));
    else
        gp_buf_printf(line, "%lld", (long long)n);
}

static void add_rate(gp_buf *line, const gp_progress *p, double rate)
{
    char text[16];
    if (counts_bytes(p))
        gp_buf_printf(line, ", %s/s", gp_format_bytes(text, rate < 9e18 ? (int64_t)rate : INT64_MAX));
    else
        gp_buf_printf(line, ", %.*f %ss/s", rate < 10 ? 2 : 0, rate, p->unit);
}

/* "data.txt: 412 kB of 1.1 MB (37%), 98 kB/s, 7 s left, NOTE" or "train: step 30 of 500 (6%), ..." */
void gp_progress_line(gp_buf *line, const gp_progress *p, double now, const char *note)
{
    char text[24];
    int64_t done = p->done;
    double elapsed = now - p->began, rate = elapsed > 0 ? (double)(done - p->start) / elapsed : 0;
    gp_buf_printf(line, "%s: %s%s", p->label, counts_bytes(p) ? "" : p->unit, counts_bytes(p) ? "" : " ");
    add_amount(line, p, done);
    if (p->total > 0) {
        gp_buf_puts(line, " of ");
        add_amount(line, p, p->total);
        gp_buf_printf(line, " (%d%%)", (int)(100.0 * (double)done / (double)p->total));
    }
    if (rate > 0)
        add_rate(line, p, rate);
    if (rate > 0 && done < p->total)
        gp_buf_printf(line, ", %s left", gp_format_seconds(text, (double)(p->total - done) / rate));
    if (note)
        gp_buf_printf(line, ", %s", note);
}

void gp_progress_expect(gp_progress *p, int64_t total)
{
    if (p->board)
        pthread_mutex_lock(&p->board->lock);
    p->total = total;
    if (p->board)
        pthread_mutex_unlock(&p->board->lock);
}

void gp_progress_note(gp_progress *p, int64_t done, double now)
{
    p->done = done;
    if (done < p->start) {
        p->start = done;
        p->began = now;
    }
}

/* Labels and notes come from catalogs and servers. */
static void add_shown_line(gp_buf *line, const gp_progress *p, double now, const char *note)
{
    gp_buf plain = {0};
    gp_progress_line(&plain, p, now, note);
    gp_buf_show(line, plain.data, plain.len);
    gp_buf_release(&plain);
}

void gp_progress_set(gp_progress *p, int64_t done, const char *note)
{
    if (p->quiet)
        return;
    if (p->board && p->terminal) {
        gp_board_set(p->board, p, done);
        return;
    }
    double now = gp_now();
    gp_progress_note(p, done, now);
    if (now < p->next)
        return;
    p->next = now + (p->terminal ? REDRAW : LINE);
    gp_buf line = {0};
    add_shown_line(&line, p, now, note);
    if (p->terminal) {
        int columns, rows;
        gp_progress_window(&columns, &rows);
        int n = (int)gp_min((int64_t)line.len, columns - 1);
        fprintf(stderr, "\r%.*s%*s", n, line.data, p->width > n ? p->width - n : 0, "");
        fflush(stderr);
        p->width = n;
    } else {
        fprintf(stderr, "%s\n", line.data);
    }
    gp_buf_release(&line);
}

void gp_progress_clear(gp_progress *p)
{
    if (p->width)
        fprintf(stderr, "\r%*s\r", p->width, "");
    p->width = 0;
}

void gp_progress_end(gp_progress *p)
{
    gp_progress_clear(p);
    if (p->board)
        gp_board_leave(p->board, p);
    p->quiet = true;
}

void gp_progress_say(gp_progress *p, const char *fmt, ...)
{
    va_list ap;
    char line[1024];
    if (p->quiet)
        return;
    gp_progress_clear(p);
    if (p->board)
        gp_board_pause(p->board);
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    fprintf(stderr, "%s\n", gp_show(line));
    if (p->board)
        gp_board_resume(p->board);
}

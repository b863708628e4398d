/* progress.c: see progress.h. */
#include "cli/progress.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const double REDRAW = 0.1, LINE = 10;
enum { CELLS = 20 }; /* of a bar */

bool gp_terminal_can_redraw(void)
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

void gp_terminal_size(int *columns, int *rows)
{
    struct winsize w;
    bool known = !ioctl(STDERR_FILENO, TIOCGWINSZ, &w);
    *columns = known && w.ws_col > 20 ? w.ws_col : 80;
    *rows = known && w.ws_row > 1 ? w.ws_row : 24;
}

void gp_live_line_draw(int *width, const char *line)
{
    int columns, rows;
    gp_terminal_size(&columns, &rows);
    int n = (int)gp_min((int64_t)strlen(line), columns - 1); /* a full row would wrap */
    fprintf(stderr, "\r%.*s%*s", n, line, *width > n ? *width - n : 0, "");
    fflush(stderr);
    *width = n;
}

void gp_live_line_clear(int *width)
{
    if (*width)
        fprintf(stderr, "\r%*s\r", *width, "");
    *width = 0;
}

/* ---- one job --------------------------------------------------------------------------------------------- */

void gp_progress_begin(gp_progress *p, const char *label, const char *unit, int64_t start, int64_t total, bool quiet)
{
    double now = gp_now();
    *p = (gp_progress){
        .label = label, .unit = unit, .done = start, .start = start, .total = total, .began = now, .quiet = quiet};
    p->terminal = gp_terminal_can_redraw();
    p->next = now + (p->terminal ? REDRAW : LINE); /* a shorter job prints nothing */
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
static void add_line(gp_buf *line, const gp_progress *p, double now, const char *note)
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

void gp_progress_set_total(gp_progress *p, int64_t total)
{
    if (p->group)
        pthread_mutex_lock(&p->group->lock);
    p->total = total;
    if (p->group)
        pthread_mutex_unlock(&p->group->lock);
}

static void advance(gp_progress *p, int64_t done, double now)
{
    p->done = done;
    if (done < p->start) {
        p->start = done;
        p->began = now;
    }
}

/* ---- several jobs ------------------------------------------------------------------------------------------ */

void gp_progress_group_init(gp_progress_group *g)
{
    *g = (gp_progress_group){.next = gp_now() + REDRAW};
    pthread_mutex_init(&g->lock, NULL);
}

/* Moves the cursor to the start of the first line and clears everything below. */
static void erase(gp_progress_group *g, gp_buf *out)
{
    if (g->drawn > 1)
        gp_buf_printf(out, "\033[%dA", g->drawn - 1);
    if (g->drawn)
        gp_buf_puts(out, "\r\033[J");
    g->drawn = 0;
}

static void show(const gp_buf *out)
{
    if (out->len)
        fwrite(out->data, 1, out->len, stderr);
    fflush(stderr);
}

/* Truncates a line that is too long at the beginning of its label: the numbers matter, and the end of a path
 * distinguishes files. */
static void shorten(gp_buf *line, const char *label, size_t columns)
{
    if (line->len <= columns)
        return;
    size_t cut = line->len - columns + 3, n = strlen(label);
    while (cut < n && (label[cut] & 0xc0) == 0x80) /* not inside a UTF-8 character */
        cut++;
    if (cut >= n)
        return;
    memmove(line->data + 3, line->data + cut, line->len - cut + 1);
    memcpy(line->data, "...", 3);
    line->len -= cut - 3;
}

/* Appends a bar, if it fits. */
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

static void draw(gp_progress_group *g, gp_buf *out, double now)
{
    int columns, rows;
    gp_terminal_size(&columns, &rows);
    erase(g, out);
    for (int i = 0; i < g->count && g->drawn < rows - 1; i++) {
        gp_buf plain = {0}, line = {0};
        add_line(&plain, g->jobs[i], now, NULL);
        shorten(&plain, g->jobs[i]->label, (size_t)columns - 1);
        gp_buf_printable(&line, plain.data, plain.len);
        gp_buf_release(&plain);
        add_bar(&line, g->jobs[i], (size_t)columns - 1);
        gp_buf_printf(out, "%s%.*s", g->drawn ? "\n" : "", columns - 1, line.data);
        gp_buf_release(&line);
        g->drawn++;
    }
}

static void update(gp_progress_group *g, bool at_once)
{
    double now = gp_now();
    if (!at_once && now < g->next)
        return;
    gp_buf out = {0};
    draw(g, &out, now);
    show(&out);
    gp_buf_release(&out);
    g->next = now + REDRAW;
}

void gp_progress_group_release(gp_progress_group *g)
{
    gp_progress_group_pause(g);
    pthread_mutex_unlock(&g->lock);
    pthread_mutex_destroy(&g->lock);
}

void gp_progress_join(gp_progress *p, gp_progress_group *g)
{
    p->group = g;
    if (!g)
        return;
    pthread_mutex_lock(&g->lock);
    if (g->count < GP_PROGRESS_GROUP_MAX && p->terminal && !p->quiet)
        g->jobs[g->count++] = p;
    pthread_mutex_unlock(&g->lock);
}

static void leave(gp_progress_group *g, gp_progress *p)
{
    pthread_mutex_lock(&g->lock);
    for (int i = 0; i < g->count; i++)
        if (g->jobs[i] == p) {
            for (g->count--; i < g->count; i++)
                g->jobs[i] = g->jobs[i + 1];
            if (g->drawn)
                update(g, true);
        }
    pthread_mutex_unlock(&g->lock);
}

static void set_in_group(gp_progress_group *g, gp_progress *p, int64_t done)
{
    pthread_mutex_lock(&g->lock);
    advance(p, done, gp_now());
    update(g, false);
    pthread_mutex_unlock(&g->lock);
}

void gp_progress_group_pause(gp_progress_group *g)
{
    gp_buf out = {0};
    pthread_mutex_lock(&g->lock);
    erase(g, &out);
    show(&out);
    gp_buf_release(&out);
}

void gp_progress_group_resume(gp_progress_group *g)
{
    g->next = gp_now(); /* the next gp_progress_set redraws */
    pthread_mutex_unlock(&g->lock);
}

/* ---- updates ---------------------------------------------------------------------------------------------- */

void gp_progress_set(gp_progress *p, int64_t done, const char *note)
{
    if (p->quiet)
        return;
    if (p->group && p->terminal) {
        set_in_group(p->group, p, done);
        return;
    }
    double now = gp_now();
    advance(p, done, now);
    if (now < p->next)
        return;
    p->next = now + (p->terminal ? REDRAW : LINE);
    gp_buf plain = {0}, line = {0};
    add_line(&plain, p, now, note);
    gp_buf_printable(&line, plain.data, plain.len); /* labels and notes may come from catalogs and servers */
    if (p->terminal)
        gp_live_line_draw(&p->width, line.data);
    else
        fprintf(stderr, "%s\n", line.data);
    gp_buf_release(&plain);
    gp_buf_release(&line);
}

void gp_progress_clear(gp_progress *p)
{
    gp_live_line_clear(&p->width);
}

void gp_progress_end(gp_progress *p)
{
    gp_progress_clear(p);
    if (p->group)
        leave(p->group, p);
    p->quiet = true;
}

void gp_progress_print(gp_progress *p, const char *fmt, ...)
{
    va_list ap;
    char line[1024];
    if (p->quiet)
        return;
    gp_progress_clear(p);
    if (p->group)
        gp_progress_group_pause(p->group);
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    fprintf(stderr, "%s\n", gp_printable(line));
    if (p->group)
        gp_progress_group_resume(p->group);
}

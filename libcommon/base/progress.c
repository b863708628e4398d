/* progress.c: see progress.h. */
#include "base/progress.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const double REDRAW = 0.1, LINE = 10;

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

void gp_progress_begin(gp_progress *p, const char *label, const char *unit, int64_t start, int64_t total,
                       bool quiet)
{
    double now = gp_now();
    *p = (gp_progress){
        .label = label, .unit = unit, .start = start, .total = total, .began = now, .quiet = quiet};
    p->terminal = isatty(STDERR_FILENO);
    p->next = now + (p->terminal ? REDRAW : LINE); /* a job shorter than that shows nothing */
}

static int columns(void)
{
    struct winsize w;
    return !ioctl(STDERR_FILENO, TIOCGWINSZ, &w) && w.ws_col > 20 ? w.ws_col : 80;
}

/* "412 kB", "step 300" */
static void format_count(char *text, size_t size, const char *unit, int64_t n)
{
    char bytes[16];
    if (!strcmp(unit, GP_PROGRESS_BYTES))
        snprintf(text, size, "%s", gp_format_bytes(bytes, n));
    else
        snprintf(text, size, "%s %lld", unit, (long long)n);
}

static void format_rate(char *text, size_t size, const char *unit, double rate)
{
    char bytes[16];
    if (!strcmp(unit, GP_PROGRESS_BYTES))
        snprintf(text, size, "%s/s", gp_format_bytes(bytes, rate < 9e18 ? (int64_t)rate : 0));
    else
        snprintf(text, size, rate < 10 ? "%.2f %ss/s" : "%.0f %ss/s", rate, unit);
}

static void format_line(char *line, size_t size, const gp_progress *p, int64_t done, double now,
                        const char *note)
{
    char count[40], total[40] = "", rate[40] = "", left[48] = "", span[24];
    double elapsed = now - p->began, speed = elapsed > 0 ? (double)(done - p->start) / elapsed : 0;
    format_count(count, sizeof count, p->unit, done);
    if (p->total > 0) {
        bool bytes = !strcmp(p->unit, GP_PROGRESS_BYTES);
        snprintf(total, sizeof total, " of %s (%d%%)",
                 bytes ? gp_format_bytes(span, p->total)
                       : (snprintf(span, sizeof span, "%lld", (long long)p->total), span),
                 (int)(100.0 * (double)done / (double)p->total));
        if (speed > 0 && done < p->total)
            snprintf(left, sizeof left, ", %s left",
                     gp_format_seconds(span, (double)(p->total - done) / speed));
    }
    if (speed > 0)
        format_rate(rate, sizeof rate, p->unit, speed);
    snprintf(line, size, "%s: %s%s%s%s%s%s%s", p->label, count, total, *rate ? ", " : "", rate, left,
             note ? ", " : "", note ? note : "");
}

void gp_progress_set(gp_progress *p, int64_t done, const char *note)
{
    if (p->quiet)
        return;
    double now = gp_now();
    if (now < p->next)
        return;
    p->next = now + (p->terminal ? REDRAW : LINE);
    char line[256];
    format_line(line, sizeof line, p, done, now, note);
    if (!p->terminal) {
        fprintf(stderr, "%s\n", line);
        return;
    }
    int most = columns() - 1, n = (int)strlen(line);
    if (n > most)
        line[n = most] = 0;
    fprintf(stderr, "\r%s%*s", line, p->width > n ? p->width - n : 0, "");
    fflush(stderr);
    p->width = n;
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
    p->quiet = true;
}

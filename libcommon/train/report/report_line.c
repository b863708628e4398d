/* report_line.c: the line about the newest step. */
#include "cli/progress.h"
#include "gptpipe/output.h"
#include "train/report/report.h"

#include <math.h>
#include <string.h>

static const double REDRAW = 0.1;

/* A part of the line. Where it is too long, the segments of the highest rank are left out first, those of rank 0 never.
 * */
typedef struct segment {
    int rank;
    char text[48];
} segment;

enum { SEGMENTS = 9 };

static void format_time(char *text, size_t size, double seconds)
{
    long s = seconds < 1e9 ? (long)(seconds + 0.5) : 0;
    if (s >= 3600)
        snprintf(text, size, "%ld:%02ld:%02ld left", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(text, size, "%ld:%02ld left", s / 60, s % 60);
}

static double seconds_left(const gp_report *r)
{
    double seconds = (double)(r->o->steps - r->shown.step) * (double)r->tokens_a_step / r->tok_s;
    if (r->o->max_time > 0)
        seconds = fmin(seconds, fmax(0, r->o->max_time - (gp_now() - r->began)));
    return seconds;
}

/* MFU against a measured peak: more than 100% shows that the peak is too low, and trials that differ much that other
 * processes used the machine. */
static const char *format_mfu(char *text, size_t size, const gp_report *r)
{
    double mfu = 100 * gp_report_mfu(r, r->tok_s);
    if (mfu > 100)
        snprintf(text, size, "MFU %.0f%% of a peak measured too low", mfu);
    else if (r->lowest_peak > 0 && r->lowest_peak < 0.7 * r->peak)
        snprintf(text, size, "MFU about %.0f%%, machine shared", mfu);
    else
        snprintf(text, size, "MFU %.1f%%", mfu);
    return text;
}

static void make_segments(const gp_report *r, segment segments[SEGMENTS])
{
    const gp_step_report *s = &r->shown;
    char memory[16], mfu[48];
    memset(segments, 0, SEGMENTS * sizeof *segments);
#define PUT(i, at, ...) (segments[i].rank = (at), snprintf(segments[i].text, sizeof segments->text, __VA_ARGS__))
    PUT(0, 0, "step %lld/%lld", (long long)s->step, (long long)r->o->steps);
    if (r->unigram_entropy > 0)
        PUT(1, 0, "loss %.4f of unigram %.4f", s->loss, r->unigram_entropy);
    else
        PUT(1, 0, "loss %.4f", s->loss);
    if (isfinite(r->val_loss) && r->val_step == s->step)
        PUT(2, 1, "val %.4f", r->val_loss);
    else if (isfinite(r->val_loss) && r->live) /* on a pipe it had a line of its own */
        PUT(2, 1, "val %.4f at %lld", r->val_loss, (long long)r->val_step);
    PUT(3, 4, "lr %.2e", s->lr);
    PUT(4, 5, "norm %.2f", s->grad_norm);
    PUT(5, 3, "%.0f tok/s", r->tok_s);
    PUT(6, 6, "%s", format_mfu(mfu, sizeof mfu, r));
    PUT(7, 7, "%s", gp_format_bytes(memory, r->memory));
#undef PUT
    segments[8].rank = 2;
    format_time(segments[8].text, sizeof segments[8].text, seconds_left(r));
}

static size_t join(char *line, size_t size, const segment segments[SEGMENTS], const char *between, int rank)
{
    size_t n = 0;
    for (int i = 0; i < SEGMENTS; i++)
        if (segments[i].text[0] && segments[i].rank <= rank)
            n += (size_t)snprintf(line + n, size - n, "%s%s", n ? between : "", segments[i].text);
    return n;
}

/* All segments, or as many as fit into `columns`, with single spaces. */
static void fit(char *line, size_t size, const segment segments[SEGMENTS], size_t columns)
{
    size_t n = join(line, size, segments, "  ", SEGMENTS);
    for (int rank = SEGMENTS; n > columns && rank >= 0; rank--)
        n = join(line, size, segments, " ", rank);
    if (n > columns)
        line[columns] = 0;
}

static void draw(gp_report *r)
{
    segment segments[SEGMENTS];
    char line[SEGMENTS * sizeof segments->text + 2 * SEGMENTS];
    int columns, rows;
    gp_terminal_size(&columns, &rows);
    make_segments(r, segments);
    fit(line, sizeof line, segments, (size_t)columns - 1);
    gp_live_line_draw(&r->line_width, line);
}

void gp_report_show(gp_report *r, bool now)
{
    if (r->o->quiet || r->o->dry_run || !r->shown.step)
        return;
    if (r->live && (now || gp_now() >= r->next)) {
        r->next = gp_now() + REDRAW;
        draw(r);
    } else if (!r->live && (now || r->shown.step % r->o->log_every == 0)) {
        segment segments[SEGMENTS];
        char line[SEGMENTS * sizeof segments->text + 2 * SEGMENTS];
        make_segments(r, segments);
        join(line, sizeof line, segments, "  ", SEGMENTS);
        fprintf(stderr, "train: %s\n", gp_printable(line));
        r->printed = r->shown.step;
    }
}

void gp_report_progress(gp_report *r, gp_progress *p, const char *label, const char *unit, int64_t total)
{
    gp_progress_begin(p, label, unit, 0, total, r->o->quiet || r->o->dry_run);
    p->width = r->line_width;
    r->line_width = 0;
}

void gp_report_busy(gp_report *r, const char *what)
{
    if (!r->live || r->o->dry_run)
        return;
    char line[80];
    snprintf(line, sizeof line, "train: %s", what);
    gp_live_line_draw(&r->line_width, line);
}

void gp_report_clear(gp_report *r)
{
    gp_live_line_clear(&r->line_width);
}

void gp_report_settle(gp_report *r)
{
    bool newer = r->shown.step && r->printed != r->shown.step && !r->o->dry_run;
    if (!r->live) {
        if (newer)
            gp_report_show(r, true);
    } else if (newer) {
        draw(r);
        fputc('\n', stderr);
        r->printed = r->shown.step;
        r->line_width = 0;
    }
    gp_report_clear(r);
}

/* report_line.c: what a run tells people of the step that it is at. */
#include "cli/progress.h"
#include "gptpipe/output.h"
#include "train/report/report.h"

#include <math.h>
#include <string.h>

static const double REDRAW = 0.1;

/* A part of the line. Of those above rank 0 the highest is left out first, where there is not room for all. */
typedef struct segment {
    int rank;
    char text[48];
} segment;

enum { PIECES = 9 };

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

/* A share of the peak that was measured: above all of it that was too low, and where its trials came out far apart,
 * others had the machine while they ran. */
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

static void make_pieces(const gp_report *r, segment pieces[PIECES])
{
    const gp_step_report *s = &r->shown;
    char memory[16], mfu[48];
    memset(pieces, 0, PIECES * sizeof *pieces);
#define PUT(i, at, ...) (pieces[i].rank = (at), snprintf(pieces[i].text, sizeof pieces->text, __VA_ARGS__))
    PUT(0, 0, "step %lld/%lld", (long long)s->step, (long long)r->o->steps);
    PUT(1, 0, "loss %.4f", s->loss);
    if (isfinite(r->val_loss) && r->val_step == s->step)
        PUT(2, 1, "val %.4f", r->val_loss);
    else if (isfinite(r->val_loss) && r->live) /* a pipe has had a line for it */
        PUT(2, 1, "val %.4f at %lld", r->val_loss, (long long)r->val_step);
    PUT(3, 4, "lr %.2e", s->lr);
    PUT(4, 5, "norm %.2f", s->grad_norm);
    PUT(5, 3, "%.0f tok/s", r->tok_s);
    PUT(6, 6, "%s", format_mfu(mfu, sizeof mfu, r));
    PUT(7, 7, "%s", gp_format_bytes(memory, r->memory));
#undef PUT
    pieces[8].rank = 2;
    format_time(pieces[8].text, sizeof pieces[8].text, seconds_left(r));
}

static size_t join(char *line, size_t size, const segment pieces[PIECES], const char *between, int rank)
{
    size_t n = 0;
    for (int i = 0; i < PIECES; i++)
        if (pieces[i].text[0] && pieces[i].rank <= rank)
            n += (size_t)snprintf(line + n, size - n, "%s%s", n ? between : "", pieces[i].text);
    return n;
}

/* All of it, or what goes into `columns`, closer together. */
static void fit(char *line, size_t size, const segment pieces[PIECES], size_t columns)
{
    size_t n = join(line, size, pieces, "  ", PIECES);
    for (int rank = PIECES; n > columns && rank >= 0; rank--)
        n = join(line, size, pieces, " ", rank);
    if (n > columns)
        line[columns] = 0;
}

static void draw(gp_report *r)
{
    segment pieces[PIECES];
    char line[PIECES * sizeof pieces->text + 2 * PIECES];
    int columns, rows;
    gp_terminal_size(&columns, &rows);
    make_pieces(r, pieces);
    fit(line, sizeof line, pieces, (size_t)columns - 1);
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
        segment pieces[PIECES];
        char line[PIECES * sizeof pieces->text + 2 * PIECES];
        make_pieces(r, pieces);
        join(line, sizeof line, pieces, "  ", PIECES);
        fprintf(stderr, "train: %s\n", gp_printable(line));
        r->told = r->shown.step;
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
    bool newer = r->shown.step && r->told != r->shown.step && !r->o->dry_run;
    if (!r->live) {
        if (newer)
            gp_report_show(r, true);
    } else if (newer) {
        draw(r);
        fputc('\n', stderr);
        r->told = r->shown.step;
        r->line_width = 0;
    }
    gp_report_clear(r);
}

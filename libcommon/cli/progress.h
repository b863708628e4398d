/* progress.h: how far a long job is, on stderr.
 *
 *     gp_progress p;
 *     gp_progress_begin(&p, "shakespeare.txt", GP_PROGRESS_BYTES, size, quiet);
 *     gp_progress_set(&p, done, NULL);     // as often as you like
 *     gp_progress_end(&p);
 *
 * On a terminal one line is redrawn ten times a second at most; into a pipe or a file a line goes every ten
 * seconds, so a short job says nothing.
 */
#ifndef GP_CLI_PROGRESS_H
#define GP_CLI_PROGRESS_H

#include "base/base.h"

/* Counts are printed as MB with this unit, as they are with any other ("step", "story"). */
#define GP_PROGRESS_BYTES "B"

struct gp_board;

typedef struct gp_progress {
    const char *label, *unit;
    int64_t done;       /* as far as was last set */
    int64_t total;      /* <= 0: not known */
    int64_t start;      /* what was done before the job began: a resumed download, a resumed run */
    double began, next; /* gp_now() at the beginning, and when to print again */
    int width;          /* columns of the line that stands on the terminal */
    bool quiet, terminal;
    struct gp_board *board; /* that it shares with other jobs, or NULL */
} gp_progress;

/* Whether stderr is a terminal on which a line can be drawn over: not where TERM is dumb. */
bool gp_progress_draws(void);

/* label and unit must live until the end. start counts as done but not towards the rate. */
void gp_progress_begin(gp_progress *p, const char *label, const char *unit, int64_t start, int64_t total, bool quiet);

/* Makes it one of several, after its beginning; see board.h. NULL: it stays alone. */
void gp_progress_join(gp_progress *p, struct gp_board *board);

/* The total has become known on the way. */
void gp_progress_expect(gp_progress *p, int64_t total);

/* note: what else the line says ("loss 1.93"), or NULL. A job that falls back behind its start begins anew. */
void gp_progress_set(gp_progress *p, int64_t done, const char *note);

/* Takes the line off the terminal, so that something can be printed; the next set draws it again. */
void gp_progress_clear(gp_progress *p);
void gp_progress_end(gp_progress *p);

/* Prints a line of its own, whole and above all progress; nothing where it is quiet. */
void gp_progress_say(gp_progress *p, const char *fmt, ...) GP_PRINTF(2, 3);

/* For board.c: notes how far it is; the line as text; the terminal's size. */
void gp_progress_note(gp_progress *p, int64_t done, double now);
void gp_progress_line(gp_buf *line, const gp_progress *p, double now, const char *note);
void gp_progress_window(int *columns, int *rows);

/* "1.9 MB", "412 kB", "12 B" into text (of 16 bytes at least). Returns text. */
char *gp_format_bytes(char *text, int64_t bytes);

/* "8 s", "3 min 20 s", "2 h 5 min" into text (of 24 bytes at least). Returns text. */
char *gp_format_seconds(char *text, double seconds);

#endif

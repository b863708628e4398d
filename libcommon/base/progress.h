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
#ifndef GP_PROGRESS_H
#define GP_PROGRESS_H

#include "base/base.h"

/* Counts are printed as MB with this unit, as they are with any other ("step", "story"). */
#define GP_PROGRESS_BYTES "B"

typedef struct gp_progress {
    const char *label, *unit;
    int64_t total;      /* <= 0: not known */
    int64_t start;      /* what was done before the job began: a resumed download, a resumed run */
    double began, next; /* gp_now() at the beginning, and when to print again */
    int width;          /* columns of the line that stands on the terminal */
    bool quiet, terminal;
} gp_progress;

/* label and unit must live until the end. start counts as done but not towards the rate. */
void gp_progress_begin(gp_progress *p, const char *label, const char *unit, int64_t start, int64_t total,
                       bool quiet);

/* note: what else the line says ("loss 1.93"), or NULL. The total may become known on the way: set p->total. */
void gp_progress_set(gp_progress *p, int64_t done, const char *note);

/* Takes the line off the terminal, so that something can be printed; the next set draws it again. */
void gp_progress_clear(gp_progress *p);
void gp_progress_end(gp_progress *p);

/* "1.9 MB", "412 kB", "12 B" into text (of 16 bytes at least). Returns text. */
char *gp_format_bytes(char *text, int64_t bytes);

/* "8 s", "3 min 20 s", "2 h 5 min" into text (of 24 bytes at least). Returns text. */
char *gp_format_seconds(char *text, double seconds);

#endif

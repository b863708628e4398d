/* progress.h: progress of long jobs, on stderr.
 *
 *     gp_progress p;
 *     gp_progress_begin(&p, "shakespeare.txt", GP_PROGRESS_BYTES, 0, size, quiet);
 *     gp_progress_set(&p, done, NULL);     // may be called often
 *     gp_progress_end(&p);
 *
 * On a terminal, one line is redrawn at most ten times a second; to a pipe or a file, a line is written every ten
 * seconds, so a short job prints nothing.
 *
 * Several jobs at once:
 *
 *     gp_progress_group g;
 *     gp_progress_group_init(&g);
 *     ... on each thread:
 *         gp_progress_begin(&p, "a.bin", GP_PROGRESS_BYTES, 0, size, quiet);
 *         gp_progress_join(&p, &g);
 *         gp_progress_set(&p, done, NULL);
 *         gp_progress_end(&p);             // removes its line
 *     gp_progress_group_release(&g);
 *
 * On a terminal, each job has a line, and the lines are redrawn in place. Elsewhere, each job writes lines as it would
 * alone.
 */
#ifndef GP_CLI_PROGRESS_H
#define GP_CLI_PROGRESS_H

#include <pthread.h>

#include "base/base.h"

/* With this unit, counts are printed as bytes ("1.9 MB"); other units are names ("step", "story"). */
#define GP_PROGRESS_BYTES "B"

typedef struct gp_progress {
    const char *label, *unit;
    int64_t done;       /* the last value set */
    int64_t total;      /* <= 0: unknown */
    int64_t start;      /* done before the job began, by a resumed download or run */
    double began, next; /* gp_now() at the beginning, and when to print next */
    int width;          /* columns of the line on the terminal */
    bool quiet, terminal;
    struct gp_progress_group *group; /* or NULL */
} gp_progress;

enum { GP_PROGRESS_GROUP_MAX = 32 };

typedef struct gp_progress_group {
    pthread_mutex_t lock;
    gp_progress *jobs[GP_PROGRESS_GROUP_MAX]; /* in the order in which they began; further jobs are not shown */
    int count;
    int drawn;   /* lines on the terminal; the cursor is at the end of the last */
    double next; /* gp_now() when to draw them next */
} gp_progress_group;

/* Whether stderr is a terminal on which a line can be redrawn, that is, TERM is not dumb. */
bool gp_terminal_can_redraw(void);

/* label and unit must outlive p. start counts as done, but not towards the rate. */
void gp_progress_begin(gp_progress *p, const char *label, const char *unit, int64_t start, int64_t total, bool quiet);

/* Adds a job that has begun to a group, unless g is NULL. */
void gp_progress_join(gp_progress *p, gp_progress_group *g);

/* Sets a total that was not known at the beginning. */
void gp_progress_set_total(gp_progress *p, int64_t total);

/* note: text to append to the line ("loss 1.93"), or NULL. If done is below the start, the rate is measured anew. */
void gp_progress_set(gp_progress *p, int64_t done, const char *note);

/* Removes the line from the terminal, so that something can be printed; gp_progress_set draws it again. */
void gp_progress_clear(gp_progress *p);
void gp_progress_end(gp_progress *p);

/* Prints a line above all progress lines, unless p is quiet. */
void gp_progress_print(gp_progress *p, const char *fmt, ...) GP_PRINTF(2, 3);

void gp_progress_group_init(gp_progress_group *g);
void gp_progress_group_release(gp_progress_group *g);

/* Between the two, this thread may write to stderr, above the lines; other threads' progress waits. */
void gp_progress_group_pause(gp_progress_group *g);
void gp_progress_group_resume(gp_progress_group *g);

/* A line on stderr that is redrawn in place, truncated to the terminal's width. *width: columns of the line that is
 * there, or 0. */
void gp_live_line_draw(int *width, const char *line);
void gp_live_line_clear(int *width);

/* Columns and rows of the terminal on stderr. */
void gp_terminal_size(int *columns, int *rows);

/* Writes "1.9 MB", "412 kB", "12 B" into text (of at least 16 bytes). Returns text. */
char *gp_format_bytes(char *text, int64_t bytes);

/* Writes "8 s", "3 min 20 s", "2 h 5 min" into text (of at least 24 bytes). Returns text. */
char *gp_format_seconds(char *text, double seconds);

#endif

/* progress.h: how far a long job is, on stderr.
 *
 *     gp_progress p;
 *     gp_progress_begin(&p, "shakespeare.txt", GP_PROGRESS_BYTES, size, quiet);
 *     gp_progress_set(&p, done, NULL);     // as often as you like
 *     gp_progress_end(&p);
 *
 * On a terminal one line is redrawn ten times a second at most; into a pipe or a file a line goes every ten
 * seconds, so a short job says nothing.
 *
 * Several jobs at once, each with a line of its own:
 *
 *     gp_progress_group g;
 *     gp_progress_group_init(&g);
 *     ... on each thread:
 *         gp_progress_begin(&p, "a.bin", GP_PROGRESS_BYTES, 0, size, quiet);
 *         gp_progress_join(&p, &g);
 *         gp_progress_set(&p, done, NULL);
 *         gp_progress_end(&p);             // its line goes
 *     gp_progress_group_release(&g);
 *
 * On a terminal the lines stand below one another and are redrawn in place. Elsewhere each job writes lines of its own
 * now and then, as it does alone.
 */
#ifndef GP_CLI_PROGRESS_H
#define GP_CLI_PROGRESS_H

#include <pthread.h>

#include "base/base.h"

/* Counts are printed as MB with this unit, as they are with any other ("step", "story"). */
#define GP_PROGRESS_BYTES "B"

typedef struct gp_progress {
    const char *label, *unit;
    int64_t done;       /* as far as was last set */
    int64_t total;      /* <= 0: not known */
    int64_t start;      /* what was done before the job began: a resumed download, a resumed run */
    double began, next; /* gp_now() at the beginning, and when to print again */
    int width;          /* columns of the line that stands on the terminal */
    bool quiet, terminal;
    struct gp_progress_group *group; /* that it shares with other jobs, or NULL */
} gp_progress;

enum { GP_PROGRESS_GROUP_MAX = 32 };

typedef struct gp_progress_group {
    pthread_mutex_t lock;
    gp_progress *jobs[GP_PROGRESS_GROUP_MAX]; /* in the order in which they began; more than that are not shown */
    int count;
    int drawn;   /* lines that stand on the terminal; the cursor is at the end of the last */
    double next; /* gp_now() when they are drawn again */
} gp_progress_group;

/* Whether stderr is a terminal on which a line can be drawn over: not where TERM is dumb. */
bool gp_progress_draws(void);

/* label and unit must live until the end. start counts as done but not towards the rate. */
void gp_progress_begin(gp_progress *p, const char *label, const char *unit, int64_t start, int64_t total, bool quiet);

/* Makes it one of several, after its beginning. NULL: it stays alone. */
void gp_progress_join(gp_progress *p, gp_progress_group *b);

/* The total has become known on the way. */
void gp_progress_expect(gp_progress *p, int64_t total);

/* note: what else the line says ("loss 1.93"), or NULL. A job that falls back behind its start begins anew. */
void gp_progress_set(gp_progress *p, int64_t done, const char *note);

/* Takes the line off the terminal, so that something can be printed; the next set draws it again. */
void gp_progress_clear(gp_progress *p);
void gp_progress_end(gp_progress *p);

/* Prints a line of its own, whole and above all progress; nothing where it is quiet. */
void gp_progress_say(gp_progress *p, const char *fmt, ...) GP_PRINTF(2, 3);

void gp_progress_group_init(gp_progress_group *b);
void gp_progress_group_release(gp_progress_group *b);

/* Between the two, what this thread writes to stderr stands above the lines, and no other's comes in between. */
void gp_progress_group_pause(gp_progress_group *b);
void gp_progress_group_resume(gp_progress_group *b);

/* One line of stderr that is drawn over; *width: columns of what stands there, 0 for nothing. What is longer than the
 * terminal is cut. */
void gp_live_line_draw(int *width, const char *line);
void gp_live_line_clear(int *width);

/* Columns and rows of the terminal on stderr. */
void gp_terminal_size(int *columns, int *rows);

/* "1.9 MB", "412 kB", "12 B" into text (of 16 bytes at least). Returns text. */
char *gp_format_bytes(char *text, int64_t bytes);

/* "8 s", "3 min 20 s", "2 h 5 min" into text (of 24 bytes at least). Returns text. */
char *gp_format_seconds(char *text, double seconds);

#endif

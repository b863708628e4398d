/* board.h: several jobs' progress at once, each on a line of its own.
 *
 *     gp_board b;
 *     gp_board_init(&b);
 *     ... on each thread:
 *         gp_progress_begin(&p, "a.bin", GP_PROGRESS_BYTES, 0, size, quiet);
 *         gp_progress_join(&p, &b);
 *         gp_progress_set(&p, done, NULL);
 *         gp_progress_end(&p);                                  // its line goes
 *     gp_board_release(&b);
 *
 * On a terminal the lines stand below one another and are redrawn in place, ten times a second at most. Elsewhere
 * each job writes lines of its own now and then, as it does alone.
 */
#ifndef GP_CLI_BOARD_H
#define GP_CLI_BOARD_H

#include <pthread.h>

#include "cli/progress.h"

enum { GP_BOARD_MOST = 32 };

typedef struct gp_board {
    pthread_mutex_t lock;
    gp_progress *jobs[GP_BOARD_MOST]; /* in the order in which they began; more than that are not shown */
    int count;
    int drawn;   /* lines that stand on the terminal; the cursor is at the end of the last */
    double next; /* gp_now() when they are drawn again */
} gp_board;

void gp_board_init(gp_board *b);
void gp_board_release(gp_board *b);

/* What gp_progress does for a job that has joined. */
void gp_board_join(gp_board *b, gp_progress *p);
void gp_board_leave(gp_board *b, gp_progress *p);
void gp_board_set(gp_board *b, gp_progress *p, int64_t done);

/* Between the two, what this thread writes to stderr stands above the lines, and no other's comes in between. */
void gp_board_pause(gp_board *b);
void gp_board_resume(gp_board *b);

#endif

/* checkpoint_names.h: how the checkpoints of a run are called. */
#ifndef GP_RUN_CHECKPOINT_NAMES_H
#define GP_RUN_CHECKPOINT_NAMES_H

#include "base/base.h"

char *gp_run_name(int64_t step);       /* 1000 -> "ckpt-00001000", malloc */
int64_t gp_run_step(const char *name); /* and back; -1: it is no checkpoint's name */

/* The steps of the checkpoints in a folder, the newest first; *steps is malloc'ed, also on failure. */
int gp_run_steps(const char *path, int64_t **steps, int64_t *count);

/* The step of the checkpoint that a link of the run ("last", "best") names, whether or not it is there; -1: none. 0, or
 * -1 where that cannot be found out. */
int gp_run_link_step(const char *path, const char *link, int64_t *step);

#endif

/* checkpoint_names.h: the names of the checkpoints of a run. */
#ifndef GP_RUN_CHECKPOINT_NAMES_H
#define GP_RUN_CHECKPOINT_NAMES_H

#include "base/base.h"

char *gp_run_name(int64_t step);                        /* 1000 -> "ckpt-00001000", malloc */
int64_t gp_run_step(const char *name);                  /* the inverse; -1: not the name of a checkpoint */
char *gp_run_step_path(const char *path, int64_t step); /* of the checkpoint's folder in the run at `path`, malloc */

/* The steps of the checkpoints in a folder, the newest first; the caller frees *steps, NULL on failure. */
int gp_run_steps(const char *path, int64_t **steps, int64_t *count);

/* The step of the checkpoint that a link of the run ("last", "best") names, which may be missing; -1: none. 0, or -1
 * where the link cannot be read. */
int gp_run_link_step(const char *path, const char *link, int64_t *step);

#endif

/* run.h: a run directory (docs/formats.md): locked while it is written, never overwritten, readable whatever
 * happens to its writer.
 *
 *     run/
 *       ckpt-00001000/    made under another name, flushed, renamed: what is called so is whole
 *       last, best        links, replaced by rename
 *       model.safetensors -> last/model.safetensors
 *       log.jsonl         appended to; cut back when a run goes on from an older checkpoint
 *       .lock             held by flock while the run is written, holds the writer's process id */
#ifndef GP_IO_RUN_H
#define GP_IO_RUN_H

#include "base/base.h"

typedef struct gp_run gp_run;

/* Makes the folder and locks it; one with anything in it is refused. NULL on failure. */
gp_run *gp_run_create(const char *path);

/* Locks a run to go on with it, and removes what a killed writer left half-done. It has a checkpoint, or at least the
 * config.yaml that stands there before the first one. NULL on failure. */
gp_run *gp_run_open(const char *path);

/* The same to read alone: it is not locked, and what would write into it must not be called. */
gp_run *gp_run_look(const char *path);

/* What a path names: a run, or one checkpoint of a run (RUN/ckpt-00000100, or a link to it such as RUN/best). Gives the
 * run's path (the caller frees) and the step, -1 where no checkpoint is named. */
char *gp_run_locate(const char *path, int64_t *step);

/* Unlocks. A created run in which nothing was kept is removed again. */
void gp_run_close(gp_run *r);

const char *gp_run_path(const gp_run *r);

/* A file of the run's top level, whole or not at all. */
int gp_run_write(gp_run *r, const char *name, const void *data, size_t n);

#define GP_LOG_NAME "log.jsonl"

/* Appends to a file of the run's top level, all of it or none; to log.jsonl. */
int gp_run_append(gp_run *r, const char *name, const char *data, size_t n);
int gp_run_log(gp_run *r, const char *lines, size_t n);

/* Until such a file, if there is one, is on the disk. */
int gp_run_flush(gp_run *r, const char *name);

/* Bytes of such a file, 0 where it is not there; and cutting it to that many. */
int64_t gp_run_size(const gp_run *r, const char *name);
int gp_run_cut(gp_run *r, const char *name, int64_t size);

/* Cuts log.jsonl before the first line whose "step" is above `step`, or which is damaged. */
int gp_run_cut_log(gp_run *r, int64_t step);

/* Whether the last line of log.jsonl is of this step and has this member. */
bool gp_run_log_ends(const gp_run *r, int64_t step, const char *member);

/* Path of the n-th newest complete checkpoint (0: the newest), or NULL. The caller frees. */
char *gp_run_checkpoint(const gp_run *r, int n);

/* Writes one checkpoint: calls fill(self, folder), which puts files into the folder and flushes each, then
 * gives the folder its name, points last (and best) at it and removes all but the newest `keep` and the best.
 * After a failure what was there before is there still. */
int gp_run_save(gp_run *r, int64_t step, bool best, int64_t keep, int (*fill)(void *self, const char *dir),
                void *self);

/* Goes back to an older checkpoint: `last` names it, `best` that of best_step if it is there (else nothing), and all newer
 * ones are removed. Gives their number, or -1. */
int64_t gp_run_go_back(gp_run *r, int64_t step, int64_t best_step);

/* For readers, without a lock: whether a folder has the checkpoints of a run in it; and the folder of its last
 * good checkpoint (malloc), or NULL. That is the one which `last` names, or if its weights cannot be opened,
 * the newest one whose weights can; *remark (malloc, else untouched) then says so. */
bool gp_run_recognise(const char *path);
char *gp_run_last(const char *path, char **remark);

#endif

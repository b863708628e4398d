/* run.h: a run directory (docs/formats.md): locked while it is written, never overwritten, readable whatever
 * happens to its writer.
 *
 *     run/
 *       ckpt-00001000/    made under another name, flushed, renamed: what is called so is whole
 *       last, best        links, replaced by rename
 *       model.safetensors -> last/model.safetensors
 *       log.jsonl         appended to; cut back when a run continues from an older checkpoint
 *       .lock             held by flock while the run is written, holds the writer's process id */
#ifndef GP_RUN_RUN_H
#define GP_RUN_RUN_H

#include "base/base.h"

typedef struct gp_run gp_run;

/* Makes the folder and locks it; one with anything in it is refused. NULL on failure. */
gp_run *gp_run_create(const char *path);

/* Locks a run to continue it, and removes what a killed writer left half-done. It has a checkpoint, or at least the
 * config.yaml that stands there before the first one. NULL on failure. */
gp_run *gp_run_open(const char *path);

/* The same to read alone: it is not locked, and what would write into it must not be called. */
gp_run *gp_run_look(const char *path);

/* What a path names: a run, or one checkpoint of a run (RUN/ckpt-00000100, or a link to it such as RUN/best). Gives the
 * run's path (the caller frees) and the step, -1 where no checkpoint is named. NULL on failure. */
char *gp_run_locate(const char *path, int64_t *step);

/* Unlocks. A created run in which nothing was kept is removed again. */
void gp_run_close(gp_run *r);

const char *gp_run_path(const gp_run *r);

/* A file of the run's top level, whole or not at all. */
int gp_run_write(gp_run *r, const char *name, const void *data, size_t n);

#define GP_LOG_NAME "log.jsonl"

/* Maps such a file; empty where it is not there. */
struct gp_map;
int gp_run_map(const gp_run *r, const char *name, struct gp_map *m);

/* Appends to a file of the run's top level, all of it or none; to log.jsonl. */
int gp_run_append(gp_run *r, const char *name, const char *data, size_t n);
int gp_run_log(gp_run *r, const char *lines, size_t n);

/* Until such a file, if there is one, is on the disk. */
int gp_run_flush(gp_run *r, const char *name);

/* Bytes of such a file, 0 where it is not there; and cutting it to that many. */
int gp_run_size(const gp_run *r, const char *name, int64_t *size);
int gp_run_cut(gp_run *r, const char *name, int64_t size);

/* Cuts away half a line at its end, as a killed process leaves. */
int gp_run_cut_half_line(gp_run *r, const char *name);

/* The same as gp_run_cut where what is cut is damaged: it goes into a file NAME.damaged (or .damaged.2, ...), whose
 * name comes back in *aside (malloc). */
int gp_run_cut_damaged(gp_run *r, const char *name, int64_t size, char **aside);

/* Cuts log.jsonl before the first line whose "step" is above `step`, or which is damaged. Half a line at its end, as a
 * killed process leaves, is cut too; where any other is damaged, what is cut is kept as gp_run_cut_damaged keeps it
 * (else *aside is NULL). */
int gp_run_cut_log(gp_run *r, int64_t step, char **aside);

/* Whether the last line of log.jsonl is of this step and has this member: 1, 0 or -1. */
int gp_run_log_ends(const gp_run *r, int64_t step, const char *member);

/* Path of the n-th newest complete checkpoint (0: the newest), NULL where there are fewer. The caller frees. 0 or
 * -1. */
int gp_run_checkpoint(const gp_run *r, int n, char **path);

/* The name of something that shows that this run once had a checkpoint, whatever became of it; NULL where nothing does.
 * The caller frees. 0 or -1. */
int gp_run_trace(const gp_run *r, char **name);

/* Writes one checkpoint: calls fill(self, folder), which puts files into the folder and flushes each, then
 * gives the folder its name, points last (and best) at it and removes all but the newest `keep` and the best.
 * After a failure what was there before is there still. */
int gp_run_save(gp_run *r, int64_t step, bool best, int64_t keep, int (*fill)(void *self, const char *dir), void *self);

/* What has the name of this step's checkpoint already, which this run did not write, gets the name ckpt-N.rest; it
 * comes back in *name (malloc), NULL where nothing was there. 0 or -1. */
int gp_run_make_room(gp_run *r, int64_t step, char **name);

/* Makes the links those of this checkpoint, from which the run continues: `last` names it; `best` that of best_step
 * where this checkpoint is the best, or where `best` names a newer one or nothing (and none is left where that of
 * best_step is gone). */
int gp_run_continue_from(gp_run *r, int64_t step, int64_t best_step);

/* Removes the checkpoints after `step`. Gives their number, or -1. */
int64_t gp_run_remove_after(gp_run *r, int64_t step);

/* Gives the checkpoint of a step, which is damaged, a name that is no checkpoint's; it comes back in *name (malloc). */
int gp_run_set_aside(gp_run *r, int64_t step, char **name);

/* For readers, without a lock: whether a folder has the checkpoints of a run in it (1, 0 or -1); and the folder of its
 * last good checkpoint (malloc), or NULL. That is the one which `last` names, or where good(its folder) says no, or it
 * is gone, the newest one that is good; *remark (malloc, else untouched) then says so. good leaves its reason in
 * gp_error(); what cannot be read just now (gp_error_is_io) is a failure. */
int gp_run_recognise(const char *path);
char *gp_run_last(const char *path, bool (*good)(const char *folder), char **warning);

#endif

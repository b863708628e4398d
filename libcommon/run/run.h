/* run.h: a run directory (docs/formats.md): locked while it is written, never overwritten, readable at any moment, also
 * after its writer was killed.
 *
 *     run/
 *       ckpt-00001000/    written under another name, flushed, renamed: a folder of this name is complete
 *       last, best        links, replaced by rename
 *       model.safetensors -> last/model.safetensors
 *       log.jsonl         appended to; truncated when a run continues from an older checkpoint
 *       .lock             held by flock while the run is written, holds the writer's process id */
#ifndef GP_RUN_RUN_H
#define GP_RUN_RUN_H

#include "base/base.h"

typedef struct gp_run gp_run;

/* Creates the folder and locks it; one that is not empty is refused. NULL on failure. */
gp_run *gp_run_create(const char *path);

/* Locks a run to continue it, and removes the temporary files of a killed writer. The run has a checkpoint, or at least
 * the config.yaml that is written before the first one. NULL on failure. */
gp_run *gp_run_open(const char *path);

/* The same for reading only: it is not locked, and functions that write must not be called. */
gp_run *gp_run_open_readonly(const char *path);

/* Splits a path that names a run, or one checkpoint of a run (RUN/ckpt-00000100, or a link to it such as RUN/best).
 * Returns the run's path (the caller frees) and the step, -1 where no checkpoint is named. NULL on failure. */
char *gp_run_locate(const char *path, int64_t *step);

/* Unlocks. A run that gp_run_create made, and nothing was written to, is removed again. */
void gp_run_close(gp_run *r);

const char *gp_run_path(const gp_run *r);

/* Writes a file of the run's top level atomically. */
int gp_run_write(gp_run *r, const char *name, const void *data, size_t n);

#define GP_LOG_NAME "log.jsonl"

/* Maps a file of the top level; a missing one is empty. */
struct gp_map;
int gp_run_map(const gp_run *r, const char *name, struct gp_map *m);

/* Appends to a file of the top level, all of it or nothing. */
int gp_run_append(gp_run *r, const char *name, const char *data, size_t n);

/* Flushes a file of the top level, if it exists, to disk. */
int gp_run_flush(gp_run *r, const char *name);

/* Bytes of a file of the top level, 0 where it is missing. */
int gp_run_size(const gp_run *r, const char *name, int64_t *size);

/* Truncates a file of the top level to `size` bytes, on disk too. aside: where the bytes that are cut off are damaged,
 * they are moved into a file NAME.damaged (or .damaged.2, ...), and *aside (malloc, else NULL) is its name; NULL: they
 * are removed. */
int gp_run_cut(gp_run *r, const char *name, int64_t size, char **aside);

/* Removes an incomplete last line, as a killed process leaves. */
int gp_run_cut_half_line(gp_run *r, const char *name);

/* Truncates log.jsonl before the first line whose "step" is above `step`, or which is damaged. An incomplete last line
 * is removed; where any other is damaged, *aside is as for gp_run_cut, else NULL. */
int gp_run_cut_log(gp_run *r, int64_t step, char **aside);

/* Whether the last line of log.jsonl has this step and this member: 1, 0 or -1. */
int gp_run_log_ends(const gp_run *r, int64_t step, const char *member);

/* Path of the n-th newest complete checkpoint (0: the newest), NULL where there are fewer. The caller frees. 0 or
 * -1. */
int gp_run_checkpoint(const gp_run *r, int n, char **path);

/* The name of a file that shows that this run once had a checkpoint; NULL where there is none. The caller frees. 0 or
 * -1. */
int gp_run_former_checkpoint(const gp_run *r, char **name);

/* Writes one checkpoint: calls fill(self, folder), which writes and flushes its files, gives the folder its name,
 * points last (and best) at it, and removes all but the newest `keep` and the best. A failure leaves earlier
 * checkpoints intact. */
int gp_run_save(gp_run *r, int64_t step, bool best, int64_t keep, int (*fill)(void *self, const char *dir), void *self);

/* Renames a file or folder that has the name of this step's checkpoint, and that this run did not write, to
 * ckpt-N.rest; *name (malloc) is the new name, NULL where there was no such file. 0 or -1. */
int gp_run_rename_existing(gp_run *r, int64_t step, char **name);

/* Points the links to this checkpoint, from which the run continues: `last` to it; `best` to that of best_step, where
 * this checkpoint is the best, or where `best` names a newer or a missing one (it is removed where that of best_step is
 * missing). */
int gp_run_continue_from(gp_run *r, int64_t step, int64_t best_step);

/* Removes the checkpoints after `step`. Returns their number, or -1. */
int64_t gp_run_remove_after(gp_run *r, int64_t step);

/* Renames the checkpoint of a step, which is damaged, to ckpt-N.damaged; *name (malloc) is the new name. */
int gp_run_rename_damaged(gp_run *r, int64_t step, char **name);

/* For readers, without a lock: whether a folder contains the checkpoints of a run (1, 0 or -1); and the folder of its
 * last good checkpoint (malloc), or NULL. That is the one that `last` names, or where good(its folder) is false or it
 * is missing, the newest good one; *warning (malloc, else unchanged) then reports that. good() leaves its reason in
 * gp_error(); what cannot be read just now (gp_error_is_io) is a failure. */
int gp_run_recognise(const char *path);
char *gp_run_last(const char *path, bool (*good)(const char *folder), char **warning);

#endif

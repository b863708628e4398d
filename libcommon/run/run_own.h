/* run_own.h: internals that the files of this module share: the open folder, and which names in it are the run's own.
 * */
#ifndef GP_RUN_RUN_OWN_H
#define GP_RUN_RUN_OWN_H

#include "run/run.h"

struct gp_run {
    char *path;
    int dir; /* descriptor of the folder, through which files in it are opened, renamed and removed */
    int lock;
    bool created; /* by this process, from nothing: gp_run_close removes it if it is still empty */
};

/* Opens a file of the run's top level. A symbolic link, or what is no regular file, is refused: a run writes only into
 * its own files. 1: *fd is open; 0: the file is missing (without O_CREAT); -1: failure. */
int gp_run_open_own(const gp_run *r, const char *name, int flags, int *fd);

/* Renames `name` to the first unused of the names AS, AS.2, AS.3, ..., which *fresh (malloc) receives. */
int gp_run_rename_aside(const gp_run *r, const char *name, const char *as, char **fresh);

/* The folder may be renamed while the run is written, and another one be created under its name. Updates the path to
 * where the folder is now; -1 where that is not known. To be called before a file is opened by path. */
int gp_run_follow(gp_run *r);

/* Flushes the folder, so that renames in it survive a power cut. */
int gp_run_sync(const gp_run *r);

/* run_lock.c: locks a new run, which must have no lock file, or an existing one. */
int gp_run_lock_new(gp_run *r);
int gp_run_lock(gp_run *r);

/* Whether .lock is that of a train that ended before its run began. 1, 0 or -1. */
int gp_run_lock_is_left(const gp_run *r);

extern const char gp_run_lock_name[];

/* Whether a name is that of a temporary file, link or folder of a run: "log.jsonl.1f.tmp", "ckpt-00000010.1f.tmp". */
bool gp_run_is_temporary(const char *name);

/* Whether a name is that of a file in a checkpoint's folder, or of a temporary file for one. */
bool gp_run_is_checkpoint_file(const char *name);

/* prune.c: removes all checkpoints but the newest `keep`, `last` and `best`; none where these two cannot be read. A
 * failure costs only disk space. */
void gp_run_prune(gp_run *r, int64_t keep);

#endif

/* run_own.h: what the files of a run share: its folder by descriptor, and which names in it are a run's own. */
#ifndef GP_RUN_RUN_OWN_H
#define GP_RUN_RUN_OWN_H

#include "run/run.h"

struct gp_run {
    char *path;
    int dir; /* the folder itself: what is opened, renamed or removed in it is reached through this */
    int lock;
    bool untouched; /* made by us, and nothing kept in it yet */
};

/* Opens a file of the run's top level. It is never reached through a link and is a regular file, or it is refused: what
 * a run writes into is the run's. 1: *fd is open; 0: it is not there (without O_CREAT); -1: failure. */
int gp_run_open_own(const gp_run *r, const char *name, int flags, int *fd);

/* Gives `name` the first free of the names AS, AS.2, AS.3, ..., which goes into *fresh (malloc). */
int gp_run_rename_aside(const gp_run *r, const char *name, const char *as, char **fresh);

/* The folder may be renamed while the run is written, and another be made under its name. Sets the path to where the
 * folder is now; -1 where that is not known. To be called before a file is reached by path. */
int gp_run_follow(gp_run *r);

/* Flushes the folder: names in it that were given or taken survive a power cut. */
int gp_run_sync(const gp_run *r);

/* run_lock.c: takes the lock of a new run, which must have none, or of one that is there. */
int gp_run_lock_new(gp_run *r);
int gp_run_lock(gp_run *r);

/* Whether .lock is all that a train left which ended before it had kept anything. 1, 0 or -1. */
int gp_run_lock_is_left(const gp_run *r);

extern const char gp_run_lock_name[];

/* Whether a name is that of a temporary file, link or folder of a run: "log.jsonl.1f.tmp", "ckpt-00000010.1f.tmp". */
bool gp_run_is_temporary(const char *name);

/* Whether a name is one of those that a checkpoint's folder has, or temporary for one. */
bool gp_run_is_checkpoint_file(const char *name);

/* prune.c: removes checkpoints older than the newest `keep`. A failure costs disk space and nothing else; but where it
 * cannot be found out which ones `last` and `best` name, none is removed. */
void gp_run_prune(gp_run *r, int64_t keep);

#endif

/* fetch_one.h: one file of the catalog is fetched. For several see gptpipe/fetch.h. */
#ifndef GP_FETCH_FETCH_ONE_H
#define GP_FETCH_FETCH_ONE_H

#include "cli/progress.h"
#include "fetch/lock_file.h"
#include "gptpipe/fetch.h"

/* Checks the file against the lock file (or NULL), fetches it unless it is present and right, and adds it to the lock
 * file where that does not list it. group (or NULL) shows the progress of all concurrent fetches. Fills in the job's
 * `how`, `sha256` and `size`. *disk_full: no further file needs to be tried. 0 or -1. Any thread. */
int gp_fetch_one(gp_fetch_job *job, const gp_fetch_options *o, gp_lock_file *lock, gp_progress_group *group,
                 bool *disk_full);

#endif

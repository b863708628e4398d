/* lock_file.h: the SHA-256 and size that each file had when it was first downloaded:
 *
 *     {"gpt2-large": {"gpt2-large/config.json": {"sha256": "27b2...", "size": 666}}}
 *
 *     gp_lock_file *l = gp_lock_file_open("data.lock");                  // NULL: it cannot be read
 *     bool known = gp_lock_file_find(l, "gpt2-large", "gpt2-large/config.json", &hex, &size);
 *     gp_lock_file_add(l, "gpt2-large", "gpt2-large/config.json", hex, size);
 *     gp_lock_file_close(l);
 */
#ifndef GP_FETCH_LOCK_FILE_H
#define GP_FETCH_LOCK_FILE_H

#include "base/base.h"
#include "gptpipe/fetch.h"

typedef struct gp_lock_file gp_lock_file;

/* A file that does not exist is an empty one. */
gp_lock_file *gp_lock_file_open(const char *path);
void gp_lock_file_close(gp_lock_file *l);

/* What is recorded of a file of a data set: *sha256 (64 hex digits, valid as long as l) and *size (-1: not known).
 * False: nothing is. */
bool gp_lock_file_find(const gp_lock_file *l, const char *set, const char *file, const char **sha256, int64_t *size);

/* Puts the recorded SHA-256 and size into *f, a copy of a catalog's file; *lock becomes the lock file's path where the
 * catalog has no SHA-256. 1; 0: the file is not recorded; -1: the catalog contradicts it. */
int gp_lock_file_apply(const gp_lock_file *l, const char *set, gp_catalog_file *f, const char **lock);

/* Adds a file and rewrites the lock file, including what other processes have added meanwhile; fails where that is
 * another SHA-256 of the same file. size -1: not known. Any thread. 0 or -1. */
int gp_lock_file_add(gp_lock_file *l, const char *set, const char *file, const char *sha256, int64_t size);

#endif

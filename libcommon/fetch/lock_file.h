/* lock_file.h: what files were when they came first, so that they are the same ever after:
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

typedef struct gp_lock_file gp_lock_file;

/* One that is not there is empty. */
gp_lock_file *gp_lock_file_open(const char *path);
void gp_lock_file_close(gp_lock_file *l);

/* What is known of a file of a data set: *sha256 (64 hex digits, living as long as l) and *size (-1: not known). False:
 * nothing. */
bool gp_lock_file_find(const gp_lock_file *l, const char *set, const char *file, const char **sha256, int64_t *size);

/* Adds a file and writes all of it anew, with what another process may have added meanwhile; a failure where that is
 * another SHA-256 of the same file. size -1: not known. Not for two threads at once. 0 or -1. */
int gp_lock_file_add(gp_lock_file *l, const char *set, const char *file, const char *sha256, int64_t size);

#endif

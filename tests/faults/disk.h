/* disk.h: files, names, and which of them are safe, replayed from a recording (trace.c). */
#ifndef GPTPIPE_FAULTS_DISK_H
#define GPTPIPE_FAULTS_DISK_H

#include "base/base.h"

typedef struct content {
    bool there;
    char *data;
    size_t size;
} content;

typedef struct disk_op {
    char kind; /* as in trace.c, 'E' behind the last one */
    char from[512], to[512];
} disk_op;

/* Begins again, with the folder `before` on disk. Ends the program where either cannot be read. */
void disk_load(const char *before, const char *trace);

/* Does the next operation; *o (NULL: not wanted) is what it was. False: there is none. */
bool disk_next(disk_op *o);
int disk_operations(void);
const char *disk_operation(void); /* the last one, for messages */

/* What is there now, as a program sees it. The caller frees data. */
void disk_content(const char *path, content *c);
bool disk_is_folder(const char *path);
int disk_steps(const char *path, int64_t *steps, int most); /* of its ckpt-N, the lowest first */

/* Whether a file's bytes, or a folder's names and what is in it, are not all flushed; whether a name itself is. */
bool disk_unflushed(const char *path);
bool disk_name_flushed(const char *path);

/* Where a link points; NULL: there is none. */
const char *disk_link(const char *path);

/* What was there before the recording. */
void disk_first_content(const char *path, content *c);

/* The power goes now. DISK_RANDOM and above: any bytes and names that were not flushed. False: `expected` and this disk
 * came before. disk_write then writes the disk into an empty folder. */
enum { DISK_ALL, DISK_FLUSHED, DISK_NAMES, DISK_BYTES, DISK_RANDOM };
bool disk_crash(int kind, int64_t expected, uint64_t seed);
const char *disk_kind(void);
void disk_write(const char *folder);

#endif

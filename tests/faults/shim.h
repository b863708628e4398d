/* shim.h: the kinds of calls, and the recorder (trace.c) that shim.c tells of changes. */
#ifndef GPTPIPE_FAULTS_SHIM_H
#define GPTPIPE_FAULTS_SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* clang-format off */
#define KINDS \
    KIND(alloc) KIND(open) KIND(close) KIND(read) KIND(stat) KIND(opendir) KIND(readdir) KIND(readlink) KIND(lseek) \
    KIND(flock) KIND(mmap) KIND(chmod) KIND(write) KIND(fsync) KIND(truncate) KIND(rename) KIND(link) KIND(unlink) \
    KIND(mkdir) KIND(getcwd) KIND(thread) KIND(random)
/* clang-format on */

enum {
#define KIND(name) KIND_##name,
    KINDS
#undef KIND
        KIND_COUNT
};

bool shim_is_running(void);

void shim_trace_start(void);
void shim_trace_end(void);
bool shim_trace_is_ours(int fd); /* of a file that is not a pipe or a terminal */
off_t shim_trace_position(int fd);
void shim_trace_open(int fd, int dir, const char *path, int flags, bool was_there);
void shim_trace_write(int fd, const void *data, size_t n, off_t at);
void shim_trace_truncate(int fd, off_t size);
void shim_trace_truncate_path(const char *path, off_t size);
void shim_trace_sync(int fd);
void shim_trace_sync_all(void);
void shim_trace_rename(int a, const char *from, int b, const char *to, unsigned flags);
void shim_trace_link(int a, const char *from, int b, const char *to);
void shim_trace_symlink(const char *target, int dir, const char *path);
void shim_trace_unlink(int dir, const char *path);
void shim_trace_mkdir(int dir, const char *path);

#endif

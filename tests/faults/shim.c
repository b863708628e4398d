/* shim.c: stands between a program and the C library (LD_PRELOAD), counts its calls by kind, and lets one of them fail,
 * kills the program before one of them, or records what becomes of files.
 *
 *     FAULT_COUNTS=FILE       at the end: one line "KIND CALLS" for each kind, and "change CALLS"; for each place (the
 *                             functions that are being called) "place KIND FIRST LAST", its first call and its last one
 *     FAULT=KIND:N:ERRNO      call N (from 1) of this kind fails with this number; "alloc" is malloc and its like
 *     FAULT_KILL=N            kill -9 before the Nth call that changes a file; of a write half is written first
 *     FAULT_TRACE=FILE        what changes below FAULT_ROOT, for power_cut: FILE and, with the bytes, FILE.data
 *
 *     FAULT_MARK=1            a system call that strace can see, faccessat of "main begins", where main does
 *
 * Calls are counted from main on. What the C library does for itself (stdio, dlopen) is not seen; strace sees it.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim.h"

/* ---- counting and failing -------------------------------------------------------------------------------- */

static const char *const kinds[] = {
#define KIND(name) #name,
    KINDS
#undef KIND
};

enum { DEPTH = 24, MAX_PLACES = 1 << 14 };

static struct {
    uint64_t hash;
    int kind;
    long first, last;
} places[MAX_PLACES];

static struct {
    bool running, places; /* main has begun; places are wanted */
    int kind, error;
    long nth, kill;
    long calls[KIND_COUNT], changes;
} s = {.kind = -1};

static void start(void)
{
    const char *fault = getenv("FAULT"), *kill_at = getenv("FAULT_KILL");
    char name[32] = "";
    if (fault && sscanf(fault, "%31[^:]:%ld:%d", name, &s.nth, &s.error) == 3)
        for (int i = 0; i < KIND_COUNT; i++)
            if (!strcmp(kinds[i], name))
                s.kind = i;
    if (kill_at)
        s.kill = atol(kill_at);
    void *stack[1];
    backtrace(stack, 1); /* which loads what it needs the first time */
    s.places = getenv("FAULT_COUNTS") != NULL;
    if (getenv("FAULT_MARK"))
        syscall(SYS_faccessat, AT_FDCWD, "main begins", F_OK);
    shim_trace_start();
    s.running = true;
}

static void finish(void)
{
    const char *path = getenv("FAULT_COUNTS");
    s.running = false;
    shim_trace_end();
    FILE *f = path ? fopen(path, "we") : NULL;
    if (!f)
        return;
    for (int i = 0; i < KIND_COUNT; i++)
        fprintf(f, "%s %ld\n", kinds[i], s.calls[i]);
    fprintf(f, "change %ld\n", s.changes);
    for (int i = 0; i < MAX_PLACES; i++)
        if (places[i].hash)
            fprintf(f, "place %s %ld %ld\n", kinds[places[i].kind], places[i].first, places[i].last);
    fclose(f);
}

/* Remembers from where this is called: by return addresses, those of recursion and of main's caller among them. */
static void note_place(int kind, long nth)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static __thread bool within;
    void *stack[DEPTH];
    if (within)
        return;
    within = true;
    int n = backtrace(stack, DEPTH);
    uint64_t hash = 14695981039346656037u + (uint64_t)kind;
    for (int i = 0; i < n; i++)
        hash = (hash ^ (uintptr_t)stack[i]) * 1099511628211u;
    hash |= 1;
    pthread_mutex_lock(&lock);
    size_t at = (size_t)(hash >> 40) % MAX_PLACES;
    for (int tries = 0; tries < MAX_PLACES && places[at].hash && places[at].hash != hash; tries++)
        at = (at + 1) % MAX_PLACES;
    if (!places[at].hash) {
        places[at].hash = hash;
        places[at].kind = kind;
        places[at].first = nth;
    }
    if (places[at].hash == hash)
        places[at].last = nth;
    pthread_mutex_unlock(&lock);
    within = false;
}

/* Whether this call is to fail; errno is set then. */
static bool fails(int kind)
{
    if (!s.running)
        return false;
    long nth = __atomic_add_fetch(&s.calls[kind], 1, __ATOMIC_RELAXED);
    if (s.places)
        note_place(kind, nth);
    if (nth != s.nth || kind != s.kind)
        return false;
    errno = s.error;
    return true;
}

bool shim_is_running(void)
{
    return s.running;
}

/* Before a call that changes something. True: this is where the program ends. */
static bool ends_here(void)
{
    return s.running && __atomic_add_fetch(&s.changes, 1, __ATOMIC_RELAXED) == s.kill;
}

static void change(void)
{
    if (ends_here())
        raise(SIGKILL);
}

int __libc_start_main(int (*main)(int, char **, char **), int argc, char **argv, int (*init)(int, char **, char **),
                      void (*fini)(void), void (*rtld_fini)(void), void *stack_end);
static int (*real_main)(int, char **, char **);

static int begin(int argc, char **argv, char **envp)
{
    start();
    atexit(finish);
    return real_main(argc, argv, envp);
}

#define REAL(type, name, ...)                                                                                          \
    static type (*real)(__VA_ARGS__);                                                                                  \
    if (!real)                                                                                                         \
    *(void **)&real = dlsym(RTLD_NEXT, #name)

int __libc_start_main(int (*main)(int, char **, char **), int argc, char **argv, int (*init)(int, char **, char **),
                      void (*fini)(void), void (*rtld_fini)(void), void *stack_end)
{
    REAL(int, __libc_start_main, int (*)(int, char **, char **), int, char **, int (*)(int, char **, char **),
         void (*)(void), void (*)(void), void *);
    real_main = main;
    return real(begin, argc, argv, init, fini, rtld_fini, stack_end);
}

/* ---- memory: glibc has these names for its own ----------------------------------------------------------- */

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t alignment, size_t n);

void *malloc(size_t n)
{
    return fails(KIND_alloc) ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    return fails(KIND_alloc) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    return fails(KIND_alloc) ? NULL : __libc_realloc(p, n);
}

int posix_memalign(void **p, size_t alignment, size_t n)
{
    if (fails(KIND_alloc))
        return ENOMEM;
    *p = __libc_memalign(alignment, n);
    return *p ? 0 : ENOMEM;
}

void *aligned_alloc(size_t alignment, size_t n)
{
    return fails(KIND_alloc) ? NULL : __libc_memalign(alignment, n);
}

/* ---- files ----------------------------------------------------------------------------------------------- */

static int open_it(int dir, const char *path, int flags, mode_t mode)
{
    bool makes = flags & (O_CREAT | O_TRUNC) || (flags & O_TMPFILE) == O_TMPFILE;
    if (fails(KIND_open))
        return -1;
    if (makes)
        change();
    struct stat st;
    bool was_there = s.running && makes && !syscall(SYS_newfstatat, dir, path, &st, 0);
    int fd = (int)syscall(SYS_openat, dir, path, flags, mode);
    if (fd >= 0 && s.running)
        shim_trace_open(fd, dir, path, flags, was_there);
    return fd;
}

static mode_t mode_of(int flags, va_list ap)
{
    return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(ap, mode_t) : 0;
}

#define WITH_MODE(flags, call)                                                                                         \
    va_list ap;                                                                                                        \
    va_start(ap, flags);                                                                                               \
    mode_t mode = mode_of(flags, ap);                                                                                  \
    va_end(ap);                                                                                                        \
    return call

int open(const char *path, int flags, ...)
{
    WITH_MODE(flags, open_it(AT_FDCWD, path, flags, mode));
}

int open64(const char *path, int flags, ...)
{
    WITH_MODE(flags, open_it(AT_FDCWD, path, flags, mode));
}

int openat(int dir, const char *path, int flags, ...)
{
    WITH_MODE(flags, open_it(dir, path, flags, mode));
}

int __open_2(const char *path, int flags);
int __open_2(const char *path, int flags)
{
    return open_it(AT_FDCWD, path, flags, 0);
}

int __openat_2(int dir, const char *path, int flags);
int __openat_2(int dir, const char *path, int flags)
{
    return open_it(dir, path, flags, 0);
}

/* A call that only looks: fails with `bad`, or goes on. */
#define LOOK(type, name, kind, bad, params, args, ...)                                                                 \
    type name params                                                                                                   \
    {                                                                                                                  \
        REAL(type, name, __VA_ARGS__);                                                                                 \
        return fails(KIND_##kind) ? (bad) : real args;                                                                 \
    }

int __lxstat(int version, const char *path, struct stat *st);

/* What fails has let go of the file all the same (close(2)): locks on it end with it. */
int close(int fd)
{
    REAL(int, close, int);
    int rc = real(fd);
    return fails(KIND_close) ? -1 : rc;
}

LOOK(ssize_t, read, read, -1, (int fd, void *to, size_t n), (fd, to, n), int, void *, size_t)
LOOK(ssize_t, pread, read, -1, (int fd, void *to, size_t n, off_t at), (fd, to, n, at), int, void *, size_t, off_t)
LOOK(int, stat, stat, -1, (const char *path, struct stat *st), (path, st), const char *, struct stat *)
LOOK(int, lstat, stat, -1, (const char *path, struct stat *st), (path, st), const char *, struct stat *)
LOOK(int, fstat, stat, -1, (int fd, struct stat *st), (fd, st), int, struct stat *)
LOOK(int, fstatat, stat, -1, (int dir, const char *path, struct stat *st, int flags), (dir, path, st, flags), int,
     const char *, struct stat *, int)
LOOK(int, access, stat, -1, (const char *path, int mode), (path, mode), const char *, int)
LOOK(int, faccessat, stat, -1, (int dir, const char *path, int mode, int flags), (dir, path, mode, flags), int,
     const char *, int, int)
LOOK(DIR *, opendir, opendir, NULL, (const char *path), (path), const char *)
LOOK(DIR *, fdopendir, opendir, NULL, (int fd), (fd), int)
LOOK(struct dirent *, readdir, readdir, NULL, (DIR * dir), (dir), DIR *)
LOOK(ssize_t, readlink, readlink, -1, (const char *path, char *to, size_t n), (path, to, n), const char *, char *,
     size_t)
LOOK(ssize_t, readlinkat, readlink, -1, (int dir, const char *path, char *to, size_t n), (dir, path, to, n), int,
     const char *, char *, size_t)
LOOK(char *, realpath, readlink, NULL, (const char *path, char *to), (path, to), const char *, char *)
LOOK(off_t, lseek, lseek, -1, (int fd, off_t at, int from), (fd, at, from), int, off_t, int)
LOOK(int, flock, flock, -1, (int fd, int what), (fd, what), int, int)
LOOK(void *, mmap, mmap, MAP_FAILED, (void *at, size_t n, int prot, int flags, int fd, off_t from),
     (at, n, prot, flags, fd, from), void *, size_t, int, int, int, off_t)
LOOK(int, fchmod, chmod, -1, (int fd, mode_t mode), (fd, mode), int, mode_t)
LOOK(int, fchown, chmod, -1, (int fd, uid_t user, gid_t group), (fd, user, group), int, uid_t, gid_t)
LOOK(int, statvfs, stat, -1, (const char *path, struct statvfs *st), (path, st), const char *, struct statvfs *)
LOOK(FILE *, fopen, open, NULL, (const char *path, const char *mode), (path, mode), const char *, const char *)
LOOK(char *, getcwd, getcwd, NULL, (char *to, size_t n), (to, n), char *, size_t)
LOOK(ssize_t, getrandom, random, -1, (void *to, size_t n, unsigned flags), (to, n, flags), void *, size_t, unsigned)

int mkostemp(char *path, int flags)
{
    REAL(int, mkostemp, char *, int);
    if (fails(KIND_open))
        return -1;
    change();
    return real(path, flags);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*run)(void *), void *self)
{
    REAL(int, pthread_create, pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    return fails(KIND_thread) ? errno : real(thread, how, run, self);
}

/* What is written at last is lost, and the file is closed all the same. */
int fclose(FILE *f)
{
    REAL(int, fclose, FILE *);
    int rc = real(f);
    return fails(KIND_close) ? EOF : rc;
}

void *mremap(void *at, size_t n, size_t size, int flags, ...)
{
    return fails(KIND_mmap) ? MAP_FAILED : (void *)syscall(SYS_mremap, at, n, size, flags, NULL);
}

ssize_t write(int fd, const void *from, size_t n)
{
    if (fails(KIND_write))
        return -1;
    if (shim_trace_is_ours(fd) && ends_here()) {
        syscall(SYS_write, fd, from, n / 2);
        raise(SIGKILL);
    }
    off_t at = s.running ? shim_trace_position(fd) : -1;
    ssize_t done = syscall(SYS_write, fd, from, n);
    if (done > 0 && s.running)
        shim_trace_write(fd, from, (size_t)done, at);
    return done;
}

ssize_t pwrite(int fd, const void *from, size_t n, off_t at)
{
    if (fails(KIND_write))
        return -1;
    change();
    ssize_t done = syscall(SYS_pwrite64, fd, from, n, at);
    if (done > 0 && s.running)
        shim_trace_write(fd, from, (size_t)done, at);
    return done;
}

/* A call that changes a file: fails, or is counted, done, and recorded where it succeeds. */
#define CHANGE(name, kind, params, args, record)                                                                       \
    int name params                                                                                                    \
    {                                                                                                                  \
        if (fails(KIND_##kind))                                                                                        \
            return -1;                                                                                                 \
        change();                                                                                                      \
        int rc = (int)syscall args;                                                                                    \
        if (!rc && s.running)                                                                                          \
            record;                                                                                                    \
        return rc;                                                                                                     \
    }

CHANGE(fsync, fsync, (int fd), (SYS_fsync, fd), shim_trace_sync(fd))
CHANGE(fdatasync, fsync, (int fd), (SYS_fdatasync, fd), shim_trace_sync(fd))
CHANGE(syncfs, fsync, (int fd), (SYS_syncfs, fd), shim_trace_sync_all())
CHANGE(ftruncate, truncate, (int fd, off_t size), (SYS_ftruncate, fd, size), shim_trace_truncate(fd, size))
CHANGE(truncate, truncate, (const char *path, off_t size), (SYS_truncate, path, size),
       shim_trace_truncate_path(path, size))
CHANGE(rename, rename, (const char *from, const char *to), (SYS_renameat, AT_FDCWD, from, AT_FDCWD, to),
       shim_trace_rename(AT_FDCWD, from, AT_FDCWD, to, 0))
CHANGE(renameat, rename, (int a, const char *from, int b, const char *to), (SYS_renameat, a, from, b, to),
       shim_trace_rename(a, from, b, to, 0))
CHANGE(renameat2, rename, (int a, const char *from, int b, const char *to, unsigned flags),
       (SYS_renameat2, a, from, b, to, flags), shim_trace_rename(a, from, b, to, flags))
CHANGE(linkat, link, (int a, const char *from, int b, const char *to, int flags), (SYS_linkat, a, from, b, to, flags),
       shim_trace_link(a, from, b, to))
CHANGE(symlink, link, (const char *target, const char *path), (SYS_symlinkat, target, AT_FDCWD, path),
       shim_trace_symlink(target, AT_FDCWD, path))
CHANGE(symlinkat, link, (const char *target, int dir, const char *path), (SYS_symlinkat, target, dir, path),
       shim_trace_symlink(target, dir, path))
CHANGE(unlink, unlink, (const char *path), (SYS_unlinkat, AT_FDCWD, path, 0), shim_trace_unlink(AT_FDCWD, path))
CHANGE(unlinkat, unlink, (int dir, const char *path, int flags), (SYS_unlinkat, dir, path, flags),
       shim_trace_unlink(dir, path))
CHANGE(rmdir, unlink, (const char *path), (SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR),
       shim_trace_unlink(AT_FDCWD, path))
CHANGE(mkdir, mkdir, (const char *path, mode_t mode), (SYS_mkdirat, AT_FDCWD, path, mode),
       shim_trace_mkdir(AT_FDCWD, path))
CHANGE(mkdirat, mkdir, (int dir, const char *path, mode_t mode), (SYS_mkdirat, dir, path, mode),
       shim_trace_mkdir(dir, path))

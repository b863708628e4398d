/* trace.c: records what becomes of the files below FAULT_ROOT, an operation a line, fields apart by tabs; power_cut.c
 * replays it. Paths are below the root. A file goes by a number of its own, since its inode's may come again.
 *
 *     C id path     a new file              W id at n pos   n bytes written, from `pos` of FILE.data
 *     A id          the same without a name Z id size       truncated or extended
 *     O id path     one that was there      V id n pos      all that is in it now (when it gets a name)
 *     F id          flushed                 D path          a folder was flushed       S  everything was
 *     R from to     renamed                 X from to       exchanged                  L id path  named
 *     Y target path a link                  U path          removed                    M path     a folder made
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim.h"

enum { MAX_FILES = 4096, MAX_PATH = 4096 };

static struct {
    int ops, data; /* descriptors, -1: nothing is recorded */
    char root[MAX_PATH];
    size_t root_length;
    uint64_t inode[MAX_FILES];
    int count; /* files seen; the last of an inode's numbers counts */
    uint64_t position;
    pthread_mutex_t lock;
} t = {.ops = -1, .data = -1, .lock = PTHREAD_MUTEX_INITIALIZER};

static int high(int fd) /* out of the way of the program's own descriptors */
{
    int moved = (int)syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 900);
    syscall(SYS_close, fd);
    return moved;
}

void shim_trace_start(void)
{
    const char *file = getenv("FAULT_TRACE"), *root = getenv("FAULT_ROOT");
    char path[MAX_PATH];
    if (!file || !root)
        return;
    snprintf(t.root, sizeof t.root, "%s/", root);
    t.root_length = strlen(t.root);
    t.ops = high((int)syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_TRUNC, 0600));
    snprintf(path, sizeof path, "%s.data", file);
    t.data = high((int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CREAT | O_TRUNC, 0600));
}

void shim_trace_end(void)
{
    t.ops = -1;
}

/* ---- where ----------------------------------------------------------------------------------------------- */

static void place_of(int fd, char *path, size_t size)
{
    char link[40];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = syscall(SYS_readlinkat, AT_FDCWD, link, path, size - 1);
    path[n > 0 ? n : 0] = 0;
}

/* The path below the root, or NULL. Parts that are "." or empty are left out; ".." nobody uses here. */
static const char *below(int dir, const char *path, char *to)
{
    char whole[2 * MAX_PATH] = "";
    size_t n = 0;
    if (*path != '/' && dir == AT_FDCWD)
        syscall(SYS_getcwd, whole, MAX_PATH);
    else if (*path != '/')
        place_of(dir, whole, MAX_PATH);
    n = strlen(whole);
    snprintf(whole + n, sizeof whole - n, "/%s", path);
    n = 0;
    for (const char *c = whole; *c;) {
        size_t length = strcspn(c, "/");
        if (length && !(length == 1 && *c == '.') && n + length + 2 < MAX_PATH) {
            to[n++] = '/';
            memcpy(to + n, c, length);
            n += length;
        }
        c += length + (c[length] == '/');
    }
    to[n] = 0;
    if (!strncmp(to, t.root, t.root_length))
        return to + t.root_length;
    return n + 1 == t.root_length && !strncmp(to, t.root, n) ? "." : NULL;
}

static int id_of(int fd)
{
    struct stat st;
    if (syscall(SYS_fstat, fd, &st))
        return -1;
    for (int i = t.count - 1; i >= 0; i--)
        if (t.inode[i] == st.st_ino)
            return i;
    return -1;
}

static int new_id(int fd)
{
    struct stat st;
    if (syscall(SYS_fstat, fd, &st) || t.count == MAX_FILES)
        return -1;
    t.inode[t.count] = st.st_ino;
    return t.count++;
}

/* ---- what ------------------------------------------------------------------------------------------------ */

#define PUT(...)                                                                                                       \
    do {                                                                                                               \
        char line_[3 * MAX_PATH];                                                                                      \
        int n_ = snprintf(line_, sizeof line_, __VA_ARGS__);                                                           \
        syscall(SYS_write, t.ops, line_, n_);                                                                          \
    } while (0)

static bool begin(void)
{
    if (t.ops < 0)
        return false;
    pthread_mutex_lock(&t.lock);
    return true;
}

static void end(void)
{
    pthread_mutex_unlock(&t.lock);
}

static uint64_t keep(const void *data, size_t n)
{
    uint64_t at = t.position;
    t.position += (uint64_t)syscall(SYS_write, t.data, data, n);
    return at;
}

bool shim_trace_is_ours(int fd)
{
    struct stat st;
    return shim_is_running() && !syscall(SYS_fstat, fd, &st) && S_ISREG(st.st_mode);
}

off_t shim_trace_position(int fd)
{
    struct stat st;
    long flags = syscall(SYS_fcntl, fd, F_GETFL);
    if (t.ops < 0 || syscall(SYS_fstat, fd, &st) || !S_ISREG(st.st_mode))
        return -1;
    return flags & O_APPEND ? st.st_size : syscall(SYS_lseek, fd, 0, SEEK_CUR);
}

void shim_trace_open(int fd, int dir, const char *path, int flags, bool was_there)
{
    char text[MAX_PATH];
    struct stat st;
    if (!begin())
        return;
    const char *name = below(dir, path, text);
    if (name && !syscall(SYS_fstat, fd, &st) && S_ISREG(st.st_mode)) {
        if ((flags & O_TMPFILE) == O_TMPFILE)
            PUT("A\t%d\n", new_id(fd));
        else if (flags & O_CREAT && !was_there)
            PUT("C\t%d\t%s\n", new_id(fd), name);
        else if (id_of(fd) < 0)
            PUT("O\t%d\t%s\n", new_id(fd), name);
        if (flags & O_TRUNC && was_there)
            PUT("Z\t%d\t0\n", id_of(fd));
    }
    end();
}

void shim_trace_write(int fd, const void *data, size_t n, off_t at)
{
    if (at < 0 || !begin())
        return;
    int id = id_of(fd);
    if (id >= 0)
        PUT("W\t%d\t%lld\t%zu\t%llu\n", id, (long long)at, n, (unsigned long long)keep(data, n));
    end();
}

void shim_trace_truncate(int fd, off_t size)
{
    if (!begin())
        return;
    if (id_of(fd) >= 0)
        PUT("Z\t%d\t%lld\n", id_of(fd), (long long)size);
    end();
}

void shim_trace_truncate_path(const char *path, off_t size)
{
    if (t.ops < 0)
        return;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    shim_trace_open(fd, AT_FDCWD, path, O_RDONLY, true);
    shim_trace_truncate(fd, size);
    syscall(SYS_close, fd);
}

void shim_trace_sync(int fd)
{
    char text[MAX_PATH], place[MAX_PATH];
    struct stat st;
    if (!begin())
        return;
    if (!syscall(SYS_fstat, fd, &st) && S_ISDIR(st.st_mode)) {
        place_of(fd, place, sizeof place);
        const char *name = below(AT_FDCWD, place, text);
        if (name)
            PUT("D\t%s\n", name);
    } else if (id_of(fd) >= 0) {
        PUT("F\t%d\n", id_of(fd));
    }
    end();
}

void shim_trace_sync_all(void)
{
    if (!begin())
        return;
    PUT("S\n");
    end();
}

/* What stdio wrote was not seen: all that is in the file now. */
static void view(int dir, const char *path)
{
    static char block[1 << 16];
    struct stat st;
    int fd = (int)syscall(SYS_openat, dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || syscall(SYS_fstat, fd, &st) || !S_ISREG(st.st_mode) || id_of(fd) < 0)
        goto out;
    uint64_t at = t.position;
    for (ssize_t n; (n = syscall(SYS_read, fd, block, sizeof block)) > 0;)
        keep(block, (size_t)n);
    PUT("V\t%d\t%llu\t%llu\n", id_of(fd), (unsigned long long)(t.position - at), (unsigned long long)at);
out:
    if (fd >= 0)
        syscall(SYS_close, fd);
}

void shim_trace_rename(int a, const char *from, int b, const char *to, unsigned flags)
{
    char texts[2][MAX_PATH];
    if (!begin())
        return;
    const char *was = below(a, from, texts[0]), *is = below(b, to, texts[1]);
    if (was && is) {
        view(b, to);
        PUT("%s\t%s\t%s\n", flags & RENAME_EXCHANGE ? "X" : "R", was, is);
    }
    end();
}

void shim_trace_link(int a, const char *from, int b, const char *to)
{
    char text[MAX_PATH];
    if (!begin())
        return;
    const char *name = below(b, to, text);
    int fd = (int)syscall(SYS_openat, b, to, O_RDONLY | O_CLOEXEC);
    (void)a, (void)from;
    if (name && fd >= 0 && id_of(fd) >= 0) {
        view(b, to);
        PUT("L\t%d\t%s\n", id_of(fd), name);
    }
    if (fd >= 0)
        syscall(SYS_close, fd);
    end();
}

void shim_trace_symlink(const char *target, int dir, const char *path)
{
    char text[MAX_PATH];
    if (!begin())
        return;
    const char *name = below(dir, path, text);
    if (name)
        PUT("Y\t%s\t%s\n", target, name);
    end();
}

void shim_trace_unlink(int dir, const char *path)
{
    char text[MAX_PATH];
    if (!begin())
        return;
    const char *name = below(dir, path, text);
    if (name)
        PUT("U\t%s\n", name);
    end();
}

void shim_trace_mkdir(int dir, const char *path)
{
    char text[MAX_PATH];
    if (!begin())
        return;
    const char *name = below(dir, path, text);
    if (name)
        PUT("M\t%s\n", name);
    end();
}

/* file.c: see file.h. */
#include "base/file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The content of a file that cannot be mapped (/proc, some network file systems), in memory of its own. It is that of a
 * memfd: private memory would hold zeros after gp_map_forget. */
static int read_into_map(gp_map *m, int fd, const char *path)
{
    size_t size = 0, room = 0;
    char *p = NULL;
    int memory = memfd_create("gptpipe", MFD_CLOEXEC), rc = -1;
    if (memory < 0)
        return fail_errno("%s: no memory to read it into", path);
    for (;;) {
        if (size == room) {
            size_t more = room ? 2 * room : 1 << 16;
            void *grown = ftruncate(memory, (off_t)more) ? MAP_FAILED
                          : room                         ? mremap(p, room, more, MREMAP_MAYMOVE)
                                 : mmap(NULL, more, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
            if (grown == MAP_FAILED)
                die("out of memory (%zu bytes of %s)", more, path);
            p = grown;
            room = more;
        }
        ssize_t n = pread(fd, p + size, room - size, (off_t)size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            fail_errno("%s: cannot be read", path);
        if (n <= 0) {
            rc = (int)n;
            break;
        }
        size += (size_t)n;
    }
    close(memory);
    if (rc || !size) {
        munmap(p, room);
        m->data = ""; /* not NULL: pointers into it are counted from it */
        return rc;
    }
    if (mremap(p, room, size, 0) == MAP_FAILED) /* the pages that gp_map_close will not know of */
        die("out of memory");
    *m = (gp_map){p, size};
    return 0;
}

/* A regular file whose size is 0 may still have content: the kernel makes that of /proc when it is read. */
int gp_map_fd(gp_map *m, int fd, const char *path)
{
    struct stat st;
    *m = (gp_map){0};
    if (fstat(fd, &st))
        return fail_errno("%s", path);
    if (S_ISDIR(st.st_mode))
        return fail("%s: is a folder, a file was expected", path);
    if (!S_ISREG(st.st_mode))
        return fail("%s: is not a regular file", path);
    if (!st.st_size)
        return read_into_map(m, fd, path);
    void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED && errno == ENODEV)
        return read_into_map(m, fd, path);
    if (p == MAP_FAILED)
        return fail_errno("%s: cannot be mapped", path);
    *m = (gp_map){p, (size_t)st.st_size};
    gp_bus_watch(p, m->size, path);
    return 0;
}

int gp_open_regular(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* of a pipe it would wait for a writer */
    if (fd < 0)
        return fail_errno("%s", path);
    if (fstat(fd, &st))
        fail_errno("%s", path);
    else if (S_ISDIR(st.st_mode))
        fail("%s: is a folder, a file was expected", path);
    else if (!S_ISREG(st.st_mode))
        fail("%s: is not a regular file", path);
    else
        return fd;
    close(fd);
    return -1;
}

int gp_map_open(gp_map *m, const char *path)
{
    *m = (gp_map){0};
    int fd = gp_open_regular(path);
    if (fd < 0)
        return -1;
    int rc = gp_map_fd(m, fd, path);
    close(fd);
    return rc;
}

void gp_map_close(gp_map *m)
{
    if (m->size) {
        gp_bus_forget(m->data);
        munmap((void *)(uintptr_t)m->data, m->size);
    }
    *m = (gp_map){0};
}

void gp_map_forget(const void *data, size_t bytes)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)data, end = (begin + bytes) / page * page;
    begin = (begin + page - 1) / page * page;
    if (begin < end)
        madvise((void *)begin, end - begin, MADV_DONTNEED);
}

/* Reads all of fd, and closes it unless it is stdin. */
static int read_whole(gp_buf *b, int fd, const char *name, size_t most)
{
    int rc = -1;
    size_t start = b->len;
    for (;;) {
        size_t step = 1 << 16;
        if (b->len - start > step)
            step = b->len - start;
        gp_buf_reserve(b, step);
        ssize_t n = read(fd, b->data + b->len, step);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            fail_errno("%s: cannot be read", name);
            goto out;
        }
        if (!n)
            break;
        b->len += (size_t)n;
        if (b->len - start > most) {
            fail("%s: is larger than %zu bytes, too large for what it should be", name, most);
            goto out;
        }
    }
    b->data[b->len] = 0;
    rc = 0;
out:
    if (fd != STDIN_FILENO)
        close(fd);
    return rc;
}

int gp_file_read(gp_buf *b, const char *path, size_t most)
{
    bool std = !strcmp(path, "-");
    int fd = std ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail_errno("%s", path);
    return read_whole(b, fd, std ? "stdin" : path, most);
}

int gp_file_read_regular(gp_buf *b, const char *path, size_t most)
{
    int fd = gp_open_regular(path);
    return fd < 0 ? -1 : read_whole(b, fd, path, most);
}

int gp_write_all(int fd, const void *data, size_t n, const char *path)
{
    const char *p = data;
    while (n) {
        ssize_t done = write(fd, p, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return fail_errno("%s: cannot be written", path);
        p += done;
        n -= (size_t)done;
    }
    return 0;
}

enum { OUT_BUFFER = 1 << 18 };

int gp_is_stream(const char *path)
{
    static const char *const descriptors[] = {"/dev/stdout", "/dev/stderr", "/dev/fd/", "/proc/"};
    struct stat st;
    for (size_t i = 0; i < ARRAY_LEN(descriptors); i++)
        if (!strncmp(path, descriptors[i], strlen(descriptors[i])))
            return 1;
    if (!strcmp(path, "-"))
        return 1;
    int there = gp_look(path, &st);
    return there > 0 ? !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode) : there;
}

/* The number of the descriptor of this process that path names; -1: none. */
static int own_descriptor(const char *path)
{
    static const char *const folders[] = {"/dev/fd/", "/proc/self/fd/"};
    if (!strcmp(path, "/dev/stdout"))
        return STDOUT_FILENO;
    if (!strcmp(path, "/dev/stderr"))
        return STDERR_FILENO;
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        size_t n = strlen(folders[i]);
        if (strncmp(path, folders[i], n) || !isdigit((unsigned char)path[n]))
            continue;
        char *end;
        long number = strtol(path + n, &end, 10);
        return *end || number > INT_MAX ? -1 : (int)number;
    }
    return -1;
}

int gp_open_stream(const char *path)
{
    int own = own_descriptor(path);
    return own < 0 ? open(path, O_WRONLY | O_CLOEXEC) : fcntl(own, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
}

/* stream: as gp_is_stream gives it. */
static int open_out(gp_out *o, const char *path, int stream)
{
    bool std = stream > 0 && !strcmp(path, "-");
    *o = (gp_out){.fd = STDOUT_FILENO};
    if (stream < 0)
        o->fd = -1;
    else if (!stream)
        o->fd = gp_temporary_beside(path, &o->temporary);
    else if (!std)
        o->fd = gp_open_stream(path);
    if (o->fd < 0) {
        if (stream > 0)
            fail_errno("%s: cannot be opened", path);
        *o = (gp_out){.fd = -1, .failed = true};
        return -1;
    }
    o->path = gp_strdup(std ? "stdout" : path);
    o->pending = gp_malloc(OUT_BUFFER);
    return 0;
}

int gp_out_open(gp_out *o, const char *path)
{
    return open_out(o, path, gp_is_stream(path));
}

int gp_out_open_file(gp_out *o, const char *path)
{
    return open_out(o, path, 0);
}

int gp_out_open_spool(gp_out *o)
{
    *o = (gp_out){.fd = gp_temporary_fd(), .failed = true};
    if (o->fd < 0)
        return -1;
    *o = (gp_out){
        .fd = o->fd, .path = gp_strdup("temporary file (TMPDIR names its folder)"), .pending = gp_malloc(OUT_BUFFER)};
    return 0;
}

int gp_out_map(gp_out *o, gp_map *m, const char *name)
{
    *m = (gp_map){0};
    return gp_out_flush(o) ? -1 : gp_map_fd(m, o->fd, name);
}

int gp_out_flush(gp_out *o)
{
    if (o->failed)
        return -1;
    size_t n = o->pending_size;
    o->pending_size = 0;
    if (gp_write_all(o->fd, o->pending, n, o->path))
        o->failed = true;
    return o->failed ? -1 : 0;
}

int gp_out_write(gp_out *o, const void *data, size_t n)
{
    if (o->failed)
        return -1;
    o->written += (int64_t)n;
    if (n >= OUT_BUFFER) { /* large runs go straight out */
        if (gp_out_flush(o))
            return -1;
        if (gp_write_all(o->fd, data, n, o->path))
            o->failed = true;
        return o->failed ? -1 : 0;
    }
    if (n > OUT_BUFFER - o->pending_size && gp_out_flush(o))
        return -1;
    memcpy(o->pending + o->pending_size, data, n);
    o->pending_size += n;
    return 0;
}

int gp_out_patch(gp_out *o, int64_t offset, const void *data, size_t n)
{
    BUG_ON(!o->temporary);
    if (gp_out_flush(o))
        return -1;
    const char *p = data;
    while (n) {
        ssize_t done = pwrite(o->fd, p, n, offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0) {
            o->failed = true;
            return fail_errno("%s: cannot be written", o->path);
        }
        p += done;
        offset += done;
        n -= (size_t)done;
    }
    return 0;
}

static void out_release(gp_out *o)
{
    free(o->path);
    free(o->temporary);
    free(o->pending);
    *o = (gp_out){.fd = -1, .failed = true};
}

void gp_out_abandon(gp_out *o)
{
    if (o->temporary)
        gp_temporary_drop(o->fd, o->temporary);
    if (o->fd > STDOUT_FILENO)
        close(o->fd);
    out_release(o);
}

int gp_out_prepare(gp_out *o)
{
    int rc = gp_out_flush(o);
    if (o->temporary && !rc && fsync(o->fd))
        rc = fail_errno("%s: cannot be flushed to disk", o->path);
    if (o->temporary && !rc)
        rc = gp_temporary_name(o->fd, &o->temporary);
    if (o->fd > STDOUT_FILENO && close(o->fd) && !rc)
        rc = fail_errno("%s: cannot be written", o->path);
    o->fd = -1;
    o->failed = rc != 0;
    free(o->pending);
    o->pending = NULL;
    return rc;
}

int gp_out_commit(gp_out *o)
{
    int rc = o->pending || o->failed ? gp_out_prepare(o) : 0;
    if (o->temporary && !rc)
        rc = gp_temporary_rename(o->temporary, o->path);
    if (o->temporary && rc)
        unlink(o->temporary);
    else if (o->temporary)
        rc = gp_sync_parent(o->path);
    out_release(o);
    return rc;
}

static int write_whole(gp_out *o, const void *data, size_t n)
{
    gp_out_write(o, data, n);
    return gp_out_commit(o);
}

int gp_file_write(const char *path, const void *data, size_t n)
{
    gp_out o;
    return gp_out_open(&o, path) ? -1 : write_whole(&o, data, n);
}

int gp_file_replace(const char *path, const void *data, size_t n)
{
    gp_out o;
    return gp_out_open_file(&o, path) ? -1 : write_whole(&o, data, n);
}

static int make_dir(const char *path, bool flush)
{
    struct stat st;
    if (!mkdir(path, 0777))
        return flush ? gp_sync_parent(path) : 0;
    if (errno == EEXIST && !stat(path, &st) && S_ISDIR(st.st_mode))
        return 0;
    return errno == EEXIST ? fail("%s: is a file, a folder is needed there", path)
                           : fail_errno("%s: folder cannot be made", path);
}

static int make_dirs(const char *path, bool flush)
{
    char *p = gp_strdup(path);
    int rc = 0;
    for (char *s = p + 1; !rc; s++) {
        if (*s && *s != '/')
            continue;
        char c = *s;
        *s = 0;
        rc = make_dir(p, flush);
        *s = c;
        if (!c)
            break;
    }
    free(p);
    return rc;
}

int gp_make_dirs(const char *path)
{
    return make_dirs(path, true);
}

static int make_parent(const char *path, bool flush)
{
    char *dir = gp_folder_of(path);
    int rc = make_dirs(dir, flush);
    free(dir);
    return rc;
}

int gp_make_parent(const char *path)
{
    return make_parent(path, true);
}

int gp_make_parent_unflushed(const char *path)
{
    return make_parent(path, false);
}

int gp_sync_dir(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
    if (fd < 0)
        return fail_errno("%s", path);
    if (fsync(fd) && errno != EINVAL) /* some file systems cannot flush a folder, and need not */
        rc = fail_errno("%s: cannot be flushed to disk", path);
    close(fd);
    return rc;
}

char *gp_folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return !slash ? gp_strdup(".") : slash == path ? gp_strdup("/") : gp_strndup(path, (size_t)(slash - path));
}

int gp_sync_parent(const char *path)
{
    char *dir = gp_folder_of(path);
    int rc = gp_sync_dir(dir);
    free(dir);
    return rc;
}

int gp_look(const char *path, struct stat *st)
{
    if (!stat(path, st))
        return 1;
    return errno == ENOENT || errno == ENOTDIR ? 0 : fail_errno("%s", path);
}

int gp_exists(const char *path)
{
    struct stat st;
    return gp_look(path, &st);
}

char *gp_path_join(const char *dir, const char *name)
{
    size_t n = strlen(dir);
    return gp_format("%s%s%s", dir, n && dir[n - 1] == '/' ? "" : "/", name);
}

bool gp_path_stays_below(const char *path)
{
    if (!*path || *path == '/')
        return false;
    for (const char *p = path; p; p = strchr(p, '/')) {
        p += *p == '/';
        if (!strncmp(p, "..", 2) && (!p[2] || p[2] == '/'))
            return false;
    }
    return true;
}

int gp_temporary_fd(void)
{
    const char *dir = getenv("TMPDIR");
    char *path = gp_path_join(dir && *dir ? dir : "/tmp", "gptpipe.XXXXXX");
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        fail("%s: temporary file cannot be made: %s (set TMPDIR to a folder with room)", path, strerror(errno));
    else
        unlink(path);
    free(path);
    return fd;
}

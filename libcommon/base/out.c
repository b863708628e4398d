/* out.c: writing files. See file.h. */
#include "base/file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* offset: -1 for the file's current position. */
static int write_at(int fd, int64_t offset, const void *data, size_t n, const char *path)
{
    for (size_t at = 0; at < n;) {
        const char *p = (const char *)data + at;
        ssize_t done = offset < 0 ? write(fd, p, n - at) : pwrite(fd, p, n - at, offset + (off_t)at);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return fail_errno("%s: cannot be written", path);
        at += (size_t)done;
    }
    return 0;
}

int gp_write_all(int fd, const void *data, size_t n, const char *path)
{
    return write_at(fd, -1, data, n, path);
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
    int exists = gp_stat(path, &st);
    return exists > 0 ? !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode) : exists;
}

/* The descriptor of this process that path names, or -1. */
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

/* Opens a stream for writing. A descriptor of this process (/dev/stdout, /dev/fd/N) is duplicated: opening it again
 * would write from the start of its file. */
static int open_stream(const char *path)
{
    int own = own_descriptor(path);
    return own < 0 ? open(path, O_WRONLY | O_CLOEXEC) : fcntl(own, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
}

/* stream: the result of gp_is_stream. */
static int open_out(gp_out *o, const char *path, int stream)
{
    bool std = stream > 0 && !strcmp(path, "-");
    *o = (gp_out){.fd = STDOUT_FILENO};
    if (stream < 0)
        o->fd = -1;
    else if (!stream)
        o->fd = gp_temporary_open(path, &o->temporary);
    else if (!std)
        o->fd = open_stream(path);
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

static int put(gp_out *o, int64_t offset, const void *data, size_t n)
{
    o->failed |= write_at(o->fd, offset, data, n, o->path) != 0;
    return o->failed ? -1 : 0;
}

int gp_out_flush(gp_out *o)
{
    size_t n = o->pending_size;
    o->pending_size = 0;
    return o->failed ? -1 : put(o, -1, o->pending, n);
}

int gp_out_write(gp_out *o, const void *data, size_t n)
{
    if (o->failed)
        return -1;
    o->written += (int64_t)n;
    if (n > OUT_BUFFER - o->pending_size && gp_out_flush(o))
        return -1;
    if (n >= OUT_BUFFER) /* not worth a copy */
        return put(o, -1, data, n);
    memcpy(o->pending + o->pending_size, data, n);
    o->pending_size += n;
    return 0;
}

int gp_out_patch(gp_out *o, int64_t offset, const void *data, size_t n)
{
    BUG_ON(!o->temporary);
    return gp_out_flush(o) ? -1 : put(o, offset, data, n);
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
        gp_temporary_remove(o->fd, o->temporary);
    if (o->fd > STDOUT_FILENO)
        close(o->fd);
    out_release(o);
}

int gp_out_end(gp_out *o, int rc)
{
    if (!rc)
        return gp_out_commit(o);
    gp_out_abandon(o);
    return -1;
}

int gp_out_prepare(gp_out *o)
{
    int rc = gp_out_flush(o);
    if (o->temporary && !rc && fsync(o->fd))
        rc = fail_errno("%s: cannot be flushed to disk", o->path);
    if (o->temporary && !rc)
        rc = gp_temporary_link(o->fd, &o->temporary);
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

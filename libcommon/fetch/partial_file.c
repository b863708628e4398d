/* partial_file.c: see partial_file.h. */
#include "fetch/partial_file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK = 1 << 16, MAX_FROM = 1 << 14 };

static void release(gp_partial *p)
{
    uint8_t digest[32];
    if (p->fd >= 0)
        close(p->fd); /* and with it the lock */
    if (p->hash.context)
        gp_sha256_end(&p->hash, digest);
    free(p->path);
    free(p->temporary);
    free(p->from);
    free(p->url);
    free(p->validator);
    *p = (gp_partial){.fd = -1};
}

static gp_partial_state open_locked(gp_partial *p, bool wait)
{
    for (;;) {
        struct stat here, named;
        int rc;
        p->fd = open(p->temporary, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
        if (p->fd < 0 && errno == ELOOP)
            return fail("%s: is a symbolic link, which may lead to another's file; remove it", p->temporary);
        if (p->fd < 0)
            return fail("%s: cannot be created: %s", p->temporary, strerror(errno));
        if (fstat(p->fd, &here) || !S_ISREG(here.st_mode))
            return fail("%s: is not a regular file; remove it", p->temporary);
        do {
            rc = flock(p->fd, LOCK_EX | (wait ? 0 : LOCK_NB));
        } while (rc && errno == EINTR);
        if (rc && errno == EWOULDBLOCK)
            return GP_PARTIAL_BUSY;
        if (rc && errno != ENOLCK && errno != EOPNOTSUPP && errno != ENOSYS) /* a file system without locks */
            return fail_errno("%s: cannot be locked", p->temporary);
        /* The process that had the lock may have renamed or removed what was opened. */
        rc = lstat(p->temporary, &named);
        if (fstat(p->fd, &here) || (rc && errno != ENOENT))
            return fail_errno("%s", p->temporary);
        if (!rc && here.st_ino == named.st_ino && here.st_dev == named.st_dev)
            return GP_PARTIAL_READY;
        close(p->fd);
    }
}

/* Begins the hash with the bytes of an earlier run. */
static int hash_existing(gp_partial *p)
{
    char *block = gp_malloc(BLOCK);
    int rc = 0;
    gp_sha256_begin(&p->hash);
    for (ssize_t n; (n = gp_read(p->fd, block, BLOCK, p->done)); p->done += n) {
        if (n < 0) {
            rc = fail("%s: cannot be read: %s", p->temporary, strerror(errno));
            break;
        }
        gp_sha256_add(&p->hash, block, (size_t)n);
    }
    p->resumed = p->done > 0;
    free(block);
    return rc;
}

/* PATH.part.from: the URL, the validator, and the size if there is no validator, each followed by a newline. It is
 * written in place: one that was cut short matches no server, and all of the file is requested again. */
static int read_source(gp_partial *p)
{
    gp_buf b = {0};
    int rc = gp_file_read_regular(&b, p->from, MAX_FROM);
    if (!rc && b.len && b.data[b.len - 1] == '\n') {
        char *rest = b.data, *url = strsep(&rest, "\n"), *validator = strsep(&rest, "\n");
        char *size = strsep(&rest, "\n"), *end = size;
        p->url = *url ? gp_strdup(url) : NULL;
        p->validator = validator && *validator ? gp_strdup(validator) : NULL;
        long long whole = size && isdigit((uint8_t)*size) ? strtoll(size, &end, 10) : -1;
        p->whole = whole >= 0 && !*end ? whole : -1;
    }
    gp_buf_release(&b);
    return rc && gp_error_is_io() ? -1 : 0; /* one that is missing, broken or far too long records no source */
}

static gp_partial_state open_part(gp_partial *p, const char *path, bool wait)
{
    int stream = gp_is_stream(path);
    if (stream > 0)
        fail("%s: is a device or a pipe; use -o - and redirect stdout", path);
    if (stream || gp_make_parent(path))
        return GP_PARTIAL_FAILED;
    p->path = gp_strdup(path);
    p->temporary = gp_format("%s.part", path);
    p->from = gp_format("%s.part.from", path);
    return open_locked(p, wait);
}

gp_partial_state gp_partial_open(gp_partial *p, const char *path, bool wait)
{
    *p = (gp_partial){.fd = -1, .whole = -1};
    gp_partial_state state = GP_PARTIAL_FAILED;
    if (strcmp(path, "-"))
        state = open_part(p, path, wait);
    else if ((p->fd = gp_temporary_fd()) >= 0)
        state = GP_PARTIAL_READY;
    if (state == GP_PARTIAL_READY && (hash_existing(p) || (p->done && read_source(p))))
        state = GP_PARTIAL_FAILED;
    if (state != GP_PARTIAL_READY)
        release(p);
    return state;
}

int gp_partial_add(gp_partial *p, const void *data, size_t n)
{
    const char *from = data;
    gp_sha256_add(&p->hash, data, n);
    while (n) {
        ssize_t written = pwrite(p->fd, from, n, p->done);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return fail("%s: cannot be written: %s%s", p->temporary ? p->temporary : "temporary file",
                        strerror(written ? errno : ENOSPC),
                        p->temporary ? "; what was downloaded is kept; free some space and run it again" : "");
        from += written;
        n -= (size_t)written;
        p->done += written;
    }
    return 0;
}

int gp_partial_restart(gp_partial *p)
{
    uint8_t digest[32];
    gp_sha256_end(&p->hash, digest);
    gp_sha256_begin(&p->hash);
    p->done = 0;
    p->resumed = false;
    if (ftruncate(p->fd, 0))
        return fail("%s: cannot be cut: %s", p->temporary ? p->temporary : "temporary file", strerror(errno));
    return 0;
}

void gp_partial_source(gp_partial *p, const char *url, const char *validator, int64_t whole)
{
    char *new_url = gp_strdup(url), *new_validator = validator ? gp_strdup(validator) : NULL;
    free(p->url);
    free(p->validator);
    p->url = new_url;
    p->validator = new_validator;
    p->whole = whole;
    if (!p->from)
        return;
    char *text = gp_format("%s\n%s\n", url, validator ? validator : "");
    if (whole >= 0) {
        char *sized = gp_format("%s%lld\n", text, (long long)whole);
        free(text);
        text = sized;
    }
    int fd = open(p->from, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0666);
    if (fd < 0 || gp_write_all(fd, text, strlen(text), p->from))
        unlink(p->from); /* the next run starts over; no reason to stop this one */
    if (fd >= 0)
        close(fd);
    free(text);
}

void gp_partial_digest(const gp_partial *p, char *hex)
{
    gp_sha256 copy = gp_sha256_copy(&p->hash);
    gp_sha256_end_hex(&copy, hex, 32);
}

static int copy_to_stdout(const gp_partial *p)
{
    char *block = gp_malloc(BLOCK);
    int rc = 0;
    int64_t at = 0;
    while (!rc && at < p->done) {
        ssize_t n = gp_read(p->fd, block, BLOCK, at);
        if (n <= 0)
            rc = fail("temporary file: cannot be read: %s", strerror(n ? errno : EIO));
        else
            rc = gp_write_all(STDOUT_FILENO, block, (size_t)n, "stdout");
        at += n;
    }
    free(block);
    return rc;
}

int gp_partial_commit(gp_partial *p)
{
    int rc = 0;
    if (!p->path) {
        rc = copy_to_stdout(p);
    } else {
        if (fsync(p->fd))
            rc = fail("%s: cannot be flushed to disk: %s", p->temporary, strerror(errno));
        else if (rename(p->temporary, p->path))
            rc = fail("%s: cannot be renamed into place: %s", p->path, strerror(errno));
        else
            rc = gp_sync_parent(p->path);
        if (!rc)
            unlink(p->from);
    }
    release(p);
    return rc;
}

void gp_partial_close(gp_partial *p, bool keep)
{
    if (p->path && (!keep || !p->done)) {
        unlink(p->temporary);
        unlink(p->from);
    }
    release(p);
}

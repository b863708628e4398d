/* run_lock.c: the lock of a run. A new lock file is written and locked before it gets its name, so that other processes
 * never see an empty or unlocked one. */
#include "base/file.h"
#include "run/run_own.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

const char gp_run_lock_name[] = ".lock";

static const char title[] = "gptpipe train\n"; /* and the process id in the second line */

enum { TEXT = 64 };

static int lock_text(char text[TEXT])
{
    return snprintf(text, TEXT, "%s%ld\n", title, (long)getpid());
}

/* Another process has the lock; its id is in the last line of the file. */
static int refuse_locked(const gp_run *r, int fd)
{
    char text[TEXT] = "";
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    const char *number = n > 0 && !strncmp(text, title, strlen(title)) ? text + strlen(title) : text;
    return fail("%s: is being written by process %ld; wait until it ends, or stop it", r->path,
                strtol(number, NULL, 10));
}

static int flock_now(const gp_run *r, int fd)
{
    if (!flock(fd, LOCK_EX | LOCK_NB))
        return 0;
    return errno == EWOULDBLOCK ? refuse_locked(r, fd)
                                : fail_errno("%s/%s: cannot be locked", r->path, gp_run_lock_name);
}

/* Replaces a locked file that has other hard links by a new one, locked: a copy of a run that was made with hard links
 * must have its own lock. */
static int replace_lock(gp_run *r)
{
    char *temporary = gp_temporary_path(gp_run_lock_name);
    int rc = -1, fd = openat(r->dir, temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd < 0) {
        fail_errno("%s/%s: cannot be created", r->path, gp_run_lock_name);
        goto out;
    }
    rc = flock_now(r, fd);
    if (!rc && renameat(r->dir, temporary, r->dir, gp_run_lock_name))
        rc = fail_errno("%s/%s: cannot be replaced", r->path, gp_run_lock_name);
    if (rc) {
        unlinkat(r->dir, temporary, 0);
        close(fd);
    } else {
        close(r->lock);
        r->lock = fd;
    }
out:
    free(temporary);
    return rc;
}

/* Locks the file that .lock names now: another process may have replaced it between open and lock. */
static int lock_own(gp_run *r)
{
    enum { TRIES = 100 };
    for (int i = 0; i < TRIES; i++) {
        struct stat st, now;
        if (gp_run_open_own(r, gp_run_lock_name, O_RDWR | O_CREAT, &r->lock) < 0 || flock_now(r, r->lock))
            return -1;
        int there = !fstatat(r->dir, gp_run_lock_name, &now, AT_SYMLINK_NOFOLLOW);
        if (fstat(r->lock, &st) || (!there && errno != ENOENT))
            return fail_errno("%s/%s", r->path, gp_run_lock_name);
        if (there && st.st_dev == now.st_dev && st.st_ino == now.st_ino)
            return st.st_nlink > 1 ? replace_lock(r) : 0;
        close(r->lock);
        r->lock = -1;
    }
    return fail("%s/%s: is replaced again and again", r->path, gp_run_lock_name);
}

int gp_run_lock(gp_run *r)
{
    char text[TEXT];
    int n = lock_text(text);
    if (lock_own(r))
        return -1;
    if (ftruncate(r->lock, 0))
        return fail_errno("%s/%s: cannot be written", r->path, gp_run_lock_name);
    return gp_write_all(r->lock, text, (size_t)n, r->path);
}

/* Gives the file its name unless that exists. */
static int name_lock(const gp_run *r, const char *temporary)
{
    if (!renameat2(r->dir, temporary, r->dir, gp_run_lock_name, RENAME_NOREPLACE))
        return 0;
    if (errno == EEXIST)
        return -1;
    if (linkat(r->dir, temporary, r->dir, gp_run_lock_name, 0)) /* the file system does not support the flag */
        return -1;
    unlinkat(r->dir, temporary, 0);
    return 0;
}

int gp_run_lock_new(gp_run *r)
{
    char text[TEXT], *temporary = gp_temporary_path(gp_run_lock_name);
    int n = lock_text(text), rc = -1;
    r->lock = openat(r->dir, temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (r->lock < 0) {
        fail_errno("%s/%s: cannot be created", r->path, gp_run_lock_name);
        goto out;
    }
    if (!flock_now(r, r->lock) && !gp_write_all(r->lock, text, (size_t)n, r->path)) {
        rc = name_lock(r, temporary);
        if (rc)
            fail_errno("%s/%s: cannot be created", r->path, gp_run_lock_name);
    }
    if (rc)
        unlinkat(r->dir, temporary, 0);
out:
    free(temporary);
    return rc;
}

int gp_run_lock_is_left(const gp_run *r)
{
    char text[TEXT];
    int fd, there = gp_run_open_own(r, gp_run_lock_name, O_RDWR, &fd);
    if (there <= 0)
        return there;
    ssize_t n = flock_now(r, fd) ? -1 : pread(fd, text, sizeof text - 1, 0);
    size_t head = strlen(title);
    bool ours = n > (ssize_t)head && !memcmp(text, title, head);
    if (ours) {
        text[n] = 0;
        size_t digits = strspn(text + head, "0123456789");
        ours = digits && !strcmp(text + head + digits, "\n");
    }
    close(fd);
    return n < 0 ? -1 : ours;
}

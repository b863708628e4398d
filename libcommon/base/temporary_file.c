/* temporary_file.c: files that are written under a temporary name, or none, and then renamed. A temporary name is
 * NAME.ID.tmp, ID being 16 random hexadecimal digits of the process: it can be recognized but not predicted. While any
 * temporary file of a process has a name, at least one of them is locked. If none with an ID is locked, their process
 * has ended, and the next process that writes the same file removes them. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ID = 16, TRIES = 100 };

/* ---- names ----------------------------------------------------------------------------------------------- */

static uint64_t random_id(void)
{
    uint64_t id = 0;
    while (getrandom(&id, sizeof id, 0) != sizeof id)
        if (errno != EINTR)
            die("no random numbers: %s", strerror(errno));
    return id;
}

/* The ID of this process, the same for all its files; forked children have others. */
static uint64_t own_id(void)
{
    static _Atomic uint64_t own;
    uint64_t id = atomic_load(&own), none = 0;
    if (!id) {
        id = random_id() | 1;
        id = atomic_compare_exchange_strong(&own, &none, id) ? id : none;
    }
    return id ^ (uint64_t)getpid();
}

static char *name_with(const char *path, uint64_t id)
{
    return gp_format("%s.%016llx.tmp", path, (unsigned long long)id);
}

char *gp_temporary_path(const char *path)
{
    return name_with(path, random_id());
}

size_t gp_temporary_target_length(const char *name)
{
    static const char digits[] = "0123456789abcdef";
    size_t n = strlen(name);
    if (n < 1 + 1 + ID + 4 || strcmp(name + n - 4, ".tmp"))
        return 0;
    n -= 4 + ID;
    return strspn(name + n, digits) == ID && name[n - 1] == '.' ? n - 1 : 0;
}

/* ---- files of ended processes ---------------------------------------------------------------------------- */

/* Whether a live process has locked it. A file that cannot be opened or locked counts as locked. */
static bool is_locked(int dir, const char *name)
{
    int fd = openat(dir, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && (errno == EISDIR || errno == EACCES))
        fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    bool locked = fd < 0 ? errno != ENOENT : flock(fd, LOCK_EX | LOCK_NB) != 0;
    if (fd >= 0)
        close(fd);
    return locked;
}

/* Whether the target of a temporary name is `name` ("a.tok") or, with shards, one of its shards ("a_000001.tok"). */
static bool is_for(const char *target, size_t length, const char *name, bool shards)
{
    const char *dot = strrchr(name, '.');
    size_t whole = strlen(name), head = dot && dot > name ? (size_t)(dot - name) : whole, tail = whole - head;
    if (length == whole && !memcmp(target, name, whole))
        return true;
    if (!shards || length < head + 7 + tail || memcmp(target, name, head) || target[head] != '_' ||
        memcmp(target + length - tail, name + head, tail))
        return false;
    return strspn(target + head + 1, "0123456789") == length - head - 1 - tail;
}

static bool is_alive(int dir, char **names, int64_t count, const char *id)
{
    for (int64_t i = 0; i < count; i++) {
        size_t n = gp_temporary_target_length(names[i]);
        if (n && !memcmp(names[i] + n + 1, id, ID) && is_locked(dir, names[i]))
            return true;
    }
    return false;
}

void gp_temporary_clean(const char *path, bool shards)
{
    char *folder = gp_folder_of(path), **names = NULL;
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *id = "";
    int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int64_t count = 0;
    bool alive = true;
    if (dir >= 0 && gp_folder_list_at(dir, folder, &names, &count))
        count = 0;
    for (int64_t i = 0; i < count; i++) {
        size_t n = gp_temporary_target_length(names[i]);
        if (!n || !is_for(names[i], n, name, shards))
            continue;
        if (strncmp(id, names[i] + n + 1, ID)) {
            id = names[i] + n + 1;
            alive = is_alive(dir, names, count, id);
        }
        if (!alive && unlinkat(dir, names[i], 0) && errno == EISDIR)
            gp_folder_remove_at(dir, names[i], NULL);
    }
    gp_folder_list_free(names, count);
    if (dir >= 0)
        close(dir);
    free(folder);
}

/* ---- creating one ---------------------------------------------------------------------------------------- */

void gp_temporary_lock(int fd)
{
    (void)!flock(fd, LOCK_EX | LOCK_NB); /* without locks in the file system, is_locked is true: no cleaning up */
}

/* A duplicate of the descriptor of the file that was named last: it stays locked until it has been renamed. */
static _Atomic int last_locked = -1;

static void stay_locked(int fd)
{
    int previous = atomic_exchange(&last_locked, fd);
    if (previous >= 0)
        close(previous);
}

int gp_temporary_rename(const char *temporary, const char *path)
{
    struct stat locked, renamed;
    if (rename(temporary, path))
        return fail_errno("%s: cannot be renamed into place", path);
    int fd = atomic_exchange(&last_locked, -1);
    if (fd >= 0 && !fstat(fd, &locked) && !lstat(path, &renamed) && locked.st_ino == renamed.st_ino)
        close(fd);
    else if (fd >= 0)
        stay_locked(fd);
    return 0;
}

static void self_path(char path[40], int fd)
{
    snprintf(path, 40, "/proc/self/fd/%d", fd);
}

/* An unnamed file, if it can be given a name later, which takes /proc; else -1. */
static int open_unnamed(const char *folder)
{
    struct stat opened, found;
    char self[40];
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
    if (fd < 0)
        return -1;
    self_path(self, fd);
    if (!fstat(fd, &opened) && !stat(self, &found) && opened.st_dev == found.st_dev && opened.st_ino == found.st_ino)
        return fd;
    close(fd);
    return -1;
}

/* A new file under a name that no one could predict. */
static int open_named(const char *path, char **temporary)
{
    uint64_t id = own_id();
    int fd = -1;
    for (int i = 0; i < TRIES && fd < 0; i++, id = random_id()) {
        *temporary = name_with(path, id);
        fd = open(*temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
        if (fd < 0) {
            int error = errno;
            free(*temporary);
            *temporary = NULL;
            errno = error;
            if (error != EEXIST)
                break;
        }
    }
    return fd;
}

/* Copies the permissions of the file to be replaced, those of its group only if the group can be set. */
static int copy_mode(int fd, const struct stat *st, const char *path)
{
    struct stat own;
    mode_t mode = st->st_mode & 0777;
    if (fstat(fd, &own))
        return fail_errno("%s", path);
    if (own.st_gid != st->st_gid && fchown(fd, (uid_t)-1, st->st_gid))
        mode &= (mode_t)~070;
    if ((own.st_mode & 0777) != mode && fchmod(fd, mode) && errno != EPERM && errno != EOPNOTSUPP)
        return fail_errno("%s: its permissions cannot be preserved", path);
    return 0;
}

int gp_temporary_open(const char *path, char **temporary)
{
    struct stat st;
    *temporary = NULL;
    int exists = gp_stat(path, &st);
    if (exists < 0)
        return -1;
    if (exists && S_ISDIR(st.st_mode))
        return fail("%s: is a folder, a file is to be written", path);
    gp_temporary_clean(path, false);
    char *folder = gp_folder_of(path);
    int fd = open_unnamed(folder);
    free(folder);
    if (fd >= 0)
        *temporary = name_with(path, own_id());
    else
        fd = open_named(path, temporary);
    if (fd < 0)
        return fail_errno("%s: cannot be created", path);
    gp_temporary_lock(fd);
    bool regular = !lstat(path, &st) && S_ISREG(st.st_mode); /* the permissions of a symbolic link mean nothing */
    if (!regular || !copy_mode(fd, &st, path))
        return fd;
    gp_temporary_remove(fd, *temporary);
    close(fd);
    free(*temporary);
    *temporary = NULL;
    return -1;
}

int gp_temporary_link(int fd, char **temporary)
{
    struct stat st;
    char self[40];
    if (fstat(fd, &st))
        return fail_errno("%s", *temporary);
    self_path(self, fd);
    for (int i = 0; !st.st_nlink && i < TRIES; i++) {
        if (!linkat(AT_FDCWD, self, AT_FDCWD, *temporary, AT_SYMLINK_FOLLOW))
            break;
        if (errno != EEXIST)
            return fail_errno("%s: cannot be named", *temporary);
        char *path = gp_strndup(*temporary, strlen(*temporary) - ID - 5);
        free(*temporary);
        *temporary = gp_temporary_path(path);
        free(path);
    }
    stay_locked(fcntl(fd, F_DUPFD_CLOEXEC, 3));
    return 0;
}

void gp_temporary_remove(int fd, const char *temporary)
{
    struct stat st;
    if (fd < 0 || (!fstat(fd, &st) && st.st_nlink))
        unlink(temporary);
}

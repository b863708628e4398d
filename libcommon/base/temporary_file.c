/* temporary_file.c: files on their way to a name. A temporary name is NAME.ID.tmp, ID 16 hexadecimal digits that the
 * process draws; so it cannot be foreseen, and is recognised. While one of a process's temporary files has a name, at
 * least one of them is locked: those of which none is were left by a process that is gone, and are removed by the next
 * one that makes the same file. */
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

static uint64_t draw_id(void)
{
    uint64_t id = 0;
    while (getrandom(&id, sizeof id, 0) != sizeof id)
        if (errno != EINTR)
            die("no random numbers: %s", strerror(errno));
    return id;
}

/* The process's, the same for all that it writes, and another one in its children. */
static uint64_t own_id(void)
{
    static _Atomic uint64_t own;
    uint64_t id = atomic_load(&own), none = 0;
    if (!id) {
        id = draw_id() | 1;
        id = atomic_compare_exchange_strong(&own, &none, id) ? id : none;
    }
    return id ^ (uint64_t)getpid();
}

static char *name_with(const char *path, uint64_t id)
{
    return gp_format("%s.%016llx.tmp", path, (unsigned long long)id);
}

char *gp_temporary_name_of(const char *path)
{
    return name_with(path, draw_id());
}

size_t gp_temporary_stem(const char *name)
{
    static const char digits[] = "0123456789abcdef";
    size_t n = strlen(name);
    if (n < 1 + 1 + ID + 4 || strcmp(name + n - 4, ".tmp"))
        return 0;
    n -= 4 + ID;
    return strspn(name + n, digits) == ID && name[n - 1] == '.' ? n - 1 : 0;
}

/* ---- what others left ------------------------------------------------------------------------------------ */

/* Whether a process that lives has locked it. What cannot be opened or locked may be alive. */
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

/* "a.tok" for a.tok; where it is to be in shards, "a_000001.tok" too. */
static bool is_for(const char *stem, size_t length, const char *name, bool shards)
{
    const char *dot = strrchr(name, '.');
    size_t whole = strlen(name), head = dot && dot > name ? (size_t)(dot - name) : whole, tail = whole - head;
    if (length == whole && !memcmp(stem, name, whole))
        return true;
    if (!shards || length < head + 7 + tail || memcmp(stem, name, head) || stem[head] != '_' ||
        memcmp(stem + length - tail, name + head, tail))
        return false;
    return strspn(stem + head + 1, "0123456789") == length - head - 1 - tail;
}

static bool is_alive(int dir, char **names, int64_t count, const char *id)
{
    for (int64_t i = 0; i < count; i++) {
        size_t n = gp_temporary_stem(names[i]);
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
        size_t n = gp_temporary_stem(names[i]);
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

/* ---- making one ------------------------------------------------------------------------------------------ */

void gp_temporary_lock(int fd)
{
    (void)!flock(fd, LOCK_EX | LOCK_NB); /* a file system without locks is one on which nobody cleans up */
}

/* The newest that has been named stays locked after it is closed, until it is renamed. */
static _Atomic int locked = -1;

static void keep_locked(int fd)
{
    int before = atomic_exchange(&locked, fd);
    if (before >= 0)
        close(before);
}

int gp_temporary_rename(const char *temporary, const char *path)
{
    struct stat held, named;
    if (rename(temporary, path))
        return fail_errno("%s: cannot be renamed into place", path);
    int fd = atomic_exchange(&locked, -1);
    if (fd >= 0 && !fstat(fd, &held) && !lstat(path, &named) && held.st_ino == named.st_ino)
        close(fd);
    else if (fd >= 0)
        keep_locked(fd);
    return 0;
}

static void self_path(char path[40], int fd)
{
    snprintf(path, 40, "/proc/self/fd/%d", fd);
}

/* Without a name, where that can be given to it later: which takes /proc. -1 where it cannot. */
static int open_nameless(const char *folder)
{
#ifdef O_TMPFILE
    struct stat opened, found;
    char self[40];
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
    if (fd < 0)
        return -1;
    self_path(self, fd);
    if (!fstat(fd, &opened) && !stat(self, &found) && opened.st_dev == found.st_dev && opened.st_ino == found.st_ino)
        return fd;
    close(fd);
#else
    (void)folder;
#endif
    return -1;
}

/* A new one, under a name that nobody else can have prepared. */
static int open_named(const char *path, char **temporary)
{
    uint64_t id = own_id();
    int fd = -1;
    for (int i = 0; i < TRIES && fd < 0; i++, id = draw_id()) {
        *temporary = name_with(path, id);
        fd = open(*temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
        if (fd < 0) {
            int why = errno;
            free(*temporary);
            *temporary = NULL;
            errno = why;
            if (why != EEXIST)
                break;
        }
    }
    return fd;
}

/* What replaces a file has its permissions, and its group's too where it can have its group. */
static int take_mode(int fd, const struct stat *st, const char *path)
{
    struct stat own;
    mode_t mode = st->st_mode & 0777;
    if (fstat(fd, &own))
        return fail_errno("%s", path);
    if (own.st_gid != st->st_gid && fchown(fd, (uid_t)-1, st->st_gid))
        mode &= (mode_t)~070;
    if ((own.st_mode & 0777) != mode && fchmod(fd, mode) && errno != EPERM && errno != EOPNOTSUPP)
        return fail_errno("%s: its permissions cannot be kept", path);
    return 0;
}

int gp_temporary_beside(const char *path, char **temporary)
{
    struct stat st;
    *temporary = NULL;
    int there = gp_look(path, &st);
    if (there < 0)
        return -1;
    if (there && S_ISDIR(st.st_mode))
        return fail("%s: is a folder, a file is to be written", path);
    gp_temporary_clean(path, false);
    char *folder = gp_folder_of(path);
    int fd = open_nameless(folder);
    free(folder);
    if (fd >= 0)
        *temporary = name_with(path, own_id());
    else
        fd = open_named(path, temporary);
    if (fd < 0)
        return fail_errno("%s: cannot be created", path);
    gp_temporary_lock(fd);
    there = lstat(path, &st) ? 0 : S_ISREG(st.st_mode); /* a link is replaced itself: its permissions say nothing */
    if (!there || !take_mode(fd, &st, path))
        return fd;
    gp_temporary_drop(fd, *temporary);
    close(fd);
    free(*temporary);
    *temporary = NULL;
    return -1;
}

int gp_temporary_name(int fd, char **temporary)
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
        *temporary = gp_temporary_name_of(path);
        free(path);
    }
    keep_locked(fcntl(fd, F_DUPFD_CLOEXEC, 3));
    return 0;
}

void gp_temporary_drop(int fd, const char *temporary)
{
    struct stat st;
    if (fd < 0 || (!fstat(fd, &st) && st.st_nlink))
        unlink(temporary);
}

/* file.c: reading and mapping files. See file.h. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

ssize_t gp_read(int fd, void *data, size_t n, int64_t offset)
{
    ssize_t done;
    do
        done = offset < 0 ? read(fd, data, n) : pread(fd, data, n, (off_t)offset);
    while (done < 0 && errno == EINTR);
    return done;
}

/* Reads a file that cannot be mapped (in /proc, on some network file systems) into a memfd and maps that: anonymous
 * memory would read as zeros after gp_map_drop_pages. */
static int read_into_map(gp_map *m, int fd, const char *path)
{
    size_t size = 0, capacity = 0;
    char *p = NULL;
    int memory = memfd_create("gptpipe", MFD_CLOEXEC), rc = -1;
    if (memory < 0)
        return fail_errno("%s: no memory to read it into", path);
    for (;;) {
        if (size == capacity) {
            size_t more = capacity ? 2 * capacity : 1 << 16;
            void *grown = ftruncate(memory, (off_t)more) ? MAP_FAILED
                          : capacity                     ? mremap(p, capacity, more, MREMAP_MAYMOVE)
                                     : mmap(NULL, more, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
            if (grown == MAP_FAILED)
                die("out of memory (%zu bytes of %s)", more, path);
            p = grown;
            capacity = more;
        }
        ssize_t n = gp_read(fd, p + size, capacity - size, (int64_t)size);
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
        munmap(p, capacity);
        m->data = ""; /* not NULL, which allows no pointer arithmetic */
        return rc;
    }
    if (mremap(p, capacity, size, 0) == MAP_FAILED) /* unmaps what gp_map_close would not */
        die("out of memory");
    *m = (gp_map){p, size};
    return 0;
}

/* A regular file of size 0 may still have content: files in /proc do. */
int gp_map_fd(gp_map *m, int fd, const char *path)
{
    struct stat st;
    *m = (gp_map){0};
    if (fstat(fd, &st))
        return fail_errno("%s", path);
    if (S_ISDIR(st.st_mode))
        return fail("%s: is a folder, expected a file", path);
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
    gp_sigbus_watch(p, m->size, path, &st);
    return 0;
}

int gp_open_regular(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* O_NONBLOCK: a pipe may have no writer */
    if (fd < 0)
        return fail_errno("%s", path);
    if (fstat(fd, &st))
        fail_errno("%s", path);
    else if (S_ISDIR(st.st_mode))
        fail("%s: is a folder, expected a file", path);
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
        gp_sigbus_unwatch(m->data);
        munmap((void *)(uintptr_t)m->data, m->size);
    }
    *m = (gp_map){0};
}

void gp_map_drop_pages(const void *data, size_t bytes)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)data, end = (begin + bytes) / page * page;
    begin = (begin + page - 1) / page * page;
    if (begin < end)
        madvise((void *)begin, end - begin, MADV_DONTNEED);
}

void gp_map_populate(const void *data, size_t bytes)
{
#ifdef MADV_POPULATE_READ
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)data / page * page;
    if (bytes)
        madvise((void *)begin, (uintptr_t)data + bytes - begin, MADV_POPULATE_READ); /* rounded up to whole pages */
#else
    (void)data, (void)bytes;
#endif
}

/* Reads all of fd, and closes it unless it is stdin. */
static int read_whole(gp_buf *b, int fd, const char *name, size_t max)
{
    int rc = -1;
    size_t start = b->len;
    for (;;) {
        size_t step = (size_t)gp_max(1 << 16, (int64_t)(b->len - start));
        gp_buf_reserve(b, step);
        ssize_t n = gp_read(fd, b->data + b->len, step, -1);
        if (n < 0) {
            fail_errno("%s: cannot be read", name);
            goto out;
        }
        if (!n)
            break;
        b->len += (size_t)n;
        if (b->len - start > max) {
            fail("%s: is larger than the limit of %zu bytes for such a file", name, max);
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

int gp_file_read(gp_buf *b, const char *path, size_t max)
{
    bool std = !strcmp(path, "-");
    int fd = std ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail_errno("%s", path);
    return read_whole(b, fd, std ? "stdin" : path, max);
}

int gp_file_read_regular(gp_buf *b, const char *path, size_t max)
{
    int fd = gp_open_regular(path);
    return fd < 0 ? -1 : read_whole(b, fd, path, max);
}

int gp_refuse_lfs_pointer(const char *head, size_t n, const char *name)
{
    static const char first[] = "version https://git-lfs.github.com/spec/";
    if (n < 8 || memcmp(head, first, n < sizeof first - 1 ? n : sizeof first - 1) != 0)
        return 0;
    return fail("%s: is a Git LFS pointer, which stands for the file; run `git lfs pull` in its folder, or download it",
                name);
}

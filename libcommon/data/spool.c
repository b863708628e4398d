/* spool.c: see spool.h. */
#include "data/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int gp_input_open(gp_input *in, const char *path)
{
    bool std = !strcmp(path, "-");
    struct stat st;
    *in = (gp_input){.fd = std ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC)};
    if (in->fd < 0)
        return fail_errno("%s", path);
    if (std && isatty(in->fd))
        return fail("stdin is a terminal; name a file or pipe something in");
    if (fstat(in->fd, &st)) {
        fail_errno("%s", path);
        goto failed;
    }
    if (!std && S_ISDIR(st.st_mode)) {
        fail("%s: is a folder, a file was expected", path);
        goto failed;
    }
    in->name = gp_strdup(std ? "stdin" : path);
    in->mapped = S_ISREG(st.st_mode) && lseek(in->fd, 0, SEEK_CUR) == 0;
    return 0;
failed:
    if (!std)
        close(in->fd);
    return -1;
}

void gp_input_close(gp_input *in)
{
    if (in->name && in->fd > STDIN_FILENO)
        close(in->fd);
    free(in->name);
    *in = (gp_input){.fd = -1};
}

typedef int sink(void *self, const void *data, size_t n);

static int copy(gp_input *in, sink *put, void *self)
{
    enum { STEP = 1 << 18 };
    char *buffer = gp_malloc(STEP);
    int rc = 0;
    for (;;) {
        ssize_t n = read(in->fd, buffer, STEP);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rc = fail_errno("%s: cannot be read", in->name);
        if (n <= 0 || (rc = put(self, buffer, (size_t)n)))
            break;
    }
    free(buffer);
    return rc;
}

static int put_fd(void *self, const void *data, size_t n)
{
    return gp_write_all(*(int *)self, data, n, "temporary file (TMPDIR names its folder)");
}

int gp_input_spool(gp_input *in, gp_map *m)
{
    int fd = gp_temporary_fd();
    *m = (gp_map){0};
    if (fd < 0)
        return -1;
    int rc = copy(in, put_fd, &fd);
    if (!rc)
        rc = gp_map_fd(m, fd, in->name);
    close(fd);
    return rc;
}

static int put_out(void *self, const void *data, size_t n)
{
    return gp_out_write(self, data, n);
}

int gp_input_spool_to(gp_input *in, gp_out *out, gp_map *m)
{
    *m = (gp_map){0};
    if (copy(in, put_out, out) || gp_out_flush(out))
        return -1;
    return gp_map_fd(m, out->fd, out->path);
}

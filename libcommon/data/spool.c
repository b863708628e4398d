/* spool.c: see spool.h. */
#include "data/spool.h"

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
        fail("%s: is a folder, expected a file", path);
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

int gp_input_spool_to(gp_input *in, int64_t max, gp_out *out, gp_map *m, const char *name)
{
    enum { STEP = 1 << 18 };
    char *buffer = gp_malloc(STEP);
    int rc = 0;
    while (!rc && max > 0) {
        ssize_t n = gp_read(in->fd, buffer, (size_t)gp_min(STEP, max), -1);
        if (n < 0)
            rc = fail_errno("%s: cannot be read", in->name);
        if (n <= 0)
            break;
        rc = gp_out_write(out, buffer, (size_t)n);
        max -= n;
    }
    free(buffer);
    *m = (gp_map){0};
    return rc ? rc : gp_out_map(out, m, name);
}

int gp_input_spool(gp_input *in, int64_t max, gp_map *m)
{
    gp_out out;
    *m = (gp_map){0};
    if (gp_out_open_spool(&out))
        return -1;
    int rc = gp_input_spool_to(in, max, &out, m, in->name);
    gp_out_abandon(&out);
    return rc;
}

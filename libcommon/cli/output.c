/* output.c: see output.h. */
#include "gptpipe/output.h"
#include "base/base.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct gp_output {
    FILE *stream;
    gp_out out; /* path NULL: stdout */
};

/* Flushes gp_out too, since a reader may be waiting. */
static ssize_t put(void *self, const char *data, size_t n)
{
    gp_output *o = self;
    return gp_out_write(&o->out, data, n) || gp_out_flush(&o->out) ? 0 : (ssize_t)n;
}

gp_output *gp_output_open(const char *path)
{
    gp_output *o = gp_calloc(1, sizeof *o);
    o->stream = stdout;
    if (!path || !strcmp(path, "-"))
        return o;
    if (gp_out_open(&o->out, path)) {
        free(o);
        return NULL;
    }
    o->stream = fopencookie(o, "w", (cookie_io_functions_t){.write = put});
    if (!o->stream)
        die("%s: %s", path, strerror(errno));
    if (isatty(o->out.fd))
        setvbuf(o->stream, NULL, _IOLBF, BUFSIZ);
    return o;
}

FILE *gp_output_stream(gp_output *o)
{
    return o->stream;
}

int gp_output_close(gp_output *o, bool keep)
{
    int rc = 0;
    bool named = o->out.path, failed = ferror(o->stream);
    if (!keep && o->out.temporary)
        o->out.failed = true; /* further writes do nothing */
    errno = 0;
    if (fflush(o->stream) && keep && !failed)
        rc = named ? -1 : fail_errno("stdout: cannot be written");
    if (keep && failed)
        rc = fail("%s: cannot be written: an earlier write failed", named ? o->out.path : "stdout");
    if (named)
        fclose(o->stream);
    if (named && gp_out_end(&o->out, !keep || rc) && keep)
        rc = -1;
    free(o);
    return rc;
}

bool gp_stdout_takes_data(void)
{
    struct stat out, err;
    if (fstat(STDOUT_FILENO, &out))
        return false;
    if (!fstat(STDERR_FILENO, &err) && out.st_dev == err.st_dev && out.st_ino == err.st_ino)
        return false; /* a log of both, or a terminal */
    return S_ISFIFO(out.st_mode) || S_ISREG(out.st_mode) || S_ISSOCK(out.st_mode);
}

bool gp_output_is_terminal(const char *path)
{
    struct stat st;
    if (!path || !strcmp(path, "-"))
        return isatty(STDOUT_FILENO);
    if (stat(path, &st) || !S_ISCHR(st.st_mode))
        return false;
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    bool terminal = fd >= 0 && isatty(fd);
    if (fd >= 0)
        close(fd);
    return terminal;
}

bool gp_output_replaces(const char *path, const char *input)
{
    struct stat to, from;
    if (!path || !input || gp_is_stream(path) || stat(path, &to) || stat(input, &from))
        return false;
    return S_ISREG(to.st_mode) && to.st_dev == from.st_dev && to.st_ino == from.st_ino;
}

bool gp_output_has_colour(const char *path)
{
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    return !(no_color && *no_color) && !(term && !strcmp(term, "dumb")) && gp_output_is_terminal(path);
}

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
    char *path, *temporary; /* path NULL: stdout; temporary NULL: a stream */
};

gp_output *gp_output_open(const char *path)
{
    gp_output *o = gp_calloc(1, sizeof *o);
    o->stream = stdout;
    if (!path || !strcmp(path, "-"))
        return o;
    int stream = gp_is_stream(path), fd = -1;
    if (stream >= 0)
        fd = stream ? gp_open_stream(path) : gp_temporary_beside(path, &o->temporary);
    if (fd < 0) {
        if (stream > 0)
            fail_errno("%s: cannot be opened", path);
        free(o);
        return NULL;
    }
    o->path = gp_strdup(path);
    o->stream = fdopen(fd, "w");
    if (!o->stream)
        die("%s: %s", path, strerror(errno));
    return o;
}

FILE *gp_output_stream(gp_output *o)
{
    return o->stream;
}

int gp_output_close(gp_output *o, bool keep)
{
    int rc = 0;
    const char *name = o->path ? o->path : "stdout";
    errno = 0;
    bool bad = fflush(o->stream) || ferror(o->stream);
    if (o->temporary && keep && !bad) {
        bad = fsync(fileno(o->stream));
        rc = bad ? 0 : gp_temporary_name(fileno(o->stream), &o->temporary);
    }
    if (o->temporary && !keep)
        gp_temporary_drop(fileno(o->stream), o->temporary);
    if (o->path)
        bad = fclose(o->stream) || bad;
    if (keep && bad)
        rc = fail("%s: cannot be written: %s", name, errno ? strerror(errno) : "an earlier write failed");
    if (o->temporary && keep && !rc)
        rc = gp_temporary_rename(o->temporary, o->path);
    if (o->temporary && keep && rc)
        unlink(o->temporary);
    free(o->path);
    free(o->temporary);
    free(o);
    return rc;
}

bool gp_stdout_takes_data(void)
{
    struct stat out, err;
    if (fstat(STDOUT_FILENO, &out))
        return false;
    if (!fstat(STDERR_FILENO, &err) && out.st_dev == err.st_dev && out.st_ino == err.st_ino)
        return false; /* a log of both */
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

bool gp_output_replaces(const char *path, const char *read)
{
    struct stat to, from;
    if (!path || !read || gp_is_stream(path) || stat(path, &to) || stat(read, &from))
        return false;
    return S_ISREG(to.st_mode) && to.st_dev == from.st_dev && to.st_ino == from.st_ino;
}

bool gp_output_has_colour(const char *path)
{
    const char *none = getenv("NO_COLOR"), *term = getenv("TERM");
    return !(none && *none) && !(term && !strcmp(term, "dumb")) && gp_output_is_terminal(path);
}

/* output.c: see output.h. */
#include "gptpipe/output.h"
#include "base/base.h"
#include "base/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
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
    o->path = gp_strdup(path);
    if (!gp_is_stream(path))
        o->temporary = gp_format("%s.%ld.tmp", path, (long)getpid());
    o->stream = fopen(o->temporary ? o->temporary : path, "w");
    if (o->stream)
        return o;
    fail("%s: cannot be created: %s", path, strerror(errno));
    free(o->path);
    free(o->temporary);
    free(o);
    return NULL;
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
    if (o->path)
        bad = (keep && o->temporary && fsync(fileno(o->stream))) || fclose(o->stream) || bad;
    if (keep && bad)
        rc = fail("%s: cannot be written: %s", name, errno ? strerror(errno) : "an earlier write failed");
    if (o->temporary && keep && !rc && rename(o->temporary, o->path))
        rc = fail("%s: cannot be renamed into place: %s", name, strerror(errno));
    if (o->temporary && (!keep || rc))
        unlink(o->temporary);
    free(o->path);
    free(o->temporary);
    free(o);
    return rc;
}

/* Length of the UTF-8 character at s, 0 if it is not one (overlong forms and surrogates are not). */
static size_t utf8_length(const unsigned char *s, size_t n)
{
    size_t length = s[0] < 0x80 ? 1 : s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : s[0] >= 0xc2 ? 2 : 0;
    if (!length || length > n || s[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
        (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return length;
}

char *gp_json_quote(const char *text, size_t n)
{
    const unsigned char *s = (const unsigned char *)text;
    gp_buf b = {0};
    gp_buf_puts(&b, "\"");
    for (size_t i = 0; i < n;) {
        size_t length = utf8_length(s + i, n - i);
        if (!length)
            gp_buf_puts(&b, "\\ufffd");
        else if (s[i] == '"' || s[i] == '\\')
            gp_buf_printf(&b, "\\%c", s[i]);
        else if (s[i] == '\n')
            gp_buf_puts(&b, "\\n");
        else if (s[i] < 0x20)
            gp_buf_printf(&b, "\\u%04x", s[i]);
        else
            gp_buf_add(&b, text + i, length);
        i += length ? length : 1;
    }
    gp_buf_puts(&b, "\"");
    return b.data;
}

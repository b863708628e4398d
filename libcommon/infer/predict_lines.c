/* predict_lines.c: lines of a file or a pipe, which are returned as soon as they have arrived. */
#include "infer/predict.h"

#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "text/text.h"

enum { STEP = 1 << 16, MAX_LINE = 1 << 26 };

int gp_line_reader_open(gp_line_reader *r, const char *path)
{
    struct stat st;
    *r = (gp_line_reader){0};
    if (gp_input_open(&r->in, path))
        return -1;
    if (r->in.mapped && !fstat(r->in.fd, &st))
        r->size = st.st_size;
    return 0;
}

void gp_line_reader_close(gp_line_reader *r)
{
    gp_buf_release(&r->text);
    gp_input_close(&r->in);
}

static bool is_ready(const gp_line_reader *r)
{
    struct pollfd p = {.fd = r->in.fd, .events = POLLIN};
    return poll(&p, 1, 0) != 0;
}

/* Reads more bytes after those that are not used yet. */
static int read_more(gp_line_reader *r)
{
    gp_buf *b = &r->text;
    if (r->at) {
        memmove(b->data, b->data + r->at, b->len - r->at);
        b->len -= r->at;
        r->searched -= r->at;
        r->at = 0;
    }
    if (b->len > MAX_LINE)
        return fail("%s: line %lld is longer than %d MB", r->in.name, (long long)r->number + 1, MAX_LINE >> 20);
    gp_buf_reserve(b, STEP);
    ssize_t n = gp_read(r->in.fd, b->data + b->len, STEP, -1);
    if (n < 0)
        return fail_errno("%s: cannot be read", r->in.name);
    b->len += (size_t)n;
    r->ended = !n;
    return 0;
}

int gp_line_reader_next(gp_line_reader *r, bool wait, const char **line, size_t *length)
{
    gp_buf *b = &r->text;
    for (;;) {
        const char *newline = b->len > r->searched ? memchr(b->data + r->searched, '\n', b->len - r->searched) : NULL;
        r->searched = b->len;
        if (newline || r->ended)
            break;
        if (!wait && !is_ready(r))
            return 0;
        if (read_more(r))
            return -1;
    }
    if (r->at == b->len)
        return 0;
    const char *begin = b->data + r->at, *next;
    *line = begin;
    *length = gp_line_length(begin, b->data + b->len, &next);
    r->at = r->searched = (size_t)(next - b->data);
    r->done += next - begin;
    r->number++;
    return 1;
}

/* show.c: shows the tokens of a text (tokenize --show): gp_corpus_show. */
#include <errno.h>
#include <string.h>

#include "corpus/corpus.h"
#include "base/utf8.h"

/* One call of gp_corpus_show. */
typedef struct show {
    const gp_tokenizer *t;
    FILE *out;
    bool colour;
    int64_t count;
    gp_buf line;
    gp_buf ids; /* in colour: of the tokens in the current line */
} show;

/* Appends a token's bytes safely for a terminal: printable characters verbatim, the rest escaped. */
static void add_piece(gp_buf *b, const char *bytes, size_t n, bool colour)
{
    for (size_t at = 0; at < n;) {
        uint32_t c;
        size_t length = gp_utf8_last((const uint8_t *)bytes + at, n - at, &c);
        if (c == '\n')
            gp_buf_puts(b, "\\n");
        else if (c == '\t')
            gp_buf_puts(b, "\\t");
        else if (c == '\\' && !colour)
            gp_buf_puts(b, "\\\\");
        else if (gp_utf8_is_control(c) || c >= GP_BAD_BYTE)
            for (size_t i = 0; i < length; i++)
                gp_buf_printf(b, "\\x%02x", (uint8_t)bytes[at + i]);
        else
            gp_buf_add(b, bytes + at, length);
        at += length;
    }
}

/* Black on one of six light backgrounds of the 256 colours; newlines are shown and printed. */
static void add_coloured(gp_buf *b, const char *bytes, size_t n, int64_t turn)
{
    static const int backgrounds[] = {153, 223, 158, 218, 229, 189};
    gp_buf_printf(b, "\033[30;48;5;%dm", backgrounds[turn % (int64_t)ARRAY_LEN(backgrounds)]);
    add_piece(b, bytes, n, true);
    gp_buf_puts(b, "\033[0m");
    for (size_t i = 0; i < n; i++)
        if (bytes[i] == '\n')
            gp_buf_puts(b, "\n");
}

/* Adds the ids of a coloured line's tokens below it, dimmed. */
static void add_ids(show *s)
{
    if (s->ids.len)
        gp_buf_printf(&s->line, "\033[2m%s\033[0m\n", s->ids.data);
    s->ids.len = 0;
}

static int write_line(show *s)
{
    bool written = fwrite(s->line.data, 1, s->line.len, s->out) == s->line.len;
    s->line.len = 0;
    return written ? 0 : fail("the tokens cannot be written: %s", strerror(errno));
}

static int put(void *self, const int32_t *ids, int64_t count)
{
    show *s = self;
    for (int64_t i = 0; i < count; i++, s->count++) {
        size_t n;
        const char *bytes = gp_tokenizer_bytes(s->t, ids[i], &n);
        if (s->colour) {
            add_coloured(&s->line, bytes, n, s->count);
            gp_buf_printf(&s->ids, "%s%d", s->ids.len ? " " : "", ids[i]);
            if (memchr(bytes, '\n', n))
                add_ids(s);
        } else {
            gp_buf_printf(&s->line, "%d\t", ids[i]);
            add_piece(&s->line, bytes, n, false);
            gp_buf_puts(&s->line, "\n");
        }
    }
    return write_line(s);
}

int gp_corpus_show(gp_text *text, const gp_tokenizer *t, const gp_corpus_options *o, bool colour, FILE *out)
{
    show s = {.t = t, .out = out, .colour = colour};
    gp_separator separator = gp_separator_choose(gp_text_get_info(text), o);
    int rc = gp_separator_encode(&separator, t);
    if (!rc)
        rc = gp_walk_run(&(gp_walk){.text = text,
                                    .t = t,
                                    .separator = &separator,
                                    .cut = -1,
                                    .threads = 1,
                                    .around = true,
                                    .allow_special = o->allow_special,
                                    .quiet = true,
                                    .put = put,
                                    .self = &s});
    if (!rc && s.ids.len) {
        gp_buf_puts(&s.line, "\n"); /* the text does not end with a newline */
        add_ids(&s);
        rc = write_line(&s);
    }
    gp_buf_release(&s.ids);
    gp_separator_release(&separator);
    gp_buf_release(&s.line);
    return rc;
}

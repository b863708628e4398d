/* decode_items.c: token streams of labelled items back into JSON Lines; see corpus/corpus.h. */
#include <errno.h>
#include <string.h>

#include "base/json_write.h"
#include "corpus/corpus.h"
#include "text/text.h"

/* Replaces text by the bytes of `count` tokens from `first` on. */
static int decode_text(const gp_tokens *s, const gp_tokenizer *t, int64_t first, int64_t count, gp_buf *text)
{
    int32_t ids[1024];
    text->len = 0;
    for (int64_t at = 0, n; at < count; at += n) {
        n = gp_min(count - at, ARRAY_LEN(ids));
        if (gp_tokens_read(s, first + at, n, ids))
            return -1;
        for (int64_t i = 0; i < n; i++) {
            size_t length;
            if (!gp_tokenizer_bytes(t, ids[i], &length))
                return gp_corpus_fail_id(s, t, first + at + i, ids[i]);
            gp_buf_reserve(text, length + 1); /* WordPiece puts a space before a word */
            gp_tokenizer_decode_part(t, at + i == 0, &ids[i], 1, text->data + text->len, length + 1, &length);
            text->len += length;
        }
    }
    return 0;
}

/* Appends a member with the text and adds its length to *bytes. */
static void put_text(gp_buf *line, const char *name, const gp_buf *text, int64_t *bytes)
{
    *bytes += (int64_t)text->len;
    gp_json_bytes(line, name, text->len ? text->data : "", text->len);
}

static int decode_item(const gp_tokens *s, const gp_tokenizer *t, int64_t i, gp_buf *line, gp_buf *text, int64_t *bytes)
{
    gp_token_item item = gp_tokens_item(s, i);
    const char *name, *pair, *label;
    gp_tokens_item_members(s, &name, &pair, &label);
    line->len = 0;
    gp_json_open(line, NULL, '{');
    if (decode_text(s, t, item.begin, item.first, text))
        return -1;
    put_text(line, name, text, bytes);
    if (pair && decode_text(s, t, item.begin + item.first, item.second, text))
        return -1;
    if (pair)
        put_text(line, pair, text, bytes);
    if (item.label >= 0)
        gp_json_put(line, MEMBER(label, gp_tokens_label_name(s, item.label)));
    gp_json_close(line, '}');
    gp_buf_puts(line, "\n");
    return 0;
}

int64_t gp_items_decode(const gp_tokens *s, const gp_tokenizer *t, FILE *out)
{
    gp_buf line = {0}, text = {0};
    int64_t documents = gp_tokens_get_info(s)->documents, bytes = 0;
    int rc = 0;
    for (int64_t i = 0; i < documents && !rc; i++) {
        rc = decode_item(s, t, i, &line, &text, &bytes);
        if (!rc && out && fwrite(line.data, 1, line.len, out) != line.len)
            rc = fail("the text cannot be written: %s", strerror(errno));
    }
    gp_buf_release(&line);
    gp_buf_release(&text);
    return rc ? -1 : bytes;
}

/* decode.c: token streams back into text; see gptpipe/corpus.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "data/tokens_format.h"
#include "corpus/corpus.h"
#include "text/text.h"

/* Whether t has the stream's fingerprint and vocabulary; true if the fingerprint is not known. */
static bool matches(const gp_tokenizer *t, const gp_tokens_info *info)
{
    static const uint8_t unknown[16];
    uint8_t fingerprint[16];
    if (!memcmp(unknown, info->fingerprint, 16))
        return true;
    gp_tokenizer_fingerprint(t, fingerprint);
    return !memcmp(fingerprint, info->fingerprint, 16) && gp_tokenizer_vocab_size(t) == info->vocab_size;
}

/* Opens the tokenizer in the stream's metadata; *t stays NULL if there is none and it is not needed. */
static int open_embedded(const gp_tokens *s, const char *where, bool need, gp_tokenizer **t)
{
    const gp_tokens_info *info = gp_tokens_get_info(s);
    char *json = gp_tokens_member(s, "tokenizer");
    if (!json)
        return need ? fail("%s: contains no tokenizer; give the one that it was made with", where) : 0;
    *t = gp_tokenizer_from_json(json, strlen(json), where);
    free(json);
    if (*t && !matches(*t, info))
        return fail("%s: is corrupt: its header, with a vocabulary of %lld, does not match the tokenizer in "
                    "it, which has %lld ids",
                    where, (long long)info->vocab_size, (long long)gp_tokenizer_vocab_size(*t));
    return *t ? 0 : -1;
}

gp_tokenizer *gp_corpus_tokenizer(const gp_tokens *s, const char *where)
{
    gp_tokenizer *t = NULL;
    if (!open_embedded(s, where, true, &t))
        return t;
    gp_tokenizer_close(t);
    return NULL;
}

int gp_corpus_open(const char *path, gp_stream_format format, int64_t vocab_size, const char *tokenizer, bool need,
                   gp_tokens **s, gp_tokenizer **t)
{
    *s = NULL;
    *t = NULL;
    if (tokenizer && !(*t = gp_corpus_tokenizer_open(tokenizer)))
        return -1;
    *s = gp_tokens_open_as(path, format, *t && !vocab_size ? gp_tokenizer_vocab_size(*t) : vocab_size, NULL);
    if (!*s || gp_tokens_expect(*s, vocab_size))
        return -1;
    const gp_tokens_info *info = gp_tokens_get_info(*s);
    if (!tokenizer)
        return open_embedded(*s, info->name, need, t);
    return matches(*t, info) ? 0
                             : fail("%s: was not made with the tokenizer %s; without --tokenizer its own is used",
                                    info->name, tokenizer);
}

/* One call of gp_corpus_decode. */
typedef struct decoding {
    const gp_tokens *s;
    const gp_tokens_info *info;
    const gp_tokenizer *t;
    FILE *out;
    gp_buf text; /* not yet written */
    char *separator;
    size_t separator_length;
    int64_t document; /* the first that starts after the decoded tokens */
    bool first;       /* the next id begins a text */
    int64_t bytes;
} decoding;

/* Whether the end-of-text at token `at` ends a document. Any other one is its name in the text. */
static bool ends_document(decoding *j, int64_t at)
{
    if (!j->info->documents)
        return false;
    while (j->document < j->info->documents && gp_tokens_document(j->s, j->document) <= at)
        j->document++;
    return gp_tokens_document(j->s, j->document) == at + 1;
}

static int write_text(decoding *j, const char *text, size_t length)
{
    j->bytes += (int64_t)length;
    if (j->out && fwrite(text, 1, length, j->out) != length)
        return fail("the text cannot be written: %s", strerror(errno));
    return 0;
}

/* Decodes ids that contain no separator. */
int gp_corpus_fail_id(const gp_tokens *s, const gp_tokenizer *t, int64_t at, int32_t id)
{
    return fail("%s: token %lld is %d, which its tokenizer of %lld ids does not have", gp_tokens_get_info(s)->name,
                (long long)at, id, (long long)gp_tokenizer_vocab_size(t));
}

static int decode_plain(decoding *j, int64_t at, const int32_t *ids, int64_t n)
{
    gp_buf_reserve(&j->text, 1 << 20); /* longer than most tokens; grows below for a longer one */
    while (n) {
        size_t length;
        int64_t done = gp_tokenizer_decode_part(j->t, j->first, ids, n, j->text.data, j->text.cap, &length);
        j->first &= !done;
        if (write_text(j, j->text.data, length))
            return -1;
        if (done < n && !done) { /* the buffer is too small for the first id */
            const char *bytes = gp_tokenizer_bytes(j->t, ids[done], &length);
            if (!bytes)
                return gp_corpus_fail_id(j->s, j->t, at + done, ids[done]);
            gp_buf_reserve(&j->text, length + 1);
        }
        ids += done;
        at += done;
        n -= done;
    }
    return 0;
}

static int decode(decoding *j, int64_t at, const int32_t *ids, int64_t n)
{
    int32_t end_of_text = gp_tokenizer_end_of_text(j->t);
    int64_t plain = 0; /* the first id not written yet */
    for (int64_t i = 0; i < n && end_of_text >= 0; i++) {
        if (ids[i] != end_of_text || !ends_document(j, at + i))
            continue;
        if (decode_plain(j, at + plain, ids + plain, i - plain) || write_text(j, j->separator, j->separator_length))
            return -1;
        plain = i + 1;
        j->first = true;
    }
    return decode_plain(j, at + plain, ids + plain, n - plain);
}

int64_t gp_corpus_decode(const gp_tokens *s, const gp_tokenizer *t, FILE *out)
{
    enum { STEP = 1 << 16 };
    decoding j = {.s = s, .info = gp_tokens_get_info(s), .t = t, .out = out, .first = true};
    int32_t *ids = NULL;
    int64_t unused, rc = 0;
    if (j.info->items)
        return gp_items_decode(s, t, out);
    if (gp_tokens_separator(s, &j.separator, &j.separator_length, &ids, &unused))
        j.separator = gp_strdup("");
    ids = gp_realloc(ids, STEP, sizeof *ids);
    for (int64_t at = 0; at < j.info->count && !rc; at += STEP) {
        int64_t n = gp_min(j.info->count - at, STEP);
        rc = gp_tokens_read(s, at, n, ids) || decode(&j, at, ids, n) ? -1 : 0;
    }
    gp_buf_release(&j.text);
    free(ids);
    free(j.separator);
    return rc ? rc : j.bytes;
}

/* corpus.c: see gptpipe/corpus.h. */
#include "gptpipe/corpus.h"

#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "text/unicode.h"

/* ---- text to ids ----------------------------------------------------------------------------- */

/* The separator that is asked for, or else the text's own; "" for none. */
static const char *separator_of(const gp_text_info *info, const gp_corpus_options *o, size_t *length)
{
    *length = o->separator ? o->separator_length : info->separator_length;
    return o->separator ? o->separator : info->separator ? info->separator : "";
}

gp_tokenizer *gp_corpus_build_char(gp_text *text, const gp_corpus_options *o)
{
    gp_charset *c = gp_charset_new();
    gp_text_part part;
    size_t length;
    const char *separator = separator_of(gp_text_get_info(text), o, &length);
    if (gp_text_get_info(text)->bytes) /* nothing at all must not become a vocabulary */
        gp_charset_add(c, separator, length);
    while (gp_text_next(text, NULL, 0, &part) > 0) /* mapped, so that each part is a whole file */
        gp_charset_add(c, part.data, part.length);
    gp_text_rewind(text);
    gp_tokenizer *t = gp_charset_build(c);
    if (!t)
        gp_fail_in(gp_text_get_info(text)->name);
    return t;
}

/* A text on its way into a stream. */
typedef struct job {
    gp_text *text;
    const gp_text_info *info;
    const gp_tokenizer *t;
    gp_encoder *encoder;
    gp_tokens_writer *writer;
    const char *separator;
    size_t separator_length; /* 0: there is none */
    int32_t *ids;            /* what stands for the separator in the stream */
    int64_t id_count;
    bool as_said; /* it is the sidecar's separator, so the sidecar's entropy holds */
    int64_t bytes;
} job;

static int choose_separator(job *j, const gp_corpus_options *o)
{
    int32_t end_of_text = gp_tokenizer_end_of_text(j->t);
    const char *said = j->info->separator ? j->info->separator : "";
    j->separator = separator_of(j->info, o, &j->separator_length);
    j->as_said =
        j->separator_length == j->info->separator_length && !memcmp(j->separator, said, j->separator_length);
    for (size_t at = 0; at < j->separator_length;) {
        uint32_t c;
        at += gp_utf8_last((const uint8_t *)j->separator + at, j->separator_length - at, &c);
        if (c >= GP_BAD_BYTE)
            return fail("the separator is not UTF-8 (byte 0x%02x)", c - GP_BAD_BYTE);
    }
    if (end_of_text < 0)
        return gp_tokenizer_encode(j->t, j->separator, j->separator_length, &j->ids, &j->id_count)
                   ? gp_fail_in("the separator")
                   : 0;
    j->ids = gp_malloc(sizeof *j->ids);
    j->ids[0] = end_of_text;
    j->id_count = 1;
    return 0;
}

static int create(job *j, const char *out, const char *format)
{
    char *json = gp_tokenizer_to_json(j->t);
    char *metadata = gp_tokens_describe(&(gp_tokens_about){
        .tokenizer = json,
        .source = j->info->name,
        .source_sha256 = j->info->sha256,
        .separator = j->id_count ? j->separator : NULL,
        .separator_length = j->separator_length,
        .separator_ids = j->ids,
        .separator_count = j->id_count,
        .entropy = j->as_said ? j->info->entropy : NULL,
    });
    gp_tokens_info info = {
        .vocab_size = gp_tokenizer_vocab_size(j->t), .format = format, .metadata = metadata};
    gp_tokenizer_fingerprint(j->t, info.fingerprint);
    j->writer = gp_tokens_create(out, &info);
    free(metadata);
    free(json);
    return j->writer ? 0 : -1;
}

static int write_ids(void *writer, const int32_t *ids, int64_t count)
{
    return gp_tokens_write(writer, ids, count);
}

/* Ends a document, with the ids that say so where it has a separator. */
static int end_document(job *j, bool separated)
{
    bool indexed = j->separator_length || j->info->files > 1;
    if (gp_encoder_end(j->encoder) || (separated && gp_tokens_write(j->writer, j->ids, j->id_count)))
        return -1;
    return indexed ? gp_tokens_end_document(j->writer) : 0;
}

static int encode_parts(job *j)
{
    gp_text_part part;
    int rc, files = 0;
    bool begins = true;
    while ((rc = gp_text_next(j->text, j->separator, j->separator_length, &part)) > 0) {
        if (begins)
            gp_encoder_place(j->encoder, part.file, part.offset);
        if (gp_encoder_feed(j->encoder, part.data, part.length))
            return -1;
        files += part.file_ends;
        begins = part.separated || part.file_ends;
        bool between = part.file_ends && files < j->info->files && !j->separator_length;
        if (begins && end_document(j, part.separated || between))
            return -1;
        j->bytes += (int64_t)(part.length + (part.separated ? j->separator_length : 0));
    }
    return rc;
}

static int check_counts(const job *j)
{
    int64_t documents = gp_max(1, gp_tokens_documents_written(j->writer)), known = j->info->entropy_documents;
    if (!j->bytes)
        return fail("%s: is empty; there is nothing to tokenize", j->info->name);
    if (j->as_said && j->info->entropy && documents != known)
        return fail("%s: has %lld documents, and the file beside it tells of %lld; make them again",
                    j->info->name, (long long)documents, (long long)known);
    return 0;
}

int gp_corpus_encode(gp_text *text, const gp_tokenizer *t, const char *out, const gp_corpus_options *o,
                     gp_corpus_counts *counts)
{
    job j = {.text = text, .info = gp_text_get_info(text), .t = t};
    int rc = -1;
    if (choose_separator(&j, o) || create(&j, out, o->format))
        goto out;
    j.encoder = gp_encoder_open(t, write_ids, j.writer);
    if (encode_parts(&j) || check_counts(&j))
        goto out;
    *counts = (gp_corpus_counts){.bytes = j.bytes,
                                 .tokens = gp_tokens_written(j.writer),
                                 .documents = gp_max(1, gp_tokens_documents_written(j.writer))};
    rc = gp_tokens_finish(j.writer);
    j.writer = NULL;
out:
    gp_tokens_abandon(j.writer);
    gp_encoder_close(j.encoder);
    free(j.ids);
    return rc;
}

/* ---- ids to text ----------------------------------------------------------------------------- */

gp_tokenizer *gp_corpus_tokenizer(const gp_tokens *s, const char *where)
{
    char *json = gp_tokens_member(s, "tokenizer");
    gp_tokenizer *t = json ? gp_tokenizer_from_json(json, strlen(json), where) : NULL;
    if (!json)
        fail("%s: holds no tokenizer; name the one that it was made with", where);
    free(json);
    return t;
}

int64_t gp_corpus_decode(const gp_tokens *s, const gp_tokenizer *t, FILE *out)
{
    enum { STEP = 8192 };
    int64_t bytes = 0, left = gp_tokens_get_info(s)->count, count;
    int32_t *ids = NULL, end_of_text = gp_tokenizer_end_of_text(t);
    char *separator = NULL; /* what end-of-text stands for */
    size_t separator_length = 0;
    if (gp_tokens_separator(s, &separator, &separator_length, &ids, &count))
        separator = gp_strdup("");
    ids = gp_realloc(ids, STEP, sizeof *ids);
    for (int64_t at = 0; left && bytes >= 0; at += STEP) {
        int64_t n = gp_min(left, STEP);
        if (gp_tokens_read(s, at, n, ids))
            bytes = -1;
        for (int64_t i = 0; i < n && bytes >= 0; i++) {
            size_t length = separator_length;
            const char *text = ids[i] == end_of_text ? separator : gp_tokenizer_bytes(t, ids[i], &length);
            if (text && out)
                fwrite(text, 1, length, out);
            bytes += (int64_t)length;
            if (!text)
                bytes =
                    fail("token %lld is %d, which the tokenizer does not have", (long long)(at + i), ids[i]);
        }
        left -= n;
    }
    free(ids);
    free(separator);
    return bytes;
}

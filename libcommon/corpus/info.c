/* info.c: describes a token stream (tokenize --info): gp_corpus_print_info. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "data/tokens_metadata.h"
#include "gptpipe/output.h"
#include "corpus/corpus.h"

typedef struct facts {
    const gp_tokens_info *info;
    const char *tokenizer;
    char fingerprint[33];
    int64_t bytes;   /* of text; -1: no tokenizer */
    int64_t used;    /* distinct ids that occur */
    int64_t longest; /* tokens in the longest document */
    int64_t *labels; /* (info->labels) items with each label */
    const gp_tokens *stream;
    json_t *source, *separator, *bayes; /* members of the metadata, or NULL */
} facts;

static int64_t count_used(const gp_tokens *s)
{
    enum { STEP = 1 << 16 };
    const gp_tokens_info *info = gp_tokens_get_info(s);
    uint8_t *seen = gp_calloc((size_t)info->vocab_size, 1);
    int32_t *ids = gp_malloc(STEP * sizeof *ids);
    int64_t used = 0;
    for (int64_t at = 0; at < info->count; at += STEP) {
        int64_t n = gp_min(info->count - at, STEP);
        if (gp_tokens_read(s, at, n, ids)) {
            used = -1;
            break;
        }
        for (int64_t i = 0; i < n; i++) {
            used += !seen[ids[i]];
            seen[ids[i]] = 1;
        }
    }
    free(seen);
    free(ids);
    return used;
}

static int64_t longest_document(const gp_tokens *s)
{
    int64_t longest = 0, documents = gp_tokens_get_info(s)->documents;
    for (int64_t i = 0; i < documents; i++)
        longest = gp_max(longest, gp_tokens_document(s, i + 1) - gp_tokens_document(s, i));
    return longest;
}

static void count_labels(facts *f)
{
    f->labels = gp_calloc((size_t)f->info->labels + 1, sizeof *f->labels);
    for (int64_t i = 0; f->info->items && i < f->info->documents; i++) {
        int32_t label = gp_tokens_item(f->stream, i).label;
        f->labels[label < 0 ? f->info->labels : label]++;
    }
}

static int gather(facts *f, const gp_tokens *s, const gp_tokenizer *t)
{
    f->tokenizer = t ? gp_tokenizer_kind(t) : "unknown";
    gp_hex(f->fingerprint, f->info->fingerprint, sizeof f->info->fingerprint);
    if (gp_tokens_verify(s) || (f->used = count_used(s)) < 0)
        return -1;
    f->bytes = t ? gp_corpus_decode(s, t, NULL) : -1;
    f->longest = longest_document(s);
    f->stream = s;
    count_labels(f);
    json_t *metadata = gp_tokens_metadata(s);
    if (!metadata)
        return -1;
    f->source = json_incref(json_object_get(metadata, "source"));
    f->separator = json_incref(json_object_get(metadata, "separator"));
    f->bayes = json_incref(json_object_get(metadata, "bayes"));
    json_decref(metadata);
    return t && f->bytes < 0 ? -1 : 0;
}

/* {"text": "text", "pair": "text_b", "label": "label", "labels": {"neg": 10, "pos": 12}, "unlabelled": 0} */
static json_t *items_to_json(const facts *f)
{
    const char *text, *pair, *label;
    json_t *labels = json_object();
    gp_tokens_item_members(f->stream, &text, &pair, &label);
    for (int64_t i = 0; i < f->info->labels; i++)
        json_object_set_new(labels, gp_tokens_label_name(f->stream, i), json_integer(f->labels[i]));
    return json_pack("{s:s, s:s*, s:s, s:o, s:I}", "text", text, "pair", pair, "label", label, "labels", labels,
                     "unlabelled", (json_int_t)f->labels[f->info->labels]);
}

static void print_items(const facts *f, FILE *out)
{
    const char *text, *pair, *label;
    gp_tokens_item_members(f->stream, &text, &pair, &label);
    fprintf(out, "  items       %s", gp_printable(text));
    if (pair)
        fprintf(out, " and %s", gp_printable(pair));
    fprintf(out, ", %s:", gp_printable(label));
    for (int64_t i = 0; i < f->info->labels; i++)
        fprintf(out, "%s %s %" PRId64, i ? "," : "", gp_printable(gp_tokens_label_name(f->stream, i)), f->labels[i]);
    if (f->labels[f->info->labels])
        fprintf(out, ", without a label %" PRId64, f->labels[f->info->labels]);
    fputc('\n', out);
}

static void print_json(const facts *f, FILE *out)
{
    const gp_tokens_info *info = f->info;
    json_t *o = json_pack("{s:s, s:s, s:I, s:I, s:i, s:I, s:I, s:s, s:s}", "file", f->info->name, "format",
                          gp_stream_format_name(info->format), "tokens", (json_int_t)info->count, "documents",
                          (json_int_t)info->documents, "width", info->width, "vocab_size", (json_int_t)info->vocab_size,
                          "ids_used", (json_int_t)f->used, "tokenizer", f->tokenizer, "fingerprint", f->fingerprint);
    if (info->documents)
        json_object_set_new(o, "longest_document", json_integer(f->longest));
    if (info->items)
        json_object_set_new(o, "items", items_to_json(f));
    if (f->bytes >= 0) {
        json_object_set_new(o, "bytes", json_integer(f->bytes));
        if (info->count)
            json_object_set_new(o, "bytes_per_token", json_real((double)f->bytes / (double)info->count));
    }
    if (f->source)
        json_object_set(o, "source", f->source);
    if (f->separator)
        json_object_set(o, "separator", f->separator);
    if (f->bayes)
        json_object_set(o, "bayes", f->bayes);
    char *text = gp_json_print(o, JSON_COMPACT | JSON_REAL_PRECISION(6));
    fprintf(out, "%s\n", text);
    free(text);
    json_decref(o);
}

static void print_text(const facts *f, FILE *out)
{
    const gp_tokens_info *info = f->info;
    const char *from = json_string_value(json_object_get(f->source, "name")),
               *sha256 = json_string_value(json_object_get(f->source, "sha256"));
    const json_t *ends = json_object_get(f->separator, "text");
    bool ours = info->format == GP_STREAM_TOK;
    fprintf(out, "%s\n  format      %s, %d bytes a token, %s\n  tokens      %" PRId64 "\n", gp_printable(f->info->name),
            gp_stream_format_name(info->format), info->width,
            ours ? "CRC and ids are good" : "all ids in the vocabulary", info->count);
    if (info->documents)
        fprintf(out, "  documents   %" PRId64 ", the longest of %" PRId64 " tokens\n", info->documents, f->longest);
    if (info->items)
        print_items(f, out);
    fprintf(out, "  tokenizer   %s, %" PRId64 " ids, of which %" PRId64 " occur%s%s\n", f->tokenizer, info->vocab_size,
            f->used, ours ? ", fingerprint " : "", ours ? f->fingerprint : "");
    if (info->documents && json_string_length(ends)) {
        char *quoted = gp_json_print(ends, JSON_ENCODE_ANY);
        fprintf(out, "  separator   %s\n", quoted);
        free(quoted);
    }
    if (f->bayes)
        fprintf(out, "  limit       accuracy %.4f, loss %.4f nats: the best that a classifier can have\n",
                json_number_value(json_object_get(f->bayes, "accuracy")),
                json_number_value(json_object_get(f->bayes, "loss")));
    if (f->bytes >= 0)
        fprintf(out, "  text        %" PRId64 " bytes, %.3f bytes a token\n", f->bytes,
                info->count ? (double)f->bytes / (double)info->count : 0);
    if (from)
        fprintf(out, "  made from   %s%s%s\n", gp_printable(from), sha256 ? ", SHA-256 " : "",
                sha256 ? gp_printable(sha256) : "");
}

int gp_corpus_print_info(const gp_tokens *s, const gp_tokenizer *t, bool json, FILE *out)
{
    facts f = {.info = gp_tokens_get_info(s)};
    int rc = gather(&f, s, t);
    if (!rc && json)
        print_json(&f, out);
    else if (!rc)
        print_text(&f, out);
    json_decref(f.source);
    json_decref(f.separator);
    free(f.labels);
    json_decref(f.bayes);
    return rc;
}

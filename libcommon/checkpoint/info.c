/* info.c: what is in a checkpoint, for people and as JSON. */
#include "base/file.h"
#include "base/json_write.h"
#include "checkpoint/checkpoint.h"

#include <stdlib.h>
#include <string.h>

typedef struct summary {
    const gp_checkpoint *c;
    const gp_tokenizer *t; /* NULL: none that can be used */
    const char *fingerprint;
    const gp_verified *v; /* NULL: nothing was verified */
} summary;

static void print_metadata(const gp_container *k, FILE *out)
{
    enum { MAX = 100 };
    gp_buf value = {0};
    const char *key;
    for (int64_t i = 0; k->ops->metadata && k->ops->metadata(k->self, i, &key, &value); i++, value.len = 0) {
        fprintf(out, "%s  %s = ", i ? "" : "metadata\n", gp_printable(key));
        if (value.len > MAX)
            fprintf(out, "%.*s... (%zu bytes)\n", MAX, gp_printable(value.data), value.len);
        else
            fprintf(out, "%s\n", value.len ? gp_printable(value.data) : "");
    }
    gp_buf_release(&value);
}

static void print_tensors(const gp_container *k, FILE *out)
{
    char shape[96];
    for (int64_t i = 0; i < k->count; i++)
        fprintf(out, "  %-56s %s\n", gp_printable(k->tensors[i].name),
                gp_stored_format(&k->tensors[i], shape, sizeof shape));
}

static void print_model(const summary *f, FILE *out)
{
    const gp_config *k = &f->c->config;
    fprintf(out, "model       %s, %lld layers, %lld heads, %lld channels, context %lld, vocabulary %lld\n",
            gp_family_name(k->family), (long long)k->layers, (long long)k->heads, (long long)k->channels,
            (long long)gp_config_context(k), (long long)k->vocab_size);
    fprintf(out, "parameters  %lld\n", (long long)gp_config_parameters(k));
    if (k->head == GP_HEAD_NONE)
        fprintf(out, "head        none: hidden states\n");
    for (int64_t i = 0; i < k->labels; i++)
        fprintf(out, "%s%s%s", i ? ", " : "head        labels ", gp_printable(gp_config_label(k, i)),
                i == k->labels - 1 ? "\n" : "");
    if (f->t)
        fprintf(out, "tokenizer   %s, %lld ids, fingerprint %s\n", gp_tokenizer_kind(f->t),
                (long long)gp_tokenizer_vocab_size(f->t), f->fingerprint);
    else
        fprintf(out, "tokenizer   %s\n", f->c->tokenizer ? "of an unsupported type; copied unchanged" : "none");
}

static void print_text(const summary *f, FILE *out)
{
    fprintf(out, "format      %s\n", f->c->format);
    if (f->c->problem)
        fprintf(out, "model       not supported: %s\n", gp_printable(f->c->problem));
    else
        print_model(f, out);
    if (f->v)
        fprintf(out, "verified    %lld files, %lld tensors, %lld of them by their CRC-32C\n", (long long)f->v->files,
                (long long)f->v->tensors, (long long)f->v->sums);
    for (int i = 0; i < f->c->file_count; i++)
        print_metadata(f->c->files[i], out);
    fprintf(out, "tensors\n");
    for (int i = 0; i < f->c->file_count; i++)
        print_tensors(f->c->files[i], out);
}

static void put_metadata(gp_buf *b, const gp_container *k)
{
    gp_buf value = {0};
    const char *key;
    for (int64_t i = 0; k->ops->metadata && k->ops->metadata(k->self, i, &key, &value); i++, value.len = 0)
        gp_json_bytes(b, key, value.len ? value.data : "", value.len);
    gp_buf_release(&value);
}

static void put_tensors(gp_buf *b, const gp_container *k)
{
    for (int64_t i = 0; i < k->count; i++) {
        const gp_stored *t = &k->tensors[i];
        gp_buf_puts(b, b->data[b->len - 1] == '[' ? "\n" : ",\n");
        gp_json_open(b, NULL, '{');
        gp_json_put(b, MEMBER("name", t->name), MEMBER("dtype", t->type));
        gp_json_open(b, "shape", '[');
        for (int d = 0; d < t->ndim; d++)
            gp_json_put(b, MEMBER(NULL, t->dim[d]));
        gp_json_close(b, ']');
        gp_json_close(b, '}');
    }
}

static void put_model(gp_buf *b, const summary *f)
{
    char *config = gp_config_to_json(&f->c->config);
    gp_json_put(b, MEMBER("parameters", gp_config_parameters(&f->c->config)), RAW("config", config));
    free(config);
    if (f->t) {
        gp_json_open(b, "tokenizer", '{');
        gp_json_put(b, MEMBER("kind", gp_tokenizer_kind(f->t)), MEMBER("vocab_size", gp_tokenizer_vocab_size(f->t)),
                    MEMBER("fingerprint", f->fingerprint));
        gp_json_close(b, '}');
    } else {
        gp_json_put(b, RAW("tokenizer", f->c->tokenizer ? "{}" : "null"));
    }
}

static void print_json(const summary *f, FILE *out)
{
    gp_buf b = {0};
    gp_json_open(&b, NULL, '{');
    gp_json_put(&b, MEMBER("format", f->c->format));
    if (f->c->problem)
        gp_json_put(&b, MEMBER("problem", (const char *)f->c->problem));
    else
        put_model(&b, f);
    if (f->v) {
        gp_json_open(&b, "verified", '{');
        gp_json_put(&b, MEMBER("files", f->v->files), MEMBER("tensors", f->v->tensors), MEMBER("crc32c", f->v->sums));
        gp_json_close(&b, '}');
    }
    gp_json_open(&b, "metadata", '{');
    for (int i = 0; i < f->c->file_count && i < 1; i++) /* shards repeat theirs */
        put_metadata(&b, f->c->files[i]);
    gp_json_close(&b, '}');
    gp_json_open(&b, "tensors", '[');
    for (int i = 0; i < f->c->file_count; i++)
        put_tensors(&b, f->c->files[i]);
    gp_json_close(&b, ']');
    gp_json_close(&b, '}');
    gp_json_write(&b, out, "\n");
}

void gp_checkpoint_print(const gp_checkpoint *c, const gp_verified *v, bool json, FILE *out)
{
    char fingerprint[33] = "";
    gp_tokenizer *t =
        c->tokenizer ? gp_tokenizer_from_json(c->tokenizer, c->tokenizer_length, "the checkpoint's tokenizer") : NULL;
    summary f = {c, t, fingerprint, v};
    if (c->has_fingerprint)
        gp_hex(fingerprint, c->fingerprint, sizeof c->fingerprint);
    (json ? print_json : print_text)(&f, out);
    gp_tokenizer_close(t);
}

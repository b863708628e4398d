/* gguf_format.c: models in GGUF files: llama.cpp's gpt2, read and written, and its bert, read. */
#include "base/file.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/gguf/gguf_tokenizer.h"
#include "checkpoint/pieces.h"
#include "checkpoint/target.h"
#include "checkpoint/weights.h"

#include <stdlib.h>
#include <string.h>

static int recognise(const gp_checkpoint_input *in)
{
    return in->fd >= 0 && gp_is_gguf(in->head, in->head_size);
}

/* ---- reading --------------------------------------------------------------------------------------------- */

/* A file of several, as llama-gguf-split makes them, has a part of the tensors. */
static int check_split(const gp_gguf *g)
{
    int64_t count = 1;
    if (gp_gguf_integer(g, "split.count", &count) < 0)
        return -1;
    return count < 2 ? 0
                     : fail("%s: is one of %lld files that one model was split into (split.count); join them with "
                            "llama-gguf-split --merge",
                            g->path, (long long)count);
}

/* llama.cpp's converter leaves the masked-language head out: what is left gives hidden states. */
static void fit_head(gp_checkpoint *c, const gp_container *k)
{
    bool lacks = c->config.head == GP_HEAD_MLM && gp_container_find(k, "cls.predictions.bias") < 0;
    if (lacks && !c->options.allow_missing_count)
        c->config.head = GP_HEAD_NONE;
}

/* Whether there is a head with numbers of its own. Older converters wrote a tied one a second time. */
static bool has_own_head(const gp_container *k)
{
    enum { CHUNK = 1 << 12 };
    float x[CHUNK], y[CHUNK];
    int64_t i = gp_container_find(k, "token_embd.weight"), j = gp_container_find(k, "output.weight");
    if (i < 0 || j < 0)
        return j >= 0;
    const gp_stored *a = &k->tensors[i], *b = &k->tensors[j];
    bool same = a->is_float && b->is_float && a->elements == b->elements && !memcmp(a->dim, b->dim, sizeof a->dim);
    for (int64_t at = 0, n; same && at < a->elements; at += n) {
        n = gp_min(CHUNK, a->elements - at);
        same = !gp_container_read(k, i, at, n, x) && !gp_container_read(k, j, at, n, y) &&
               !memcmp(x, y, (size_t)n * sizeof *x);
    }
    return !same;
}

static int open(gp_checkpoint *c, const gp_checkpoint_input *in)
{
    gp_map map;
    size_t length = 0;
    char *tokenizer;
    if (gp_checkpoint_input_map(in, c->path, &map) || gp_checkpoint_add_file(c, gp_gguf_read(&map, c->path)))
        return -1;
    const gp_container *k = c->files[0];
    const gp_gguf *g = gp_gguf_of(k);
    if (check_split(g) || gp_gguf_config(&c->config, k))
        return -1;
    fit_head(c, k);
    if (c->config.head == GP_HEAD_LM)
        c->config.tied = !has_own_head(k);
    if (gp_gguf_tokenizer(g, &tokenizer, &length))
        c->tokenizer_problem = gp_strdup(gp_error());
    else if (tokenizer)
        gp_checkpoint_set_tokenizer(c, tokenizer, length, NULL);
    return gp_weights_attach(c, gp_gguf_naming(&c->config));
}

/* ---- writing --------------------------------------------------------------------------------------------- */

static const gp_target llama = {.name = "llama.cpp's gpt2", .activation = GP_ACT_GELU_TANH};

static void put_text(gp_gguf_writer *w, const char *key, const char *text)
{
    gp_gguf_put_text(w, key, text, strlen(text));
}

/* The last name of the input's path, without its suffix. */
static void put_name(gp_gguf_writer *w, const char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    size_t begin = n;
    while (begin && path[begin - 1] != '/')
        begin--;
    const char *dot = memchr(path + begin, '.', n - begin);
    size_t length = dot && dot > path + begin ? (size_t)(dot - path) - begin : n - begin;
    gp_gguf_put_text(w, "general.name", path + begin, length);
}

static void put_metadata(gp_gguf_writer *w, const gp_checkpoint *c, gp_store store)
{
    static const uint32_t file_types[] = {
        [GP_STORE_F32] = 0, [GP_STORE_F16] = 1, [GP_STORE_Q8_0] = 7, [GP_STORE_BF16] = 32}; /* llama_ftype */
    const gp_config *k = &c->config;
    const struct {
        const char *key;
        int64_t v;
    } sizes[] = {{"gpt2.block_count", k->layers},         {"gpt2.context_length", k->positions},
                 {"gpt2.embedding_length", k->channels},  {"gpt2.feed_forward_length", k->inner},
                 {"gpt2.attention.head_count", k->heads}, {"gpt2.vocab_size", k->vocab_size}};
    put_text(w, "general.architecture", "gpt2");
    put_text(w, "general.type", "model");
    put_name(w, c->path);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        gp_gguf_put_uint32(w, sizes[i].key, (uint32_t)sizes[i].v);
    gp_gguf_put_float32(w, "gpt2.attention.layer_norm_epsilon", (float)k->norm_eps);
    gp_gguf_put_uint32(w, "general.file_type", file_types[store]);
    gp_gguf_put_uint32(w, "general.quantization_version", 2);
    gp_gguf_put_tokenizer(w, k, c->tokenizer, c->tokenizer_length);
}

/* llama.cpp wants every bias. */
static int write_model(gp_gguf_writer *w, const gp_checkpoint *c, gp_store store)
{
    gp_biased b = gp_biased_of(c);
    gp_tensor_writer *t = gp_gguf_writer_tensors(w);
    const gp_naming *n = gp_gguf_naming(&c->config);
    put_metadata(w, c, store);
    int rc = gp_pieces_declare(t, &b.params, n) || gp_pieces_write(t, &b.params, n, c->path, gp_biased_read, &b) ||
                     gp_gguf_writer_end(w)
                 ? -1
                 : 0;
    gp_biased_release(&b);
    return rc;
}

static int write(const gp_checkpoint *c, const char *path, const gp_checkpoint_output *o)
{
    gp_out out;
    if (gp_target_check(&llama, &c->config, path))
        return -1;
    if (o->shard_bytes)
        return fail("%s: a GGUF model is written as one file, not in shards", path);
    if (gp_out_open(&out, path))
        return -1;
    gp_gguf_writer *w = gp_gguf_writer_new(&out, o->store);
    int rc = write_model(w, c, o->store);
    char *warning = gp_gguf_writer_warning(w);
    gp_gguf_writer_free(w);
    rc = gp_out_end(&out, rc);
    if (!rc && o->warning)
        *o->warning = warning;
    else
        free(warning);
    return rc;
}

const gp_file_format gp_gguf_format = {
    .name = "gguf",
    .what = "a file of architecture gpt2 or bert",
    .recognise = recognise,
    .open = open,
    .write = write,
};

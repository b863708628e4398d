/* llmc_write.c: llm.c's model file, written in one pass. */
#include "checkpoint/llmc/llmc.h"
#include "checkpoint/target.h"

#include <stdlib.h>
#include <string.h>

struct gp_llmc_writer {
    gp_llmc_header h;
    float largest;
    gp_out out;
    int declared;      /* of GP_LLMC_TENSORS */
    int64_t layer;     /* of the tensor that is declared next */
    int64_t embedding; /* numbers of wte that are still to be written */
    int64_t padding;   /* of its padding */
    int64_t left;      /* of the other tensors that are declared, still to be written */
};

static const gp_target llmc = {
    .name = "llm.c", .activation = GP_ACT_GELU_TANH, .norm_eps = 1e-5, .tied = true, .inner_4c = true};

static void write_header(gp_llmc_writer *w)
{
    const gp_llmc_header *h = &w->h;
    const int64_t words[] = {
        GP_LLMC_MODEL_MAGIC, h->dtype == GP_F32 ? 3 : 5, h->positions, h->vocab_size, h->layers, h->heads,
        h->channels,         h->padded_vocab_size};
    int32_t header[GP_LLMC_MODEL_HEADER] = {0};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        BUG_ON(words[i] > INT32_MAX); /* gp_config_check's bounds */
        header[i] = (int32_t)words[i];
    }
    gp_out_write(&w->out, header, sizeof header);
}

gp_llmc_writer *gp_llmc_create(const char *path, const gp_config *c, gp_store store)
{
    if (store != GP_STORE_F32 && store != GP_STORE_BF16)
        return fail("%s: llm.c's model files hold fp32 and bf16 numbers, not fp16 and not q8_0", path), NULL;
    if (gp_target_check(&llmc, c, path))
        return NULL;
    gp_llmc_writer *w = gp_calloc(1, sizeof *w);
    w->h = (gp_llmc_header){
        .dtype = gp_store_dtype(store),
        .positions = c->positions,
        .vocab_size = c->vocab_size,
        .layers = c->layers,
        .heads = c->heads,
        .channels = c->channels,
        .padded_vocab_size = (int64_t)gp_round_up((size_t)c->vocab_size, GP_LLMC_PAD),
    };
    w->largest = gp_store_largest(store);
    w->embedding = c->vocab_size * c->channels;
    w->padding = w->h.padded_vocab_size * c->channels - w->embedding;
    if (gp_out_open(&w->out, path)) {
        free(w);
        return NULL;
    }
    write_header(w);
    return w;
}

/* The caller's order and shapes are the file's. */
static int declare(void *self, const char *name, int ndim, const int64_t *dim)
{
    gp_llmc_writer *w = self;
    char expected[GP_LLMC_NAME];
    BUG_ON(w->declared == GP_LLMC_TENSORS);
    gp_llmc_tensor t = gp_llmc_tensor_of(&w->h, w->declared);
    if (!w->declared)
        t.dim[0] = w->h.vocab_size;
    BUG_ON(strcmp(name, gp_llmc_name(&t, w->layer, expected)) || ndim != t.ndim);
    BUG_ON(dim[0] != t.dim[0] || (ndim > 1 && dim[1] != t.dim[1]));
    w->left += w->declared ? t.dim[0] * t.dim[1] : 0;
    w->layer = t.in_layer ? (w->layer + 1) % w->h.layers : 0;
    w->declared += !w->layer;
    return 0;
}

static int put(void *self, const void *data, size_t bytes)
{
    return gp_out_write(self, data, bytes);
}

/* After the last row of wte. */
static int write_padding(gp_llmc_writer *w)
{
    static const char zeros[1 << 12];
    int64_t bytes = w->padding * gp_dtype_size(w->h.dtype);
    for (int64_t at = 0, n; at < bytes; at += n) {
        n = gp_min(sizeof zeros, bytes - at);
        if (gp_out_write(&w->out, zeros, (size_t)n))
            return -1;
    }
    return 0;
}

static int write_numbers(void *self, const float *x, int64_t count)
{
    gp_llmc_writer *w = self;
    int64_t *left = w->embedding ? &w->embedding : &w->left;
    BUG_ON(w->declared != GP_LLMC_TENSORS || count > *left);
    *left -= count;
    if (gp_put_numbers(w->h.dtype, x, count, put, &w->out))
        return -1;
    return left == &w->embedding && !w->embedding ? write_padding(w) : 0;
}

gp_tensor_writer gp_llmc_tensors(gp_llmc_writer *w)
{
    return (gp_tensor_writer){
        .self = w,
        .declare = declare,
        .write = write_numbers,
        .largest = w->largest,
    };
}

int gp_llmc_finish(gp_llmc_writer *w)
{
    BUG_ON(w->declared != GP_LLMC_TENSORS || w->embedding || w->left);
    int rc = gp_out_commit(&w->out);
    free(w);
    return rc;
}

void gp_llmc_abort(gp_llmc_writer *w)
{
    gp_out_abandon(&w->out);
    free(w);
}

/* llmc_write.c: llm.c's model file, written in one pass. */
#include "checkpoint/llmc/llmc.h"
#include "model/config.h"

#include <float.h>
#include <math.h>
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

/* What llm.c computes; anything else would load, and give other logits. */
static int check_config(const gp_config *c, const char *where)
{
    char activation[96];
    snprintf(activation, sizeof activation, "computes GELU's tanh form (gelu_new), and the model has %s",
             gp_act_name(c->activation));
    const struct {
        bool other;
        const char *what;
    } differences[] = {
        {c->family != GP_GPT2 || !c->causal || c->head != GP_HEAD_LM || c->types || c->position_offset,
         "computes GPT-2 alone, and the model is of another family"},
        {c->post_norm, "computes pre-norm blocks, and the model is post-norm"},
        {c->activation != GP_ACT_GELU_TANH, activation},
        {!c->tied, "has one matrix for token embedding and head, and the model's head is untied"},
        {c->inner != 4 * c->channels, "has an MLP of 4 x channels, and the model's is another (n_inner)"},
        {c->scores_unscaled, "divides attention's scores by the root of the head's size, and the model does not "
                             "(scale_attn_weights: false)"},
        {c->scores_by_layer, "does not divide attention's scores by the layer, and the model does "
                             "(scale_attn_by_inverse_layer_idx)"},
    };
    for (size_t i = 0; i < ARRAY_LEN(differences); i++)
        if (differences[i].other)
            return fail("%s: cannot be written for llm.c, which %s", where, differences[i].what);
    if (fabs(c->norm_eps - 1e-5) > 1e-5 * FLT_EPSILON)
        return fail("%s: cannot be written for llm.c: layer norm epsilon is %g, expected 1e-05", where, c->norm_eps);
    return 0;
}

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

gp_llmc_writer *gp_llmc_create(const char *path, const gp_config *c, gp_store store, const char *where)
{
    if (store != GP_STORE_F32 && store != GP_STORE_BF16)
        return fail("%s: llm.c's model files hold fp32 and bf16 numbers, not fp16 and not q8_0", path), NULL;
    if (check_config(c, where))
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

static int write_rounded(gp_llmc_writer *w, const float *x, int64_t count)
{
    enum { CHUNK = 1 << 14 };
    uint16_t part[CHUNK];
    if (w->h.dtype == GP_F32)
        return gp_out_write(&w->out, x, (size_t)count * sizeof *x);
    for (int64_t at = 0, n; at < count; at += n) {
        n = gp_min(CHUNK, count - at);
        gp_from_f32(part, w->h.dtype, x + at, n);
        if (gp_out_write(&w->out, part, (size_t)n * sizeof *part))
            return -1;
    }
    return 0;
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
    if (write_rounded(w, x, count))
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

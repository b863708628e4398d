/* trace_file.c: what a forward pass hands over, under the names of transformers' modules; collected, then written as
 * one safetensors file. */
#include "base/json_write.h"
#include "checkpoint/pieces.h"
#include "gptpipe/safetensors.h"
#include "gptpipe/trace.h"
#include "model/config.h"
#include "model/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- names of transformers ------------------------------------------------------------------------------- */

typedef struct named {
    const gp_naming *naming;
    gp_trace_fn *fn;
    gp_lens_fn *lens;
    void *self;
} named;

/* The output of the module that a weight belongs to: its name without ".weight". A weight in several pieces
 * (BERT's query, key and value) gives as many outputs. */
static void name_output(const named *n, const gp_param *weight, const gp_tensor *t)
{
    gp_piece piece[GP_PIECES];
    int pieces = gp_naming_pieces(n->naming, weight, piece);
    int64_t width = t->dim[t->ndim - 1], rows = gp_tensor_count(t) / width;
    for (int i = 0; i < pieces; i++) {
        gp_tensor part = *t;
        int64_t columns = part.dim[t->ndim - 1] = weight->ndim == 2 ? piece[i].columns : width;
        float *out = part.data = gp_malloc((size_t)(rows * columns) * sizeof *out);
        for (int64_t r = 0; r < rows; r++)
            memcpy(out + r * columns, (const float *)t->data + r * width + piece[i].first,
                   (size_t)columns * sizeof *out);
        *strrchr(piece[i].name, '.') = 0;
        n->fn(n->self, piece[i].name, &part);
        free(out);
    }
}

static void name_traced(void *self, const gp_traced *what, const gp_tensor *t)
{
    const named *n = self;
    char own[GP_PARAM_NAME], name[GP_TENSOR_NAME];
    if (what->kind == GP_TRACED_OUTPUT) {
        name_output(n, what->row, t);
    } else if (what->kind == GP_TRACED_ACTIVATION) {
        gp_naming_expand(n->naming, n->naming->activation, what->layer, name);
        n->fn(n->self, name, t);
    } else if (what->kind == GP_TRACED_LENS) {
        n->lens(n->self, what->layer, t);
    } else {
        n->fn(n->self, gp_traced_name(what, own), t);
    }
}

int gp_trace_logits(gp_model *m, const gp_batch *batch, float *logits, gp_trace_fn *fn, gp_lens_fn *lens, void *self)
{
    named n = {gp_hf_naming(&m->config), fn, lens, self};
    return gp_model_trace(m, batch, logits, &(gp_tracer){.fn = name_traced, .self = &n, .lens = lens != NULL});
}

void gp_trace_parameters(gp_model *m, bool gradients, gp_trace_fn *fn, void *self)
{
    gp_piece piece[GP_PIECES];
    BUG_ON(gradients && !m->g);
    for (int i = 0; i < m->params.count; i++) {
        const gp_param *row = &m->params.rows[i];
        size_t bytes = (size_t)row->count * sizeof(float);
        float *ours = gp_malloc(bytes), *theirs = gp_malloc(bytes);
        int pieces = gp_naming_pieces(gp_hf_naming(&m->config), row, piece);
        if (gradients)
            m->be->ops->download(m->be, ours, m->g + row->offset, bytes);
        else
            gp_model_row_download(m, row, ours);
        for (int k = 0; k < pieces; k++) {
            gp_tensor t = {.data = theirs, .dtype = GP_F32};
            t.ndim = gp_piece_shape(row, &piece[k], t.dim);
            gp_piece_store(row, &piece[k], ours, theirs);
            fn(self, piece[k].name, &t);
        }
        free(ours);
        free(theirs);
    }
}

/* ---- the file -------------------------------------------------------------------------------------------- */

typedef struct traced_tensor {
    char *name;
    gp_tensor t; /* owns t.data */
} traced_tensor;

typedef struct collection {
    traced_tensor *items;
    int64_t count;
    const char *prefix;
    int64_t layers, T, tops;
    int32_t *lens_ids; /* (layers + 1, T, tops) */
    float *lens_p;     /* likewise */
} collection;

static void collect(void *self, const char *name, const gp_tensor *t)
{
    collection *c = self;
    size_t bytes = (size_t)gp_tensor_bytes(t);
    c->items = gp_realloc(c->items, (size_t)c->count + 1, sizeof *c->items);
    traced_tensor *i = &c->items[c->count++];
    i->name = gp_format("%s%s", c->prefix, name);
    i->t = *t;
    i->t.data = gp_malloc(bytes);
    memcpy(i->t.data, t->data, bytes);
}

/* The most likely tokens after `layer` layers, from logits (1,T,V). */
static void find_lens(void *self, int64_t layer, const gp_tensor *logits)
{
    collection *c = self;
    int64_t V = logits->dim[2];
    gp_token_logprob top[GP_TRACE_LENS];
    for (int64_t t = 0; t < c->T; t++) {
        gp_find_top((const float *)logits->data + t * V, V, NULL, 0, top, c->tops);
        for (int64_t i = 0; i < c->tops; i++) {
            int64_t at = (layer * c->T + t) * c->tops + i;
            c->lens_ids[at] = top[i].id;
            c->lens_p[at] = (float)exp(top[i].log_p);
        }
    }
}

static void collect_traced(void *self, const char *name, const gp_tensor *t)
{
    collection *c = self;
    collect(c, name, t);
    if (c->tops && !strcmp(name, "logits"))
        find_lens(c, c->layers, t);
}

static int collect_pass(collection *c, gp_model *m, const int32_t *ids, int64_t count)
{
    const gp_config *config = gp_model_config(m);
    gp_batch batch = {.B = 1, .T = count, .inputs = ids};
    float *logits = gp_calloc((size_t)gp_config_outputs(config, 1, count), sizeof *logits);
    gp_tensor tokens = {.dtype = GP_I32, .ndim = 2, .dim = {1, count}};
    tokens.data = (void *)(uintptr_t)ids;
    collect(c, "tokens", &tokens);
    c->layers = config->layers;
    c->T = count;
    c->tops = gp_config_predicts_tokens(config) ? gp_min(GP_TRACE_LENS, config->vocab_size) : 0;
    gp_tensor lens = {.dtype = GP_I32, .ndim = 4, .dim = {1, c->layers + 1, count, c->tops}};
    c->lens_ids = gp_calloc((size_t)gp_tensor_count(&lens), sizeof *c->lens_ids);
    c->lens_p = gp_calloc((size_t)gp_tensor_count(&lens), sizeof *c->lens_p);
    int rc = gp_trace_logits(m, &batch, logits, collect_traced, find_lens, c);
    if (!rc && c->tops) {
        lens.data = c->lens_ids;
        collect(c, "lens.ids", &lens);
        lens.data = c->lens_p;
        lens.dtype = GP_F32;
        collect(c, "lens.probabilities", &lens);
    }
    free(logits);
    return rc;
}

static void collect_weights(collection *c, gp_model *m)
{
    if (gp_config_parameters(gp_model_config(m)) * (int64_t)sizeof(float) >= GP_TRACE_WEIGHTS)
        return;
    c->prefix = "weight.";
    gp_trace_parameters(m, false, collect, c);
}

static int collect_gradients(collection *c, gp_model *m, const int32_t *ids, int64_t count)
{
    double loss;
    if (!gp_model_config(m)->causal)
        return fail("gradients of the next-token loss need a causal model");
    if (count < 2)
        return fail("gradients of the next-token loss need 2 tokens or more");
    int32_t *targets = gp_malloc((size_t)count * sizeof *targets);
    memcpy(targets, ids + 1, (size_t)(count - 1) * sizeof *targets);
    targets[count - 1] = -100;
    int rc = gp_model_gradients(m, &(gp_batch){.B = 1, .T = count, .inputs = ids, .targets = targets}, &loss);
    free(targets);
    if (rc)
        return -1;
    float value = (float)loss;
    c->prefix = "";
    collect(c, "loss", &(gp_tensor){.data = &value, .dtype = GP_F32, .ndim = 1, .dim = {1}});
    c->prefix = "grad.";
    gp_trace_parameters(m, true, collect, c);
    return 0;
}

static void add_metadata(gp_safetensors_writer *w, const gp_model *m, const gp_tokenizer *t)
{
    char *config = gp_config_to_json(gp_model_config(m));
    gp_safetensors_add_metadata(w, "format", "pt", 2);
    gp_safetensors_add_metadata(w, "gptpipe.trace", GP_TRACE_VERSION, strlen(GP_TRACE_VERSION));
    gp_safetensors_add_metadata(w, "gptpipe.config", config, strlen(config));
    free(config);
    if (!t)
        return;
    gp_buf texts = {0};
    gp_json_open(&texts, NULL, '[');
    for (int64_t id = 0; id < gp_tokenizer_vocab_size(t); id++) {
        size_t n = 0;
        const char *bytes = gp_tokenizer_bytes(t, (int32_t)id, &n);
        gp_json_bytes(&texts, NULL, bytes ? bytes : "", n);
    }
    gp_json_close(&texts, ']');
    gp_safetensors_add_metadata(w, "gptpipe.texts", texts.data, texts.len);
    gp_buf_release(&texts);
}

static int write_all(const collection *c, const char *path, const gp_model *m, const gp_tokenizer *t)
{
    gp_safetensors_writer *w = gp_safetensors_create(path);
    if (!w)
        return -1;
    add_metadata(w, m, t);
    for (int64_t i = 0; i < c->count; i++)
        gp_safetensors_declare(w, c->items[i].name, &c->items[i].t);
    for (int64_t i = 0; i < c->count; i++)
        gp_safetensors_write(w, c->items[i].t.data, gp_tensor_bytes(&c->items[i].t));
    return gp_safetensors_finish(w);
}

int gp_trace_write(const char *path, gp_model *m, const gp_tokenizer *t, const int32_t *ids, int64_t count,
                   bool gradients)
{
    collection c = {.prefix = ""};
    int rc = collect_pass(&c, m, ids, count);
    if (!rc)
        collect_weights(&c, m);
    if (!rc && gradients)
        rc = collect_gradients(&c, m, ids, count);
    if (!rc)
        rc = write_all(&c, path, m, t);
    for (int64_t i = 0; i < c.count; i++) {
        free(c.items[i].name);
        free(c.items[i].t.data);
    }
    free(c.items);
    free(c.lens_ids);
    free(c.lens_p);
    return rc;
}

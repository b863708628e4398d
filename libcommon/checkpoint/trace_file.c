/* trace_file.c: what a forward pass hands over, under the names of transformers' modules; collected, then written as
 * one safetensors file. */
#include "checkpoint/pieces.h"
#include "gptpipe/safetensors.h"
#include "gptpipe/trace.h"
#include "model/model.h"

#include <stdlib.h>
#include <string.h>

/* ---- names of transformers ------------------------------------------------------------------------------- */

typedef struct named {
    const gp_naming *naming;
    gp_trace_fn *fn;
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
    } else {
        n->fn(n->self, gp_traced_name(what, own), t);
    }
}

int gp_trace_logits(gp_model *m, const gp_batch *batch, float *logits, gp_trace_fn *fn, void *self)
{
    named n = {gp_hf_naming(&m->config), fn, self};
    return gp_model_trace(m, batch, logits, &(gp_tracer){.fn = name_traced, .self = &n});
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
    collect(c, "loss", &(gp_tensor){.data = &value, .dtype = GP_F32, .ndim = 1, .dim = {1}});
    c->prefix = "grad.";
    gp_trace_parameters(m, true, collect, c);
    return 0;
}

static int write_all(const collection *c, const char *path)
{
    gp_safetensors_writer *w = gp_safetensors_create(path);
    if (!w)
        return -1;
    gp_safetensors_add_metadata(w, "format", "pt", 2);
    for (int64_t i = 0; i < c->count; i++)
        gp_safetensors_declare(w, c->items[i].name, &c->items[i].t);
    for (int64_t i = 0; i < c->count; i++)
        gp_safetensors_write(w, c->items[i].t.data, gp_tensor_bytes(&c->items[i].t));
    return gp_safetensors_finish(w);
}

int gp_trace_write(const char *path, gp_model *m, const int32_t *ids, int64_t count, bool gradients)
{
    collection c = {.prefix = ""};
    gp_batch batch = {.B = 1, .T = count, .inputs = ids};
    float *logits = gp_calloc((size_t)gp_config_outputs(gp_model_config(m), 1, count), sizeof *logits);
    gp_tensor tokens = {.dtype = GP_I32, .ndim = 2, .dim = {1, count}};
    tokens.data = (void *)(uintptr_t)ids;
    collect(&c, "tokens", &tokens);
    int rc = gp_trace_logits(m, &batch, logits, collect, &c);
    if (!rc && gradients)
        rc = collect_gradients(&c, m, ids, count);
    if (!rc)
        rc = write_all(&c, path);
    for (int64_t i = 0; i < c.count; i++) {
        free(c.items[i].name);
        free(c.items[i].t.data);
    }
    free(c.items);
    free(logits);
    return rc;
}

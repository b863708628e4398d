/* trace_file.c: collects what a forward pass hands over, then writes one safetensors file. */
#include "base/base.h"
#include "gptpipe/safetensors.h"
#include "gptpipe/trace.h"

#include <stdlib.h>
#include <string.h>

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
    gp_model_each_parameter(m, true, collect, c);
    return 0;
}

static int write_all(const collection *c, const char *path)
{
    gp_safetensors_writer *w = gp_safetensors_create(path);
    if (!w)
        return -1;
    gp_safetensors_note(w, "format", "pt", 2);
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
    float *logits = gp_calloc((size_t)(count * gp_model_config(m)->vocab_size), sizeof *logits);
    gp_tensor tokens = {.dtype = GP_I32, .ndim = 2, .dim = {1, count}};
    tokens.data = (void *)(uintptr_t)ids;
    collect(&c, "tokens", &tokens);
    gp_model_set_trace(m, collect, &c);
    int rc = gp_model_logits(m, &batch, logits);
    gp_model_set_trace(m, NULL, NULL);
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

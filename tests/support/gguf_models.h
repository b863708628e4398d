/* gguf_models.h: what tests of models in GGUF files share: a file that is written, a backend, small models. */
#ifndef GPTPIPE_TEST_GGUF_MODELS_H
#define GPTPIPE_TEST_GGUF_MODELS_H

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checkpoint/checkpoint.h"
#include "checkpoint/gguf/gguf_tokenizer.h"
#include "gptpipe/safetensors.h"

#define FORMATS TEST_DIR "/golden/formats/"

static char path[] = "/tmp/gptpipe-gguf.XXXXXX";
static gp_backend *be;

static inline gp_checkpoint *open_model(const char *where)
{
    gp_checkpoint *c = gp_checkpoint_open(where);
    if (!c)
        fail_msg("%s", gp_error());
    return c;
}

static inline float *logits_of(const gp_checkpoint *c, const int32_t *tokens, int64_t B, int64_t T)
{
    gp_model *m = gp_checkpoint_model(c, be, false);
    if (!m)
        fail_msg("%s", gp_error());
    gp_model_plan(m, B, T);
    float *logits = gp_malloc((size_t)(B * T * gp_checkpoint_config(c)->vocab_size) * sizeof *logits);
    assert_int_equal(gp_model_logits(m, &(gp_batch){.B = B, .T = T, .inputs = tokens}, logits), 0);
    gp_model_free(m);
    return logits;
}

/* The largest difference, of the largest logit. */
static inline void assert_logits(const gp_checkpoint *c, const char *expected, double tolerance)
{
    gp_safetensors *s = gp_safetensors_open(expected);
    gp_tensor tokens, wanted;
    assert_non_null(s);
    assert_true(gp_safetensors_find(s, "tokens", &tokens) && gp_safetensors_find(s, "logits", &wanted));
    float *logits = logits_of(c, tokens.data, tokens.dim[0], tokens.dim[1]);
    double most = 0, error = 0;
    for (int64_t i = 0; i < gp_tensor_count(&wanted); i++) {
        double w = (double)((const float *)wanted.data)[i];
        most = fmax(most, fabs(w));
        error = isnan(logits[i]) ? INFINITY : fmax(error, fabs((double)logits[i] - w));
    }
    if (!(error <= tolerance * most))
        fail_msg("%s: a logit is off by %g, the largest is %g", c->path, error, most);
    free(logits);
    gp_safetensors_close(s);
}

static inline void assert_same_tokenizer(const gp_checkpoint *a, const gp_checkpoint *b)
{
    uint8_t x[16], y[16];
    assert_true(gp_checkpoint_fingerprint(a, x) && gp_checkpoint_fingerprint(b, y));
    assert_memory_equal(x, y, sizeof x);
}

static inline gp_checkpoint *write_and_open(const gp_checkpoint *c, gp_store store)
{
    if (gp_checkpoint_write(c, path, &(gp_checkpoint_output){.format = "gguf", .store = store}))
        fail_msg("%s", gp_error());
    return open_model(path);
}

/* Fresh weights. */
static inline gp_model *small_model(gp_config c)
{
    gp_model *m = gp_model_create(&c, be, false);
    gp_model_init(m, 7);
    return m;
}

static inline gp_config small_config(void)
{
    gp_config c = gp_config_of_preset(GP_PRESET_NANO);
    c.layers = 1;
    c.heads = 2;
    c.channels = 8;
    c.inner = 24;
    c.positions = 8;
    c.vocab_size = 300;
    return c;
}

static inline int set_up(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    be = gp_backend_open("ref", "fp32", 1);
    return fd >= 0 && !close(fd) && be ? 0 : -1;
}

static inline int tear_down(void **state)
{
    (void)state;
    gp_backend_close(be);
    return unlink(path);
}

#endif

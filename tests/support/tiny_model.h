/* tiny_model.h: a model of odd sizes, in which widths are multiples of nothing, with weights far from uniform, so that
 * differences show. */
#ifndef GPTPIPE_TEST_TINY_MODEL_H
#define GPTPIPE_TEST_TINY_MODEL_H

#include "model/model.h"
#include "test.h"

static inline gp_config tiny_config(const char *preset, int64_t positions, int64_t vocab)
{
    gp_config c;
    assert_int_equal(gp_config_preset(&c, preset), 0);
    c.layers = 2;
    c.heads = 3;
    c.channels = 33;
    c.inner = 65;
    c.positions = positions;
    c.vocab_size = vocab;
    c.init_std = 0.3;
    return c;
}

static inline gp_model *tiny_model(const gp_config *c, const char *backend, const char *dtype, uint64_t seed,
                                   gp_backend **be)
{
    *be = gp_backend_open(backend, dtype, 2);
    assert_non_null(*be);
    gp_model *m = gp_model_create(c, *be, false);
    gp_model_init(m, seed);
    return m;
}

static inline void discard(gp_model *m, gp_backend *be)
{
    gp_model_free(m);
    gp_backend_close(be);
}

#endif

/* Models that do not train, with their matrices in a weight format: ref's values, and memory. */
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "tiny_model.h"

static const gp_weight_format formats[] = {GP_WEIGHTS_BF16, GP_WEIGHTS_FP16, GP_WEIGHTS_INT8, GP_WEIGHTS_INT4};

enum { B = 2, T = 20, V = 37 };

static gp_config tiny(gp_head head, bool tied)
{
    gp_config c = tiny_config(head == GP_HEAD_LM ? "nano" : "bert-nano", 24, V);
    c.head = head;
    c.tied = tied;
    return c;
}

static gp_model *fresh(const gp_config *c, const char *backend, gp_weight_format f, gp_backend **be)
{
    *be = gp_backend_open(backend, "fp32", 2);
    assert_non_null(*be);
    (*be)->weight_format = f;
    gp_model *m = gp_model_create(c, *be, false);
    gp_model_init(m, 7);
    return m;
}

static void random_ids(int32_t *ids, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        ids[i] = (int32_t)gp_random_below(3, GP_RNG_DATA, 5, (uint64_t)i, V);
}

static double distance(const float *a, const float *b, int64_t n)
{
    double off = 0, size = 0;
    for (int64_t i = 0; i < n; i++) {
        off += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        size += (double)b[i] * b[i];
    }
    return sqrt(off / size);
}

/* Matrices that products read are rounded as the format does, and nothing else is. */
static void parameters_are_those_of_the_format(void **state)
{
    (void)state;
    for (int tied = 0; tied < 2; tied++)
        for (size_t k = 0; k < ARRAY_LEN(formats); k++) {
            gp_config c = tiny(GP_HEAD_LM, tied);
            gp_backend *be, *plain_be;
            gp_model *m = fresh(&c, "cpu", formats[k], &be), *plain = fresh(&c, "cpu", GP_WEIGHTS_FP32, &plain_be);
            for (int i = 0; i < m->params.count; i++) {
                const gp_param *row = &m->params.rows[i];
                bool matrix = row->ndim == 2 && row->role != GP_WPE && (row->role != GP_WTE || tied);
                float *x = gp_malloc((size_t)row->count * sizeof *x), *w = gp_malloc((size_t)row->count * sizeof *w);
                gp_model_row_download(m, row, x);
                gp_model_row_download(plain, &plain->params.rows[i], w);
                assert_int_equal(row->format, matrix ? formats[k] : GP_WEIGHTS_FP32);
                assert_true((gp_model_parameter(m, row).data == NULL) == matrix);
                if (!matrix)
                    assert_memory_equal(x, w, (size_t)row->count * sizeof *x);
                else
                    assert_true(distance(x, w, row->count) < (formats[k] == GP_WEIGHTS_INT4 ? 0.08 : 0.007));
                free(x);
                free(w);
            }
            discard(m, be);
            discard(plain, plain_be);
        }
}

/* The logits after T tokens, all of which but the last are a prompt. */
static void decode_last(gp_model *m, const int32_t *ids, float logits[V])
{
    assert_int_equal(gp_model_plan_cache(m, 1, T), 0);
    assert_int_equal(gp_model_prefill(m, 0, ids, T - 1), 0);
    assert_int_equal(gp_model_decode(m, ids + T - 1, (int32_t[]){T - 1}), 0);
    m->be->ops->download(m->be, logits, m->logits.data, V * sizeof *logits);
}

/* The whole forward pass, and token by token, on cpu as on ref. In int8 and int4 decoding rounds what it multiplies to
 * 16 bits, by at most half of 1 / 32767 of the largest; and where two sums differ in their last bits, the next op may
 * round either way. That is a hundredth of what int8 itself costs. */
static void logits_are_refs(void **state)
{
    (void)state;
    static const struct {
        gp_head head;
        bool tied;
    } models[] = {{GP_HEAD_LM, true}, {GP_HEAD_LM, false}, {GP_HEAD_MLM, true}};
    int32_t ids[B * T];
    random_ids(ids, B * T);
    for (size_t i = 0; i < ARRAY_LEN(models); i++)
        for (size_t k = 0; k < ARRAY_LEN(formats); k++) {
            gp_config c = tiny(models[i].head, models[i].tied);
            gp_backend *ref_be, *be;
            gp_model *ref = fresh(&c, "ref", formats[k], &ref_be), *m = fresh(&c, "cpu", formats[k], &be);
            float all[B * T * V], refs[B * T * V], last[V], decoded[V];
            gp_batch batch = {.B = B, .T = T, .inputs = ids};
            double close = gp_weight_rounds_input(formats[k]) ? 1e-4 : 1e-5;
            assert_int_equal(gp_model_logits(ref, &batch, refs), 0);
            assert_int_equal(gp_model_logits(m, &batch, all), 0);
            assert_true(distance(all, refs, B * T * V) < 1e-5);
            if (c.head == GP_HEAD_LM) {
                decode_last(m, ids, last);
                decode_last(ref, ids, decoded);
                assert_true(distance(last, decoded, V) < close);
                assert_true(distance(last, refs + (T - 1) * V, V) < close);
            }
            discard(ref, ref_be);
            discard(m, be);
        }
}

/* 8.5 bits a number in int8, 5 in int4, and nothing twice; where rows are long, so that padding does not count. */
static void matrices_are_stored_once(void **state)
{
    (void)state;
    static const double bits[] = {
        [GP_WEIGHTS_BF16] = 16, [GP_WEIGHTS_FP16] = 16, [GP_WEIGHTS_INT8] = 8.67, [GP_WEIGHTS_INT4] = 5.34};
    gp_config c = tiny(GP_HEAD_LM, true);
    c.heads = 12, c.channels = 768, c.inner = 3072, c.vocab_size = 1000;
    for (size_t k = 0; k < ARRAY_LEN(formats); k++) {
        gp_backend *be;
        gp_model *m = fresh(&c, "cpu", formats[k], &be);
        double matrices = 2.0 * 12 * 768 * 768 + 1000.0 * 768, vectors = (double)gp_config_parameters(&c) - matrices;
        gp_memory_use use;
        assert_int_equal(gp_model_plan(m, 1, 16), 0);
        gp_model_memory(m, &use);
        assert_true((double)(use.weights + use.slots) <= matrices * bits[formats[k]] / 8 + vectors * 4 + 4096);
        discard(m, be);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_are_those_of_the_format),
        cmocka_unit_test(logits_are_refs),
        cmocka_unit_test(matrices_are_stored_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

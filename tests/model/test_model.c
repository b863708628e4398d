/* What must hold of a model whatever its weights: decoding agrees with the whole forward pass, a sample is
 * the same alone and among others, variants agree where they should, dropout is the step's and the sample's
 * own. */
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backends.h"
#include "last_logits.h"
#include "base/rng.h"
#include "gptpipe/sampler.h"
#include "model/model.h"

static gp_config tiny(void)
{
    gp_config c;
    assert_int_equal(gp_config_preset(&c, "nano"), 0);
    c.layers = 2;
    c.heads = 3;
    c.channels = 33;
    c.inner = 65;
    c.positions = 24;
    c.vocab_size = 37;
    c.init_std = 0.3; /* far from uniform, so that differences show */
    return c;
}

static gp_model *fresh(const gp_config *c, const char *backend, bool trains, gp_backend **be)
{
    *be = gp_backend_open(backend, "fp32", 2);
    assert_non_null(*be);
    gp_model *m = gp_model_create(c, *be, trains);
    gp_model_init(m, 7);
    return m;
}

/* Fresh weights are a function of seed and place, whoever fills in which of them. */
static void fresh_weights_do_not_depend_on_threads(void **state)
{
    (void)state;
    gp_config c = tiny();
    gp_params p;
    c.channels = 303, c.inner = 1213; /* odd counts, and enough numbers for several shares */
    gp_params_list(&p, &c);
    assert_true(p.total > 1 << 20);
    size_t bytes = (size_t)p.total * sizeof(float);
    float *one = gp_malloc(bytes), *many = gp_malloc(bytes), pair[2];
    gp_params_init(&p, &c, 7, one, 1);
    memset(many, 0xff, bytes);
    gp_params_init(&p, &c, 7, many, 5);
    assert_memory_equal(one, many, bytes);
    const gp_param *row = gp_params_row(&p, GP_WTE, 0); /* each element's draw is its own */
    for (int64_t k = 0; k < row->count; k++) {
        gp_random_normal2(7, GP_RNG_INIT, (uint32_t)(row - p.rows), (uint64_t)k / 2, pair);
        assert_true(one[row->offset + k] == (float)c.init_std * pair[k % 2]);
    }
    gp_params_release(&p);
    free(one);
    free(many);
}

static void discard(gp_model *m, gp_backend *be)
{
    gp_model_free(m);
    gp_backend_close(be);
}

/* RoBERTa counts positions from the padding id + 1. */
static void a_padding_id_near_the_largest_number_is_refused(void **state)
{
    (void)state;
    static const char json[] = "{\"model_type\": \"roberta\", \"vocab_size\": 9, \"num_hidden_layers\": 1, "
                               "\"num_attention_heads\": 1, \"hidden_size\": 4, \"max_position_embeddings\": 8, "
                               "\"type_vocab_size\": 1, \"pad_token_id\": 9223372036854775807}";
    gp_config c;
    assert_int_equal(gp_config_from_json(&c, json, strlen(json), "config.json"), -1);
    assert_string_equal(gp_error(), "config.json: padding id is 9223372036854775807, expected -1 to 2147483647");
}

static void random_ids(int32_t *ids, int64_t n, int64_t vocab, uint32_t stream)
{
    for (int64_t i = 0; i < n; i++)
        ids[i] = (int32_t)gp_random_below(3, GP_RNG_DATA, stream, (uint64_t)i, (uint64_t)vocab);
}

static void assert_near(const float *a, const float *b, int64_t n, double tolerance)
{
    double off = 0, size = 0;
    for (int64_t i = 0; i < n; i++) {
        double difference = fabs((double)a[i] - b[i]), value = fabs((double)b[i]);
        off = difference <= off ? off : difference < INFINITY ? difference : INFINITY; /* NaN: infinitely far */
        size = value > size ? value : size;
    }
    if (!(off <= tolerance * size))
        fail_msg("differ by %g, largest value %g", off, size);
}

static void decoding_agrees_with_the_forward_pass(void **state)
{
    (void)state;
    gp_config c = tiny();
    int32_t ids[2 * 20], next[2], positions[2];
    float all[2 * 20 * 37], last[37];
    random_ids(ids, 40, c.vocab_size, 0);
    for (size_t k = 0; k < ARRAY_LEN(backends); k++) {
        gp_backend *be;
        gp_model *m = fresh(&c, backends[k], false, &be);
        assert_int_equal(gp_model_logits(m, &(gp_batch){.B = 2, .T = 20, .inputs = ids}, all), 0);
        assert_int_equal(gp_model_plan_cache(m, 2, 24), 0);
        assert_int_equal(gp_model_prefill(m, 0, ids, 5), 0); /* rows of different lengths */
        assert_int_equal(gp_model_prefill(m, 1, ids + 20, 9), 0);
        for (int step = 0; step < 11; step++) {
            int32_t at[2] = {4 + step, 8 + step};
            for (int b = 0; b < 2; b++) {
                last_logits(m, b, last);
                assert_near(last, all + (b * 20 + at[b]) * 37, 37, 2e-5);
                next[b] = ids[b * 20 + at[b] + 1];
                positions[b] = at[b] + 1;
            }
            assert_int_equal(gp_model_decode(m, next, positions), 0);
        }
        discard(m, be);
    }
}

static int keep_text(void *self, int64_t sample, const char *bytes, size_t n, bool done)
{
    (void)done;
    gp_buf_add((gp_buf *)self + sample, bytes, n);
    return 0;
}

/* A small vocabulary hides nothing here: the scratch of attention is all that is needed. */
static void the_workspace_follows_the_longest_row_and_the_cache(void **state)
{
    (void)state;
    gp_config c = tiny();
    c.positions = 500;
    c.vocab_size = 5;
    const int32_t ids[32] = {1, 2, 3, 4}, last = 499;
    float logits[32 * 5];
    for (size_t k = 0; k < ARRAY_LEN(backends); k++) {
        gp_backend *be;
        gp_model *m = fresh(&c, backends[k], false, &be);
        assert_int_equal(gp_model_logits(m, &(gp_batch){.B = 8, .T = 4, .inputs = ids}, logits), 0);
        assert_int_equal(gp_model_logits(m, &(gp_batch){.B = 1, .T = 32, .inputs = ids}, logits), 0);
        assert_int_equal(gp_model_plan_cache(m, 1, 4), 0);
        assert_int_equal(gp_model_prefill(m, 0, ids, 4), 0);
        assert_int_equal(gp_model_decode(m, ids, &last), 0);
        discard(m, be);
    }
}

static void generate(gp_model *m, int64_t batch, int64_t tokens, gp_buf text[3])
{
    int32_t prompt[] = {1, 2, 3};
    gp_generation how = {.sampling = {.temperature = 1, .top_p = 0.95, .top_k = 20, .seed = 5},
                         .samples = 3,
                         .batch = batch,
                         .max_tokens = tokens};
    assert_int_equal(gp_generate(m, NULL, prompt, 3, &how, keep_text, text, NULL), 0);
}

static void a_sample_is_the_same_alone_and_among_others(void **state)
{
    (void)state;
    gp_config c = tiny();
    for (size_t k = 0; k < ARRAY_LEN(backends); k++) {
        gp_backend *be;
        gp_model *m = fresh(&c, backends[k], false, &be);
        gp_buf alone[3] = {0}, together[3] = {0};
        generate(m, 1, 60, alone); /* 60: past the context of 24, more than once */
        generate(m, 3, 60, together);
        for (int i = 0; i < 3; i++) {
            assert_string_equal(alone[i].data, together[i].data);
            assert_true(i == 0 || strcmp(alone[0].data, alone[i].data)); /* and samples differ */
        }
        for (int i = 0; i < 3; i++) {
            gp_buf_release(&alone[i]);
            gp_buf_release(&together[i]);
        }
        discard(m, be);
    }
}

/* Copies the rows that both models have. */
static void copy_rows(gp_model *to, const gp_model *from)
{
    for (int i = 0; i < to->params.count; i++) {
        const gp_param *row = &to->params.rows[i];
        const gp_param *other = gp_params_row(&from->params, row->role, row->index);
        float *host = gp_malloc((size_t)row->count * sizeof *host);
        if (other) {
            gp_model_row_download(from, other, host);
            gp_model_row_upload(to, row, host);
        }
        free(host);
    }
    if (to->slots_open)
        gp_model_weights_changed(to);
}

/* The gradient of a row of the table; to has room for it, and is returned. */
static const float *gradient(gp_model *m, gp_role role, int64_t index, float *to)
{
    const gp_param *row = gp_params_row(&m->params, role, index);
    assert_non_null(row);
    m->be->ops->download(m->be, to, m->g + row->offset, (size_t)row->count * sizeof *to);
    return to;
}

static void a_model_without_biases_is_one_whose_biases_are_zero(void **state)
{
    (void)state;
    gp_config with = tiny(), without = tiny();
    without.bias = false;
    for (size_t k = 0; k < ARRAY_LEN(backends); k++) {
        gp_backend *be, *be2;
        gp_model *a = fresh(&with, backends[k], true, &be), *b = fresh(&without, backends[k], true, &be2);
        int32_t ids[40], targets[40];
        double loss_a, loss_b;
        float of_a[33 * 65], of_b[33 * 65];
        random_ids(ids, 40, 37, 1);
        random_ids(targets, 40, 37, 2);
        copy_rows(b, a); /* fresh biases are zero */
        gp_batch batch = {.B = 2, .T = 20, .inputs = ids, .targets = targets};
        assert_int_equal(gp_model_gradients(a, &batch, &loss_a), 0);
        assert_int_equal(gp_model_gradients(b, &batch, &loss_b), 0);
        assert_true(fabs(loss_a - loss_b) < 1e-6);
        assert_near(gradient(b, GP_FC_W, 0, of_b), gradient(a, GP_FC_W, 0, of_a), 33 * 65, 1e-5);
        assert_near(gradient(b, GP_WPE, 0, of_b), gradient(a, GP_WPE, 0, of_a), 24 * 33, 1e-5);
        discard(a, be);
        discard(b, be2);
    }
}

static void a_tied_head_gets_the_sum_of_both_gradients(void **state)
{
    (void)state;
    gp_config tied = tiny(), untied = tiny();
    untied.tied = false;
    for (size_t k = 0; k < ARRAY_LEN(backends); k++) {
        gp_backend *be, *be2;
        gp_model *a = fresh(&tied, backends[k], true, &be), *b = fresh(&untied, backends[k], true, &be2);
        int32_t ids[40], targets[40];
        double loss_a, loss_b;
        float sum[37 * 33], head[37 * 33];
        random_ids(ids, 40, 37, 1);
        random_ids(targets, 40, 37, 2);
        copy_rows(b, a);
        be->ops->download(be, sum, a->wte.data, sizeof sum);
        be2->ops->upload(be2, b->head.w.w.data, sum, sizeof sum);
        gp_batch batch = {.B = 2, .T = 20, .inputs = ids, .targets = targets};
        assert_int_equal(gp_model_gradients(a, &batch, &loss_a), 0);
        assert_int_equal(gp_model_gradients(b, &batch, &loss_b), 0);
        assert_true(fabs(loss_a - loss_b) < 1e-6);
        gradient(b, GP_WTE, 0, sum);
        gradient(b, GP_HEAD_W, 0, head);
        for (int i = 0; i < 37 * 33; i++)
            sum[i] += head[i];
        assert_near(gradient(a, GP_WTE, 0, head), sum, 37 * 33, 1e-5);
        discard(a, be);
        discard(b, be2);
    }
}

static double dropped_loss(gp_model *m, uint32_t step, uint32_t sample0, const int32_t *ids, int64_t B)
{
    gp_batch batch = {.B = B, .T = 20, .inputs = ids, .targets = ids};
    assert_int_equal(gp_model_plan(m, 2, 20), 0);
    assert_int_equal(gp_model_load(m, &m->acts, &batch), 0);
    m->host_step = (gp_step){.seed = 9, .step = step, .sample0 = sample0, .scale = 1.0f / 20};
    gp_step_upload(m);
    m->dropping = true;
    gp_model_loss(m, &m->acts, gp_model_forward(m, &m->acts), true);
    m->dropping = false;
    gp_step_download(m);
    return m->host_step.loss;
}

static void dropout_belongs_to_the_step_and_the_sample(void **state)
{
    (void)state;
    gp_config c = tiny();
    c.dropout_embd = c.dropout_attn = c.dropout_resid = 0.2;
    int32_t ids[40];
    double ref = 0;
    random_ids(ids, 40, 37, 1);
    for (size_t k = 0; k < ARRAY_LEN(backends); k++) {
        gp_backend *be;
        gp_model *m = fresh(&c, backends[k], true, &be);
        double both = dropped_loss(m, 3, 0, ids, 2);
        double apart = dropped_loss(m, 3, 0, ids, 1) + dropped_loss(m, 3, 1, ids + 20, 1);
        assert_true(fabs(both - apart) < 1e-5 * both);
        assert_true(fabs(both - dropped_loss(m, 4, 0, ids, 2)) > 1e-4 * both);
        if (!k)
            ref = both;
        assert_true(fabs(both - ref) < 1e-5 * ref); /* the same masks on every backend */
        discard(m, be);
    }
}

/* ---- where dropout is drawn ------------------------------------------------------------------------------ */

static gp_backend_ops spied; /* ref's, with those that drop out replaced */
static const gp_backend_ops *real;
static uint32_t sites[64];
static int site_count;

static void see(gp_dropout drop)
{
    if (drop.p > 0)
        sites[site_count++] = drop.site;
}

static void spy_embed(gp_backend *be, const gp_embed_op *op)
{
    see(op->drop);
    real->embed_forward(be, op);
}

static void spy_norm(gp_backend *be, const gp_norm_op *op)
{
    see(op->drop);
    real->norm_forward(be, op);
}

static void spy_attention(gp_backend *be, const gp_attention_op *op)
{
    see(op->drop);
    real->attention_forward(be, op);
}

/* The embedding's, and of each layer those of attention, its projection and the MLP: no two share their numbers. */
static void every_place_has_its_own_dropout(void **state)
{
    (void)state;
    gp_config c = tiny();
    gp_backend *be;
    int32_t ids[20] = {0};
    c.dropout_embd = c.dropout_attn = c.dropout_resid = 0.2;
    gp_model *m = fresh(&c, "ref", true, &be);
    real = be->ops;
    spied = *real;
    spied.embed_forward = spy_embed;
    spied.norm_forward = spy_norm;
    spied.attention_forward = spy_attention;
    be->ops = &spied;
    site_count = 0;
    dropped_loss(m, 3, 0, ids, 1);
    be->ops = real;
    assert_int_equal(site_count, 1 + 3 * c.layers);
    for (int i = 0; i < site_count; i++)
        for (int k = 0; k < i; k++)
            assert_int_not_equal(sites[i], sites[k]);
    discard(m, be);
}

static void nothing_outside_the_model_is_run(void **state)
{
    (void)state;
    gp_config c = tiny();
    gp_backend *be;
    gp_model *m = fresh(&c, "ref", false, &be);
    int32_t ids[25] = {0}, far[] = {37}, types[] = {1};
    float logits[37];
    double loss;
    assert_int_equal(gp_model_logits(m, &(gp_batch){.B = 1, .T = 25, .inputs = ids}, logits), -1);
    assert_non_null(strstr(gp_error(), "context is 24"));
    assert_int_equal(gp_model_logits(m, &(gp_batch){.B = 1, .T = 1, .inputs = far}, logits), -1);
    assert_non_null(strstr(gp_error(), "token id 37"));
    assert_int_equal(gp_model_logits(m, &(gp_batch){.B = 1, .T = 1, .inputs = ids, .types = types}, logits), -1);
    far[0] = -100;
    assert_int_equal(gp_model_evaluate(m, &(gp_batch){.B = 1, .T = 1, .inputs = ids, .targets = far}, &loss, NULL), -1);
    assert_non_null(strstr(gp_error(), "no target"));
    discard(m, be);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fresh_weights_do_not_depend_on_threads),
        cmocka_unit_test(a_padding_id_near_the_largest_number_is_refused),
        cmocka_unit_test(decoding_agrees_with_the_forward_pass),
        cmocka_unit_test(the_workspace_follows_the_longest_row_and_the_cache),
        cmocka_unit_test(a_sample_is_the_same_alone_and_among_others),
        cmocka_unit_test(a_model_without_biases_is_one_whose_biases_are_zero),
        cmocka_unit_test(a_tied_head_gets_the_sum_of_both_gradients),
        cmocka_unit_test(dropout_belongs_to_the_step_and_the_sample),
        cmocka_unit_test(every_place_has_its_own_dropout),
        cmocka_unit_test(nothing_outside_the_model_is_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Speed: what the ops of a pass are said to need, counted on paper; timing that leaves no trace; what is known of
 * devices, and what is not. */
#include "test.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backend/profile.h"
#include "gptpipe/mfu.h"
#include "model/model.h"
#include "perf/mfu.h"

enum { B = 2, T = 4, L = 1, H = 2, C = 8, V = 11 };

/* Multiply-adds of a token: qkv 8 x 24, projection 8 x 8, MLP 8 x 32 and 32 x 8, head 8 x 11. */
enum { MACS = 192 + 64 + 256 + 256 + 88, TOKENS = B * T };

typedef struct fixture {
    gp_backend *be;
    gp_model *m;
    int32_t ids[TOKENS];
    gp_batch batch;
} fixture;

static int setup(void **state)
{
    fixture *f = gp_calloc(1, sizeof *f);
    gp_config c;
    gp_config_preset(&c, "nano");
    c.layers = L, c.heads = H, c.channels = C, c.inner = 4 * C, c.vocab_size = V, c.positions = T;
    f->be = gp_backend_open("ref", "fp32", 1);
    f->m = gp_model_create(&c, f->be, true);
    gp_model_init(f->m, 1);
    for (int i = 0; i < TOKENS; i++)
        f->ids[i] = i % V;
    f->batch = (gp_batch){.B = B, .T = T, .inputs = f->ids, .targets = f->ids};
    *state = f;
    return gp_model_plan(f->m, B, T);
}

static int teardown(void **state)
{
    fixture *f = *state;
    gp_model_free(f->m);
    gp_backend_close(f->be);
    free(f);
    return 0;
}

static double flops_of(const gp_profile *p)
{
    double sum = 0;
    for (int i = 0; i < p->count; i++)
        sum += p->row[i].cost.flops;
    return sum;
}

static const gp_profile_row *row_of(const gp_profile *p, const char *op, const char *shape)
{
    for (int i = 0; i < p->count; i++)
        if (!strcmp(p->row[i].op, op) && !strcmp(p->row[i].shape, shape))
            return &p->row[i];
    fail_msg("no row for %s %s", op, shape);
    return NULL;
}

/* Queries see 1, 2, 3 and 4 keys: 10 pairs a sample, 2 x 8 multiply-adds each (q k and p v). */
static void a_forward_pass_needs_what_paper_says(void **state)
{
    fixture *f = *state;
    gp_profile p;
    double loss;
    gp_profile_begin(&p, f->be);
    assert_int_equal(gp_model_evaluate(f->m, &f->batch, &loss, NULL), 0);
    gp_profile_end(&p, f->be);
    assert_int_equal((int64_t)flops_of(&p), 2 * MACS * TOKENS + 2 * (2 * C) * 10 * B);
    assert_int_equal(row_of(&p, "linear", "8 x 32")->calls, 1);
    assert_int_equal(row_of(&p, "norm", "")->calls, 2 * L + 1);
    /* x (8,8), W (8,24), its bias and y (8,24), each number once */
    assert_int_equal((int64_t)row_of(&p, "linear", "8 x 24")->cost.bytes, 4 * (64 + 192 + 24 + 192));
    for (int i = 0; i < p.count; i++)
        assert_true(p.row[i].seconds >= 0);
}

/* For every product forward there are two backward: of the input and of the weight. */
static void training_needs_three_times_that(void **state)
{
    fixture *f = *state;
    gp_profile p;
    double loss;
    gp_profile_begin(&p, f->be);
    assert_int_equal(gp_model_gradients(f->m, &f->batch, &loss), 0);
    gp_profile_end(&p, f->be);
    assert_int_equal((int64_t)flops_of(&p), 3 * (2 * MACS * TOKENS + 2 * (2 * C) * 10 * B));
    assert_int_equal((int64_t)row_of(&p, "linear backward", "8 x 24")->cost.flops, 2 * 2 * 192 * TOKENS);
}

/* A BERT's head, 8 x 8 and 8 x 11 multiply-adds, is computed for 15% of the tokens: 192 of 20 x 64, a multiple of
 * the 64 rows that a model selects at a time. Each token attends to 64: 2 x 8 x 64. */
static void a_masked_pass_has_its_head_at_masked_tokens_alone(void **state)
{
    const fixture *f = *state;
    gp_config c = gp_config_of_preset(GP_PRESET_BERT_NANO);
    c.layers = L, c.heads = H, c.channels = C, c.inner = 4 * C, c.vocab_size = V, c.positions = 64;
    gp_model *m = gp_model_create(&c, f->be, true);
    gp_model_init(m, 1);
    gp_mfu *r = gp_mfu_measure(m, &(gp_mfu_plan){.batch_size = 20,
                                                 .seq_len = 64,
                                                 .decode_batch = 1,
                                                 .seconds = 0.01,
                                                 .peak = 1e9,
                                                 .passes = GP_PASS_FORWARD | GP_PASS_TRAIN,
                                                 .ops = true});
    assert_non_null(r);
    const double forward = 2 * (192 + 64 + 256 + 256 + 2 * 8 * 64 + 0.15 * (64 + 88));
    for (int i = 0; i < 2; i++) {
        const gp_pass_result *p = &r->result[i];
        double expected = (i ? 3 : 1) * forward;
        assert_true(fabs(p->speed.flops_token - expected) < 1e-9 * expected);
        assert_true(fabs(flops_of(&p->profile) / (double)p->passes / 1280 - expected) < 1e-9 * expected);
    }
    gp_mfu_free(r);
    gp_model_free(m);
}

/* Recordings of 512 ops of one number, some times over; the seconds of one op. */
static void a_start_is_that_of_an_op_of_one_number(void **state)
{
    fixture *f = *state;
    gp_profile p;
    gp_profile_begin(&p, f->be);
    double start = gp_measure_start(f->be, 0.001);
    gp_profile_end(&p, f->be);
    const gp_profile_row *row = row_of(&p, "act", "");
    assert_int_equal(p.count, 1);
    assert_true(row->calls >= 4 * 512 && row->calls % 512 == 0);
    assert_int_equal((int64_t)row->cost.bytes, 2 * 4 * row->calls);
    assert_true(start > 0 && start < 1e-3);
}

/* At position 2 a token sees 3 keys. */
static void a_decoded_token_needs_its_keys(void **state)
{
    fixture *f = *state;
    gp_profile p;
    assert_int_equal(gp_model_plan_cache(f->m, B, 1), 0);
    gp_profile_begin(&p, f->be);
    assert_int_equal(gp_model_decode(f->m, f->ids, (int32_t[]){2, 2}), 0);
    gp_profile_end(&p, f->be);
    assert_int_equal((int64_t)flops_of(&p), B * (2 * MACS + 4 * C * 3));
}

/* 3 of 8 rows: read and written forward; backward the other 5 are zeroed too. */
static void selected_rows_are_copied_once(void **state)
{
    fixture *f = *state;
    gp_profile p;
    float x[TOKENS * C] = {0}, y[3 * C];
    gp_tensor all = gp_tensor_view(x, GP_F32, 3, B, T, C), some = gp_tensor_view(y, GP_F32, 2, 3, C);
    gp_select_op op = {.x = &all, .rows = (int32_t[]){5, 0, -1}, .y = &some, .dy = &some, .dx = &all};
    gp_profile_begin(&p, f->be);
    f->be->ops->select_forward(f->be, &op);
    f->be->ops->select_backward(f->be, &op);
    gp_profile_end(&p, f->be);
    assert_int_equal((int64_t)row_of(&p, "select", "")->cost.bytes, 4 * (3 + 3) * C);
    assert_int_equal((int64_t)row_of(&p, "select backward", "")->cost.bytes, 4 * (3 + TOKENS) * C);
    assert_int_equal((int64_t)flops_of(&p), 0);
}

static void timing_changes_nothing_and_leaves_nothing(void **state)
{
    fixture *f = *state;
    const gp_backend_ops *before = f->be->ops;
    gp_profile p;
    double plain, timed;
    assert_int_equal(gp_model_gradients(f->m, &f->batch, &plain), 0);
    gp_profile_begin(&p, f->be);
    assert_true(f->be->ops != before);
    assert_int_equal(gp_model_gradients(f->m, &f->batch, &timed), 0);
    gp_profile_end(&p, f->be);
    assert_true(plain == timed);
    assert_ptr_equal(f->be->ops, before);
    assert_null(f->be->profile);
}

/* amd.com: EPYC 9654, up to 3.7 GHz; Zen 4 has two 256-bit FMA pipes: 2 x 8 x 2 FLOPs a cycle. nvidia.com: H200
 * SXM, 1,979 TFLOP/s bf16 with sparsity, 4.8 TB/s. */
static void known_devices_have_their_vendors_figures(void **state)
{
    gp_vendor v;
    (void)state;
    assert_true(gp_vendor_find("AMD EPYC 9654 96-Core Processor, avx512", 2, &v));
    assert_true(fabs(v.fp32 - 2 * 3.7e9 * 32) < 1);
    assert_true(gp_vendor_find("AMD EPYC 9654 96-Core Processor, avx512", 192, &v));
    assert_true(fabs(v.fp32 - 96 * 3.7e9 * 32) < 1e3);
    assert_true(gp_vendor_find("NVIDIA H200", 1, &v));
    assert_true(fabs(v.bf16 - 989.5e12) < 1e6 && fabs(v.bandwidth - 4.8e12) < 1e6);
}

static void of_other_devices_nothing_is_guessed(void **state)
{
    gp_vendor v;
    (void)state;
    assert_false(gp_vendor_find("AMD EPYC, avx512", 2, &v));
    assert_false(gp_vendor_find("NVIDIA L40", 1, &v)); /* not the L4 */
    assert_false(gp_vendor_find("unknown processor", 1, &v));
}

static void passes_are_named(void **state)
{
    (void)state;
    assert_int_equal(gp_passes_parse("forward,decode"), GP_PASS_FORWARD | GP_PASS_DECODE);
    assert_int_equal(gp_passes_parse("forward,train,prefill,decode"), GP_PASS_ALL);
    assert_int_equal(gp_passes_parse("forwards"), 0);
    assert_non_null(strstr(gp_error(), "'forwards' is not a pass"));
    assert_int_equal(gp_passes_parse(""), 0);
}

static json_t *report_of(fixture *f, const gp_mfu_plan *plan)
{
    char *text = NULL;
    size_t size = 0;
    gp_mfu *r = gp_mfu_measure(f->m, plan);
    FILE *out = open_memstream(&text, &size);
    assert_non_null(r);
    gp_mfu_json(r, out);
    fclose(out);
    gp_mfu_free(r);
    json_t *json = json_loads(text, 0, NULL);
    assert_non_null(json);
    free(text);
    return json;
}

static double number(const json_t *object, const char *key)
{
    const json_t *n = json_object_get(object, key);
    assert_true(json_is_number(n));
    return json_number_value(n);
}

static void utilization_is_rate_times_flops_over_the_given_peak(void **state)
{
    json_t *json = report_of(
        *state,
        &(gp_mfu_plan){
            .batch_size = B, .decode_batch = 1, .seconds = 0.01, .peak = 1e6, .passes = GP_PASS_ALL, .ops = true});
    const char *names[] = {"forward", "train", "prefill", "decode"};
    /* of a token: 4 LCT for attention, whole; a prefill has one row of logits for 4 tokens */
    const double flops[] = {2 * MACS + 4 * C * T, 3 * (2 * MACS + 4 * C * T),
                            2 * (MACS - C * V) + 2.0 * C * V / T + 4 * C * T, 2 * MACS + 4 * C * T / 2};
    assert_false(json_is_true(json_object_get(json, "peak_measured")));
    for (int i = 0; i < 4; i++) {
        const json_t *pass = json_object_get(json, names[i]);
        assert_true(fabs(number(pass, "flops_token") - flops[i]) < 1e-3 * flops[i]);
        assert_true(fabs(number(pass, "mfu") / (number(pass, "tok_s") * flops[i] / 1e6) - 1) < 1e-3);
        assert_true(number(pass, "tok_s_10") <= number(pass, "tok_s"));
        assert_true(number(pass, "tok_s") <= number(pass, "tok_s_90"));
        assert_true(json_array_size(json_object_get(pass, "ops")) > 3);
    }
    json_decref(json);
}

static void the_memory_of_each_arena_is_told(void **state)
{
    fixture *f = *state;
    json_t *json =
        report_of(f, &(gp_mfu_plan){.batch_size = B, .decode_batch = 1, .seconds = 0.01, .passes = GP_PASS_ALL});
    const json_t *memory = json_object_get(json, "memory");
    double parameters = number(json, "parameters");
    /* tokens 11 x 8, positions 4 x 8, a block of 12 CC + 13 C, the last norm */
    assert_int_equal((int)parameters, 88 + 32 + 12 * 64 + 13 * 8 + 16);
    double weights = number(memory, "weights"); /* 16 tensors, each from a multiple of 64 bytes on */
    assert_true(weights >= 4 * parameters && weights < 4 * parameters + 16 * 64);
    assert_true(number(memory, "gradients") == weights);
    assert_true(number(memory, "optimizer") == 2 * weights);
    assert_true(number(memory, "activations") > 0 && number(memory, "cache") > 0);
    json_decref(json);
}

static void a_model_without_gradients_cannot_be_trained(void **state)
{
    fixture *f = *state;
    gp_speed s;
    gp_model *m = gp_model_create(gp_model_config(f->m), f->be, false);
    assert_int_equal(gp_measure(m, GP_PASS_TRAIN, 1, T, 0.01, &s), -1);
    assert_non_null(strstr(gp_error(), "without gradients"));
    assert_int_equal(gp_measure(m, GP_PASS_FORWARD, 1, T + 1, 0.01, &s), -1);
    gp_model_free(m);
}

/* How large a product the machine's rate asks for depends on the clock; what a run needs must not. */
static void measuring_the_machine_leaves_the_memory_as_it_was(void **state)
{
    fixture *f = *state;
    gp_memory_use before, after;
    double loss, again;
    gp_model_memory(f->m, &before);
    assert_int_equal(gp_model_evaluate(f->m, &f->batch, &loss, NULL), 0);
    assert_true(gp_measure_peak(f->be, 0, 1e-9) > 0);
    gp_model_memory(f->m, &after);
    assert_int_equal(after.workspace, before.workspace);
    assert_int_equal(gp_model_evaluate(f->m, &f->batch, &again, NULL), 0);
    assert_true(loss == again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_forward_pass_needs_what_paper_says, setup, teardown),
        cmocka_unit_test_setup_teardown(training_needs_three_times_that, setup, teardown),
        cmocka_unit_test_setup_teardown(a_masked_pass_has_its_head_at_masked_tokens_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(a_start_is_that_of_an_op_of_one_number, setup, teardown),
        cmocka_unit_test_setup_teardown(a_decoded_token_needs_its_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(selected_rows_are_copied_once, setup, teardown),
        cmocka_unit_test_setup_teardown(timing_changes_nothing_and_leaves_nothing, setup, teardown),
        cmocka_unit_test(known_devices_have_their_vendors_figures),
        cmocka_unit_test(of_other_devices_nothing_is_guessed),
        cmocka_unit_test(passes_are_named),
        cmocka_unit_test_setup_teardown(utilization_is_rate_times_flops_over_the_given_peak, setup, teardown),
        cmocka_unit_test_setup_teardown(the_memory_of_each_arena_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(a_model_without_gradients_cannot_be_trained, setup, teardown),
        cmocka_unit_test_setup_teardown(measuring_the_machine_leaves_the_memory_as_it_was, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Speed on paper: the model's own passes, counted kernel by kernel, against arithmetic by hand and data sheets. */
#include "test.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "backend/backend.h"
#include "gptpipe/roofline.h"

enum { B = 2, T = 4, L = 1, C = 8, V = 11, TOKENS = B * T };

/* Multiply-adds of a token: qkv 8 x 24, projection 8 x 8, MLP 8 x 32 and 32 x 8, head 8 x 11. */
enum { WEIGHTS = 192 + 64 + 256 + 256, HEAD = 88 };

static gp_config small_config(void)
{
    gp_config c;
    gp_config_preset(&c, "nano");
    c.layers = L, c.heads = 2, c.channels = C, c.inner = 4 * C, c.vocab_size = V, c.positions = T;
    return c;
}

static json_t *compute_plan(const gp_config *c, gp_roofline_gpu gpu, gp_mfu_plan plan)
{
    plan.batch_size = B;
    plan.decode_batch = plan.decode_batch ? plan.decode_batch : B;
    gp_roofline *p = gp_roofline_compute(c, gpu, &plan);
    assert_non_null(p);
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    gp_roofline_json(p, out);
    fclose(out);
    gp_roofline_free(p);
    json_t *all = json_loads(text, 0, NULL);
    assert_non_null(all);
    free(text);
    return all;
}

static json_t *compute(const gp_config *c, gp_roofline_gpu gpu, int passes)
{
    return compute_plan(c, gpu, (gp_mfu_plan){.passes = passes});
}

static double number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    assert_true(json_is_number(value));
    return json_number_value(value);
}

/* The sum of a key over the kernels of a pass that are called `op`, or over all. */
static double sum_of(const json_t *pass, const char *op, const char *key)
{
    double sum = 0;
    size_t i;
    json_t *row;
    json_array_foreach (json_object_get(pass, "ops"), i, row) {
        if (!op || !strcmp(json_string_value(json_object_get(row, "op")), op))
            sum += number(row, key);
    }
    return sum;
}

static void near(double got, double want)
{
    if (!(fabs(got - want) <= 1e-5 * fabs(want)))
        fail_msg("%.9g, expected %.9g", got, want);
}

/* Queries see 1, 2, 3 and 4 keys: 10 pairs a sample, 2 x 8 multiply-adds each; backward twice that. */
static void a_step_has_the_flops_that_hands_count(void **state)
{
    (void)state;
    gp_config c = small_config();
    json_t *all = compute(&c, GP_ROOFLINE_A100, GP_PASS_TRAIN), *train = json_object_get(all, "train");
    near(sum_of(train, NULL, "flops"), 3 * (2 * (WEIGHTS + HEAD) * TOKENS + 2 * 2 * C * 10 * B));
    near(sum_of(train, "linear", "flops"), 2 * WEIGHTS * TOKENS);
    near(sum_of(train, "linear dX", "flops"), 2 * WEIGHTS * TOKENS);
    near(sum_of(train, "linear dW", "flops"), 2 * WEIGHTS * TOKENS);
    near(sum_of(train, "head dW", "flops"), 2 * HEAD * TOKENS);
    json_decref(all);
}

/* In bf16, B T C numbers are 128 bytes. */
static void a_step_has_the_bytes_that_hands_count(void **state)
{
    (void)state;
    gp_config c = small_config();
    json_t *all = compute(&c, GP_ROOFLINE_A100, GP_PASS_TRAIN), *train = json_object_get(all, "train");
    double x = 2 * TOKENS * C, N = number(all, "parameters");
    /* norms: the first reads and writes one tensor, the other two read two and write two */
    near(sum_of(train, "norm", "bytes"), (2 + 2 * 4) * x);
    /* dy of 24, 8, 32 and 8 columns is read, the fp32 gradients of as many biases read and written */
    near(sum_of(train, "bias gradients", "bytes"), 9 * x + 2 * 4 * 9 * C);
    /* p, g, m, v in, p, m, v out */
    near(sum_of(train, "adamw", "bytes"), 28 * N);
    near(sum_of(train, "gradient norm", "bytes"), 4 * N);
    /* logits of (8,11): read, and their gradients written */
    near(sum_of(train, "cross-entropy", "bytes"), 2 * 2 * TOKENS * V);
    json_decref(all);
}

/* GELU and its derivative are kernels of their own on Ampere: (8,32) is read and written; the gradient and what GELU
 * read are read, and the gradient written. On Hopper the product before it writes what GELU read, besides its
 * result. */
static void gelu_is_a_kernel_of_its_own_before_hopper(void **state)
{
    (void)state;
    gp_config c = small_config();
    double x = 2 * TOKENS * C;
    for (int hopper = 0; hopper < 2; hopper++) {
        json_t *all = compute(&c, hopper ? GP_ROOFLINE_H100 : GP_ROOFLINE_A100, GP_PASS_TRAIN);
        json_t *train = json_object_get(all, "train");
        near(sum_of(train, "act", "bytes"), hopper ? 0 : 2 * 4 * x);
        near(sum_of(train, "act backward", "bytes"), hopper ? 0 : 3 * 4 * x);
        near(sum_of(train, "act", "launches") + sum_of(train, "act backward", "launches"), hopper ? 0 : 2 * L);
        /* inputs and outputs of qkv, the projection, fc and out */
        near(sum_of(train, "linear", "bytes"), 2 * WEIGHTS + 4 * 9 * C + (4 + 2 + 5 + 5 + (hopper ? 4 : 0)) * x);
        /* the gradients of their outputs and inputs; what GELU read */
        near(sum_of(train, "linear dX", "bytes"), 2 * WEIGHTS + (4 + 2 + 5 + 5 + (hopper ? 4 : 0)) * x);
        json_decref(all);
    }
}

/* GPT-2 124M: in full, a token's scores and their use take 2 x 1024 x 768 multiply-adds a layer; causal, 1025 x 768. */
static void both_counts_of_attention_are_printed(void **state)
{
    (void)state;
    gp_config c;
    gp_config_preset(&c, "gpt2");
    json_t *all = compute(&c, GP_ROOFLINE_H100, GP_PASS_TRAIN), *train = json_object_get(all, "train");
    double products = 12 * 12 * 768.0 * 768 + 768.0 * 50257, share;
    share = (products + 12 * 1025 * 768.0) / (products + 12 * 2 * 1024 * 768.0);
    assert_true(number(train, "mfu") > 0.1);
    assert_true(fabs(number(train, "mfu_causal") - share * number(train, "mfu")) <= 1e-4);
    json_decref(all);
}

/* At position 0 a token sees one key; on average over a full context of 4, 2.5. Both k and v, in bf16, of two
 * samples. */
static void decoding_reads_weights_once_and_keys_for_each_sample(void **state)
{
    (void)state;
    gp_config c = small_config();
    json_t *all = compute(&c, GP_ROOFLINE_H100, GP_PASS_DECODE), *decode = json_object_get(all, "decode");
    double in_and_out = 2 * B * (C + 3 * C + C + C + C + 4 * C + 4 * C + C);
    double added = 2 * 2 * B * C; /* the branch that fc's norm adds, and the sum that it leaves */
    near(sum_of(decode, "linear, decode", "bytes"), 2 * WEIGHTS + in_and_out + added);
    near(sum_of(decode, "linear, decode", "flops"), 2 * WEIGHTS * B);
    double keys = (sum_of(decode, "attention, decode", "flops")) / (4 * C * B);
    assert_true(keys > 2 && keys < 3);
    json_decref(all);
}

/* Each of a layer's two norms, and the one before the head, is in the kernel of the product that reads it up to 8 rows,
 * and a kernel before it of more. */
static void norms_of_many_rows_are_kernels_of_their_own(void **state)
{
    (void)state;
    gp_config c = small_config();
    for (int64_t batch = 8; batch <= 9; batch++) {
        json_t *all =
            compute_plan(&c, GP_ROOFLINE_H100, (gp_mfu_plan){.passes = GP_PASS_DECODE, .decode_batch = batch});
        json_t *decode = json_object_get(all, "decode");
        near(sum_of(decode, "norm", "launches"), batch > 8 ? 2 * L + 1 : 0);
        near(sum_of(decode, "linear, decode", "launches"), 4 * L);
        json_decref(all);
    }
}

/* nvidia.com: A100 40 GB, 312 TFLOP/s in bf16, 1,555 GB/s. */
static void times_are_those_of_the_data_sheet(void **state)
{
    (void)state;
    gp_config c;
    gp_config_preset(&c, "gpt2");
    json_t *all = compute(&c, GP_ROOFLINE_A100, GP_PASS_TRAIN), *train = json_object_get(all, "train");
    near(sum_of(train, "adamw", "limit_seconds"), 28 * 124439808.0 / 1555e9);
    /* (2048,768) x (768,50257) */
    near(sum_of(train, "head", "limit_seconds"), 2.0 * 2048 * 768 * 50257 / 312e12);
    near(number(train, "seconds"), sum_of(train, NULL, "seconds") + number(train, "start_seconds"));
    near(number(train, "tok_s"), 2048 / number(train, "seconds"));
    assert_true(number(train, "seconds") > number(train, "limit_seconds"));
    near(number(train, "limit_seconds"), sum_of(train, NULL, "limit_seconds"));
    json_decref(all);
}

/* gpt2-xl trains in 28 GB: 16 bytes a parameter and 2 more in bf16. */
static void a_model_takes_no_memory_here(void **state)
{
    (void)state;
    struct rusage use;
    gp_config c;
    gp_config_preset(&c, "gpt2-xl");
    json_t *all = compute(&c, GP_ROOFLINE_H200, GP_PASS_TRAIN), *memory;
    memory = json_object_get(json_object_get(all, "train"), "memory");
    near(number(memory, "weights") + number(memory, "gradients") + number(memory, "optimizer"), 16 * 1557611200.0);
    assert_int_equal(getrusage(RUSAGE_SELF, &use), 0);
    assert_true(use.ru_maxrss < 1 << 20); /* KiB */
    json_decref(all);
}

/* p is read and written in 2 bytes where it is of a matrix, in 4 elsewhere; copies in bf16 are made of biases alone. */
static void without_master_weights_the_update_moves_four_bytes_less(void **state)
{
    (void)state;
    gp_config c = small_config();
    json_t *all = compute_plan(&c, GP_ROOFLINE_A100, (gp_mfu_plan){.passes = GP_PASS_TRAIN, .no_masters = true});
    json_t *train = json_object_get(all, "train");
    double N = number(all, "parameters"), matrices = V * C + T * C + WEIGHTS;
    near(sum_of(train, "adamw", "bytes"), 28 * N - 4 * matrices);
    near(sum_of(train, "gradient norm", "bytes"), 4 * N);
    /* biases of 24, 8, 32 and 8 numbers: 4 bytes each are read, 2 written */
    near(sum_of(train, "weights to bf16", "bytes"), 6 * 9 * C);
    /* products read what they did */
    near(sum_of(train, "linear", "bytes"), 2 * WEIGHTS + 4 * 9 * C + 2 * TOKENS * (4 + 2 + 5 + 5) * C);
    json_decref(all);
}

/* gpt2-xl: 14 bytes a parameter in place of 18, but for vectors (4 + 2 of a bias), and rows of zeros behind the
 * vocabulary of 50257 up to 50304. */
static void without_master_weights_a_model_takes_a_fifth_less(void **state)
{
    (void)state;
    enum { XL = 1600, LAYERS = 48 };
    gp_config c;
    gp_config_preset(&c, "gpt2-xl");
    json_t *all = compute_plan(&c, GP_ROOFLINE_H200, (gp_mfu_plan){.passes = GP_PASS_TRAIN, .no_masters = true});
    json_t *memory = json_object_get(json_object_get(all, "train"), "memory");
    double N = number(all, "parameters"), matrices = 50257.0 * XL + 1024.0 * XL + 12.0 * XL * XL * LAYERS;
    near(number(memory, "weights"), 2 * (matrices + (50304.0 - 50257) * XL) + 4 * (N - matrices));
    near(number(memory, "slots"), 2.0 * 9 * XL * LAYERS);
    near(number(memory, "gradients") + number(memory, "optimizer"), 12 * N);
    json_decref(all);
}

static void a_model_that_does_not_decode_has_no_such_pass(void **state)
{
    (void)state;
    gp_config c = small_config();
    c.causal = false;
    c.family = GP_BERT;
    c.head = GP_HEAD_MLM;
    c.post_norm = true;
    c.types = 2;
    json_t *all = compute(&c, GP_ROOFLINE_H200, GP_PASS_ALL);
    assert_non_null(json_object_get(all, "train"));
    assert_null(json_object_get(all, "decode"));
    json_decref(all);
}

/* ref in bf16 says that it is an H200. */
static void a_measured_gpu_has_its_figure_on_paper(void **state)
{
    (void)state;
    gp_config c = small_config();
    gp_backend *be = gp_backend_open("ref", "bf16", 1);
    snprintf(be->device, sizeof be->device, "NVIDIA H200, sm_90");
    gp_model *m = gp_model_create(&c, be, true);
    gp_mfu_plan plan = {.batch_size = B, .seconds = 0.001, .peak = 1e12, .passes = GP_PASS_TRAIN};
    gp_mfu *r = gp_mfu_measure(m, &plan);
    gp_roofline *p = gp_roofline_compute(&c, GP_ROOFLINE_H200, &plan);
    char *text = NULL, want[64];
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    gp_mfu_print(r, out, false);
    fclose(out);
    snprintf(want, sizeof want, "train on the roofline: %.0f tok/s; measured: ", gp_roofline_tok_s(p, GP_PASS_TRAIN));
    assert_non_null(strstr(text, want));
    free(text);
    gp_roofline_free(p);
    gp_mfu_free(r);
    gp_model_free(m);
    gp_backend_close(be);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_has_the_flops_that_hands_count),
        cmocka_unit_test(a_step_has_the_bytes_that_hands_count),
        cmocka_unit_test(gelu_is_a_kernel_of_its_own_before_hopper),
        cmocka_unit_test(both_counts_of_attention_are_printed),
        cmocka_unit_test(decoding_reads_weights_once_and_keys_for_each_sample),
        cmocka_unit_test(norms_of_many_rows_are_kernels_of_their_own),
        cmocka_unit_test(times_are_those_of_the_data_sheet),
        cmocka_unit_test(a_model_takes_no_memory_here),
        cmocka_unit_test(without_master_weights_the_update_moves_four_bytes_less),
        cmocka_unit_test(without_master_weights_a_model_takes_a_fifth_less),
        cmocka_unit_test(a_model_that_does_not_decode_has_no_such_pass),
        cmocka_unit_test(a_measured_gpu_has_its_figure_on_paper),
    };
    return cmocka_run_group_tests_name("speed on paper", tests, NULL, NULL);
}

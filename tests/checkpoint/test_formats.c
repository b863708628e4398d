/* One model in the files of every format, as the other projects wrote them (tests/golden/formats): each opens as the
 * same model, tensor by tensor, with the same tokenizer, and gives the logits that its own project computes. */
#include "test.h"

#include "gptpipe/checkpoint.h"
#include "gptpipe/safetensors.h"
#include "gptpipe/trace.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FORMATS "tests/golden/formats/"
enum { B = 2, T = 16 };

static gp_backend *be;

static int set_up(void **state)
{
    (void)state;
    be = gp_backend_open("ref", "fp32", 1);
    return be ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    gp_backend_close(be);
    return 0;
}

/* What a file holds of the reference: its numbers, or rounded to nearest. */
typedef enum numbers { EXACT, IN_BF16, IN_F16 } numbers;

typedef struct fixture {
    const char *path;     /* in FORMATS */
    const char *weights;  /* the reference's safetensors file; NULL: hf's */
    const char *expected; /* safetensors file with tokens and logits; NULL: hf's */
    numbers numbers;
    double tolerance; /* of logits, of the largest one; 0: 2e-5 */
    bool no_tokenizer;
    gp_checkpoint_options options;
} fixture;

static gp_safetensors *open_reference(const char *name)
{
    char *path = gp_format(FORMATS "%s", name);
    gp_safetensors *s = gp_safetensors_open(path);
    if (!s)
        fail_msg("%s", gp_error());
    free(path);
    return s;
}

static const void *find(gp_safetensors *s, const char *name, int64_t count)
{
    gp_tensor t;
    if (!gp_safetensors_find(s, name, &t))
        fail_msg("the reference has no %s", name);
    assert_int_equal(gp_tensor_count(&t), count);
    return t.data;
}

/* ---- weights --------------------------------------------------------------------------------------------- */

typedef struct comparison {
    const fixture *f;
    gp_safetensors *reference;
    int64_t seen;
} comparison;

/* What PyTorch's conversion to bfloat16 or float16 and back makes of x, up to a unit of the last place's half. */
static double allowed(numbers n, double x)
{
    return n == IN_BF16 ? 0x1p-8 * fabs(x) : n == IN_F16 ? fmax(0x1p-11 * fabs(x), 0x1p-25) : 0;
}

static bool is_bias(const char *name)
{
    size_t n = strlen(name);
    return n > 5 && !strcmp(name + n - 5, ".bias");
}

static void compare_weights(void *self, const char *name, const gp_tensor *t)
{
    comparison *c = self;
    const float *theirs = find(c->reference, name, gp_tensor_count(t)), *ours = t->data;
    for (int64_t i = 0; i < gp_tensor_count(t); i++) {
        double x = theirs[i];
        if (!(fabs(ours[i] - x) <= allowed(c->f->numbers, x)))
            fail_msg("%s: %s[%lld] is %g, expected %g", c->f->path, name, (long long)i, (double)ours[i], x);
    }
    c->seen++;
}

static void check_weights(const fixture *f, gp_model *m)
{
    comparison c = {.f = f, .reference = open_reference(f->weights ? f->weights : "hf/model.safetensors")};
    int64_t expected = 0;
    gp_tensor t;
    for (int64_t i = 0; i < gp_safetensors_count(c.reference); i++)
        expected += gp_model_config(m)->bias || !is_bias(gp_safetensors_get(c.reference, i, &t));
    gp_trace_parameters(m, false, compare_weights, &c);
    assert_int_equal(c.seen, expected);
    gp_safetensors_close(c.reference);
}

/* ---- what it computes ------------------------------------------------------------------------------------ */

/* largest |difference| <= tolerance of the largest |reference| */
static void check_values(const fixture *f, const char *what, const float *ours, const float *theirs, int64_t n)
{
    double worst = 0, largest = 0;
    for (int64_t i = 0; i < n; i++) {
        double difference = fabs((double)ours[i] - (double)theirs[i]);
        worst = difference <= INFINITY ? fmax(worst, difference) : INFINITY;
        largest = fmax(largest, fabs((double)theirs[i]));
    }
    if (!(worst <= (f->tolerance > 0 ? f->tolerance : 2e-5) * largest))
        fail_msg("%s: %s differs by %g, its largest value is %g", f->path, what, worst, largest);
}

static void check_logits(const fixture *f, gp_model *m, int64_t V)
{
    gp_safetensors *s = open_reference(f->expected ? f->expected : "hf/expected.safetensors");
    gp_batch batch = {.B = B, .T = T, .inputs = find(s, "tokens", B * T)};
    float *logits = gp_malloc((size_t)(B * T * V) * sizeof *logits);
    assert_int_equal(gp_model_logits(m, &batch, logits), 0);
    check_values(f, "logits", logits, find(s, "logits", B * T * V), B * T * V);
    free(logits);
    gp_safetensors_close(s);
}

/* ---- opening --------------------------------------------------------------------------------------------- */

static gp_checkpoint *open_fixture(const fixture *f)
{
    char *path = gp_format(FORMATS "%s", f->path);
    gp_checkpoint *c = gp_checkpoint_open_with(path, &f->options);
    if (!c)
        fail_msg("%s", gp_error());
    free(path);
    return c;
}

static gp_model *load_fixture(const fixture *f, gp_checkpoint *c)
{
    gp_model *m = gp_checkpoint_model(c, be, false);
    if (!m)
        fail_msg("%s: %s", f->path, gp_error());
    return m;
}

static void check_tokenizer(const fixture *f, const gp_checkpoint *c)
{
    uint8_t ours[16], theirs[16];
    if (f->no_tokenizer) {
        assert_null(gp_checkpoint_tokenizer(c, NULL));
        return;
    }
    gp_checkpoint *hf = open_fixture(&(fixture){.path = "hf"});
    assert_true(gp_checkpoint_fingerprint(hf, theirs));
    if (!gp_checkpoint_fingerprint(c, ours))
        fail_msg("%s: has no tokenizer", f->path);
    assert_memory_equal(ours, theirs, sizeof ours);
    gp_checkpoint_close(hf);
}

static void check_fixture(const fixture *f)
{
    gp_checkpoint *c = open_fixture(f);
    gp_model *m = load_fixture(f, c);
    check_weights(f, m);
    check_logits(f, m, gp_checkpoint_config(c)->vocab_size);
    check_tokenizer(f, c);
    gp_model_free(m);
    gp_checkpoint_close(c);
}

static void check_fixtures(const fixture *f, size_t count)
{
    for (size_t i = 0; i < count; i++)
        check_fixture(&f[i]);
}

/* ---- formats --------------------------------------------------------------------------------------------- */

static void test_transformers(void **state)
{
    (void)state;
    static const fixture files[] = {
        {"hf"},
        {"hf/model.safetensors"},
        {"hf-sharded", .no_tokenizer = true},
        {"hf-base", .no_tokenizer = true},
        {"hf-module", .no_tokenizer = true},
        {"hf-orig-mod", .no_tokenizer = true},
        {"hf-untied", "hf-untied/model.safetensors", "hf-untied/expected.safetensors", .no_tokenizer = true},
    };
    check_fixtures(files, ARRAY_LEN(files));
}

static void test_transformers_bert(void **state)
{
    (void)state;
    const fixture f = {"hf-bert", "hf-bert/model.safetensors", "hf-bert/expected.safetensors"};
    gp_checkpoint *c = open_fixture(&f);
    gp_model *m = load_fixture(&f, c);
    check_weights(&f, m);
    check_logits(&f, m, gp_checkpoint_config(c)->vocab_size);
    gp_model_free(m);
    gp_checkpoint_close(c);
}

/* GPT-2's own tokenizer alone is taken for an llm.c model, and these have another vocabulary. */
static void test_llmc(void **state)
{
    (void)state;
    static const fixture files[] = {
        {"llmc/gpt2.bin", .no_tokenizer = true},
        {"llmc/gpt2_bf16.bin", .numbers = IN_BF16, .tolerance = 1e-2, .no_tokenizer = true},
    };
    check_fixtures(files, ARRAY_LEN(files));
}

static void test_tensorflow(void **state)
{
    (void)state;
    static const fixture files[] = {{"tensorflow"}, {"tensorflow/model.ckpt.index"}, {"tensorflow/model.ckpt"}};
    check_fixtures(files, ARRAY_LEN(files));
}

static void test_torch(void **state)
{
    (void)state;
    static const fixture files[] = {
        {"bin", .no_tokenizer = true},
        {"bin/pytorch_model.bin", .no_tokenizer = true},
        {"bin-sharded", .no_tokenizer = true},
        {"bin-legacy", .no_tokenizer = true},
        {"bin-deflated", .no_tokenizer = true},
        {"bin-f16", .numbers = IN_F16, .tolerance = 2e-3, .no_tokenizer = true},
        {"bin-bf16", .numbers = IN_BF16, .tolerance = 2e-2, .no_tokenizer = true},
    };
    check_fixtures(files, ARRAY_LEN(files));
}

static void test_nanogpt(void **state)
{
    (void)state;
    static const fixture files[] = {
        {"nanogpt", .expected = "nanogpt/ckpt.expected.safetensors", .no_tokenizer = true},
        {"nanogpt/ckpt.pt", .expected = "nanogpt/ckpt.expected.safetensors", .no_tokenizer = true},
        {"nanogpt/no-bias.pt", .expected = "nanogpt/no-bias.expected.safetensors", .no_tokenizer = true},
    };
    check_fixtures(files, ARRAY_LEN(files));
}

static void test_gguf(void **state)
{
    (void)state;
    static const fixture files[] = {
        {"gguf/gpt2-f32.gguf"},
        {"gguf/gpt2-f16.gguf", .numbers = IN_F16, .tolerance = 2e-3},
        {"gguf/gpt2-bf16.gguf", .numbers = IN_BF16, .tolerance = 2e-2},
    };
    check_fixtures(files, ARRAY_LEN(files));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transformers), cmocka_unit_test(test_transformers_bert),
        cmocka_unit_test(test_llmc),         cmocka_unit_test(test_tensorflow),
        cmocka_unit_test(test_torch),        cmocka_unit_test(test_nanogpt),
        cmocka_unit_test(test_gguf),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

/* A trace's file: the logit lens against transformers (tests/golden/lens.py), the weights, the metadata. */
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends.h"
#include "gptpipe/checkpoint.h"
#include "gptpipe/safetensors.h"
#include "gptpipe/trace.h"

static char file[] = "/tmp/gptpipe-test.XXXXXX"; /* a trace */

static gp_safetensors *open_part(const char *folder, const char *part)
{
    char *path = gp_format("%s/golden/%s/%s.safetensors", TEST_DIR, folder, part);
    gp_safetensors *s = gp_safetensors_open(path);
    if (!s)
        fail_msg("%s", gp_error());
    free(path);
    return s;
}

static gp_tensor find(const gp_safetensors *s, const char *name)
{
    gp_tensor t;
    if (!gp_safetensors_find(s, name, &t))
        fail_msg("%s: no tensor %s", gp_safetensors_path(s), name);
    return t;
}

/* Writes the trace of a model of tests/golden, and opens it. */
static gp_safetensors *trace_of(const char *folder, const char *backend, const gp_tokenizer *t, const int32_t *ids,
                                int64_t count, bool gradients)
{
    char *path = gp_format("%s/golden/%s", TEST_DIR, folder);
    gp_backend *be = gp_backend_open(backend, "fp32", 2);
    gp_checkpoint *ckpt = gp_checkpoint_open(path);
    gp_model *m = ckpt ? gp_checkpoint_model(ckpt, be, gradients) : NULL;
    if (!m || gp_trace_write(file, m, t, ids, count, gradients))
        fail_msg("%s", gp_error());
    gp_model_free(m);
    gp_checkpoint_close(ckpt);
    gp_backend_close(be);
    free(path);
    gp_safetensors *s = gp_safetensors_open(file);
    assert_non_null(s);
    return s;
}

static void check_lens(const char *folder, const char *backend)
{
    gp_safetensors *expected = open_part(folder, "lens");
    gp_tensor tokens = find(expected, "tokens"), ids = find(expected, "lens.ids");
    gp_tensor p = find(expected, "lens.probabilities");
    gp_safetensors *s = trace_of(folder, backend, NULL, tokens.data, tokens.dim[1], false);
    gp_tensor our_ids = find(s, "lens.ids"), our_p = find(s, "lens.probabilities");
    assert_memory_equal(our_ids.dim, ((int64_t[]){1, 3, 32, 10}), 4 * sizeof(int64_t));
    assert_memory_equal(our_p.dim, our_ids.dim, 4 * sizeof(int64_t));
    assert_memory_equal(our_ids.data, ids.data, (size_t)gp_tensor_bytes(&ids));
    for (int64_t i = 0; i < gp_tensor_count(&p); i++)
        if (!(fabs((double)((float *)our_p.data)[i] - (double)((float *)p.data)[i]) <= 1e-6))
            fail_msg("%s: probability %lld is %g, expected %g", folder, (long long)i, (double)((float *)our_p.data)[i],
                     (double)((float *)p.data)[i]);
    assert_null(gp_safetensors_metadata(s, "gptpipe.texts", NULL));
    gp_safetensors_close(s);
    gp_safetensors_close(expected);
}

static void the_lens_is_that_of_transformers(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(backends); i++) {
        check_lens("gpt2-tiny", backends[i]);
        check_lens("bert-tiny", backends[i]);
    }
}

static void compare(const gp_safetensors *s, const char *name, const gp_tensor *t)
{
    gp_tensor of_file = find(s, name);
    assert_int_equal(gp_tensor_bytes(&of_file), gp_tensor_bytes(t));
    assert_memory_equal(of_file.data, t->data, (size_t)gp_tensor_bytes(t));
}

static void the_lens_leaves_the_pass_as_it_is(void **state)
{
    static const char *const folders[] = {"gpt2-tiny", "bert-tiny"};
    const int32_t ids[] = {5, 90, 17, 33, 2};
    float logits[5 * 96];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        gp_safetensors *s = trace_of(folders[i], backends[0], NULL, ids, 5, false);
        char *path = gp_format("%s/golden/%s", TEST_DIR, folders[i]);
        gp_backend *be = gp_backend_open(backends[0], "fp32", 2);
        gp_checkpoint *ckpt = gp_checkpoint_open(path);
        gp_model *m = gp_checkpoint_model(ckpt, be, false);
        assert_int_equal(gp_model_logits(m, &(gp_batch){.B = 1, .T = 5, .inputs = ids}, logits), 0);
        compare(s, "logits", &(gp_tensor){.data = logits, .dtype = GP_F32, .ndim = 3, .dim = {1, 5, 96}});
        gp_model_free(m);
        gp_checkpoint_close(ckpt);
        gp_backend_close(be);
        gp_safetensors_close(s);
        free(path);
    }
}

static void weights_are_those_of_the_checkpoint(void **state)
{
    const int32_t ids[] = {5, 90, 17};
    (void)state;
    gp_safetensors *weights = open_part("gpt2-tiny", "model");
    gp_safetensors *s = trace_of("gpt2-tiny", backends[0], NULL, ids, 3, true);
    for (int64_t i = 0; i < gp_safetensors_count(weights); i++) {
        gp_tensor t;
        char *name = gp_format("weight.%s", gp_safetensors_get(weights, i, &t));
        compare(s, name, &t);
        free(name);
    }
    find(s, "loss");
    find(s, "grad.transformer.wte.weight");
    assert_false(gp_safetensors_find(s, "weight.loss", NULL));
    gp_safetensors_close(s);
    gp_safetensors_close(weights);
}

static void metadata_has_version_configuration_and_texts(void **state)
{
    const int32_t ids[] = {5, 90, 17};
    size_t length;
    gp_config c;
    (void)state;
    gp_tokenizer *t = gp_tokenizer_open("bytes");
    gp_safetensors *s = trace_of("gpt2-tiny", backends[0], t, ids, 3, false);
    assert_string_equal(gp_safetensors_metadata(s, "gptpipe.trace", NULL), "1");
    const char *config = gp_safetensors_metadata(s, "gptpipe.config", &length);
    assert_int_equal(gp_config_from_json(&c, config, length, "trace"), 0);
    assert_int_equal(c.layers, 2);
    const char *texts = gp_safetensors_metadata(s, "gptpipe.texts", &length);
    assert_non_null(strstr(texts, "\"A\", \"B\", \"C\""));
    assert_non_null(strstr(texts, "\"\\u007f\", \"\\ufffd\""));
    assert_true(texts[0] == '[' && texts[length - 1] == ']');
    gp_safetensors_close(s);
    gp_tokenizer_close(t);
}

static void a_classifier_has_no_lens(void **state)
{
    const int32_t ids[] = {5, 40, 17};
    (void)state;
    gp_safetensors *s = trace_of("heads-gpt2-classify", backends[0], NULL, ids, 3, false);
    find(s, "logits");
    assert_false(gp_safetensors_find(s, "lens.ids", NULL));
    assert_false(gp_safetensors_find(s, "lens.probabilities", NULL));
    gp_safetensors_close(s);
}

static void weights_of_16_mb_are_left_out(void **state)
{
    const int32_t id = 3;
    (void)state;
    gp_backend *be = gp_backend_open(backends[0], "fp32", 2);
    gp_config c = gp_config_of_preset(GP_PRESET_NANO);
    c.layers = 1;
    c.vocab_size = 40000;
    gp_model *m = gp_model_create(&c, be, false);
    gp_model_init(m, 1);
    assert_int_equal(gp_trace_write(file, m, NULL, &id, 1, false), 0);
    gp_safetensors *s = gp_safetensors_open(file);
    find(s, "lens.ids");
    assert_false(gp_safetensors_find(s, "weight.transformer.wte.weight", NULL));
    gp_safetensors_close(s);
    gp_model_free(m);
    gp_backend_close(be);
}

int main(void)
{
    int fd = mkstemp(file);
    if (fd < 0)
        return 1;
    close(fd);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_lens_is_that_of_transformers),
        cmocka_unit_test(the_lens_leaves_the_pass_as_it_is),
        cmocka_unit_test(weights_are_those_of_the_checkpoint),
        cmocka_unit_test(metadata_has_version_configuration_and_texts),
        cmocka_unit_test(a_classifier_has_no_lens),
        cmocka_unit_test(weights_of_16_mb_are_left_out),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    remove(file);
    return failed;
}

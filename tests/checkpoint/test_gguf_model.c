/* Models in GGUF files: llama.cpp's own of tests/golden/formats, with the logits that transformers gives for them; and
 * files written here, which hold what llama.cpp's converter writes. */
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checkpoint/checkpoint.h"
#include "checkpoint/gguf/gguf_tokenizer.h"
#include "gptpipe/safetensors.h"
#include "small_bpe.h"

#define FORMATS TEST_DIR "/golden/formats/"

static char path[] = "/tmp/gptpipe-gguf.XXXXXX";
static gp_backend *be;

static gp_checkpoint *open_model(const char *where)
{
    gp_checkpoint *c = gp_checkpoint_open(where);
    if (!c)
        fail_msg("%s", gp_error());
    return c;
}

static float *logits_of(const gp_checkpoint *c, const int32_t *tokens, int64_t B, int64_t T)
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
static void assert_logits(const gp_checkpoint *c, const char *expected, double tolerance)
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
        error = fmax(error, fabs((double)logits[i] - w));
    }
    if (!(error <= tolerance * most))
        fail_msg("%s: a logit is off by %g, the largest is %g", c->path, error, most);
    free(logits);
    gp_safetensors_close(s);
}

static void assert_same_tokenizer(const gp_checkpoint *a, const gp_checkpoint *b)
{
    uint8_t x[16], y[16];
    assert_true(gp_checkpoint_fingerprint(a, x) && gp_checkpoint_fingerprint(b, y));
    assert_memory_equal(x, y, sizeof x);
}

/* ---- reading --------------------------------------------------------------------------------------------- */

/* F16 and BF16 are the numbers of `hf`, rounded: their logits are those of F32 to within that. */
static void test_reads_converted_models(void **state)
{
    (void)state;
    static const struct {
        const char *file, *expected;
        double tolerance;
    } models[] = {{"gguf/gpt2-f32.gguf", "hf/expected.safetensors", 2e-5},
                  {"gguf/gpt2-f16.gguf", "hf/expected.safetensors", 2e-3},
                  {"gguf/gpt2-bf16.gguf", "hf/expected.safetensors", 2e-2},
                  {"gguf/wide-q8_0.gguf", "gguf/wide-q8_0.expected.safetensors", 2e-5},
                  {"gguf/wide-q4.gguf", "gguf/wide-q4.expected.safetensors", 2e-5}};
    gp_checkpoint *hf = open_model(FORMATS "hf");
    for (size_t i = 0; i < ARRAY_LEN(models); i++) {
        char *file = gp_format(FORMATS "%s", models[i].file), *expected = gp_format(FORMATS "%s", models[i].expected);
        gp_checkpoint *c = open_model(file);
        assert_null(gp_checkpoint_warning(c));
        assert_null(gp_checkpoint_tokenizer_warning(c));
        assert_null(gp_checkpoint_tokenizer_problem(c));
        assert_logits(c, expected, models[i].tolerance);
        assert_same_tokenizer(c, hf);
        gp_checkpoint_close(c);
        free(file);
        free(expected);
    }
    gp_checkpoint_close(hf);
}

static void test_reads_the_configuration(void **state)
{
    (void)state;
    gp_checkpoint *c = open_model(FORMATS "gguf/wide-q4.gguf");
    const gp_config *k = gp_checkpoint_config(c);
    assert_int_equal(k->family, GP_GPT2);
    assert_int_equal(k->vocab_size, 272);
    assert_int_equal(k->layers, 1);
    assert_int_equal(k->heads, 2);
    assert_int_equal(k->channels, 32);
    assert_int_equal(k->inner, 256);
    assert_int_equal(k->positions, 16);
    assert_int_equal(k->bos_id, 0);
    assert_int_equal(k->end_count, 1);
    assert_int_equal(k->ends[0], 0);
    assert_true(k->norm_eps == 1e-5);
    assert_true(k->tied && k->bias && !k->gelu_erf);
    gp_checkpoint_close(c);
}

/* The encoder, whose masked-language head the converter leaves out. */
static void test_reads_the_encoder_of_bert(void **state)
{
    (void)state;
    assert_null(gp_checkpoint_open(FORMATS "gguf/bert-f32.gguf"));
    assert_string_equal(gp_error(), FORMATS "gguf/bert-f32.gguf: has BERT's encoder alone: its masked-language head is "
                                            "missing (tensors cls.predictions.*), which llama.cpp's converter leaves "
                                            "out");
    const char *missing[] = {"cls.predictions.*"};
    gp_checkpoint *c = gp_checkpoint_open_with(
        FORMATS "gguf/bert-f32.gguf", &(gp_checkpoint_options){.allow_missing = missing, .allow_missing_count = 1});
    gp_checkpoint *hf = open_model(FORMATS "hf-bert");
    assert_non_null(c);
    assert_int_equal(c->params.count, hf->params.count);
    assert_true(c->config.norm_eps == hf->config.norm_eps);
    for (int i = 0; i < c->params.count; i++) {
        const gp_param *row = &c->params.rows[i];
        size_t bytes = (size_t)row->count * sizeof(float);
        float *x = gp_malloc(bytes), *y = gp_malloc(bytes);
        bool head = row->role == GP_HEAD_B || row->role == GP_MLM_W || row->role == GP_MLM_B ||
                    row->role == GP_MLM_GAMMA || row->role == GP_MLM_BETA;
        assert_int_equal(c->read(c->self, row, 0, row->dim[0], x), 0);
        assert_int_equal(hf->read(hf->self, &hf->params.rows[i], 0, row->dim[0], y), 0);
        if (!head)
            assert_memory_equal(x, y, bytes);
        free(x);
        free(y);
    }
    assert_non_null(
        strstr(gp_checkpoint_tokenizer_problem(c), "its tokenizer is bert (tokenizer.ggml.model), only gpt2"));
    gp_checkpoint_close(c);
    gp_checkpoint_close(hf);
}

static void test_refuses_other_architectures(void **state)
{
    (void)state;
    assert_null(gp_checkpoint_open(FORMATS "gguf/blocks.gguf"));
    assert_string_equal(gp_error(),
                        FORMATS "gguf/blocks.gguf: its architecture is blocks; gpt2 and bert are supported");
}

/* ---- writing --------------------------------------------------------------------------------------------- */

static gp_checkpoint *write_and_open(const gp_checkpoint *c, gp_store store)
{
    if (gp_checkpoint_write(c, path, &(gp_checkpoint_output){.format = "gguf", .store = store}))
        fail_msg("%s", gp_error());
    return open_model(path);
}

/* Each pair of the converter's file has the same type and value here, but for what describes the model. */
static void assert_same_metadata(const gp_gguf *found, const gp_gguf *wanted)
{
    static const char *const others[] = {"general.name", "general.size_label", "tokenizer.ggml.unknown_token_id"};
    for (int64_t i = 0; i < wanted->pair_count; i++) {
        const gp_gguf_pair *w = &wanted->pairs[i];
        char *key = gp_strndup(w->key, w->key_length);
        const gp_gguf_pair *f = gp_gguf_find(found, key);
        gp_buf x = {0}, y = {0};
        if (gp_find_name(others, ARRAY_LEN(others), key) < 0) {
            if (!f)
                fail_msg("%s is missing", key);
            gp_gguf_print(&x, f);
            gp_gguf_print(&y, w);
            assert_string_equal(x.data, y.data);
            assert_int_equal(f->type, w->type);
            assert_int_equal(f->count, w->count);
            if (w->type == GP_GGUF_ARRAY && w->item != GP_GGUF_STRING)
                assert_memory_equal(f->data, w->data, (size_t)(w->count * gp_gguf_value_size(w->item)));
            const char *a = f->data, *b = w->data;
            for (int64_t k = 0; w->type == GP_GGUF_ARRAY && w->item == GP_GGUF_STRING && k < w->count; k++) {
                size_t n, m;
                const char *one = gp_gguf_next_string(&a, &n), *other = gp_gguf_next_string(&b, &m);
                assert_int_equal(n, m);
                assert_memory_equal(one, other, n);
            }
        }
        gp_buf_release(&x);
        gp_buf_release(&y);
        free(key);
    }
}

/* The tensors are those of the converter's file, bit for bit. */
static void assert_same_tensors(const gp_container *found, const gp_container *wanted)
{
    assert_int_equal(found->count, wanted->count);
    for (int64_t i = 0; i < wanted->count; i++) {
        int64_t j = gp_container_find(found, wanted->tensors[i].name);
        assert_true(j >= 0);
        const gp_gguf_tensor *w = &gp_gguf_of(wanted)->tensors[i], *f = &gp_gguf_of(found)->tensors[j];
        assert_string_equal(found->tensors[j].type, wanted->tensors[i].type);
        assert_int_equal(found->tensors[j].ndim, wanted->tensors[i].ndim);
        assert_memory_equal(found->tensors[j].dim, wanted->tensors[i].dim, sizeof wanted->tensors[i].dim);
        assert_int_equal(f->bytes, w->bytes);
        assert_memory_equal(f->data, w->data, (size_t)w->bytes);
    }
}

static void test_writes_what_the_converter_writes(void **state)
{
    (void)state;
    static const struct {
        gp_store store;
        const char *file;
    } files[] = {{GP_STORE_F32, FORMATS "gguf/gpt2-f32.gguf"},
                 {GP_STORE_F16, FORMATS "gguf/gpt2-f16.gguf"},
                 {GP_STORE_BF16, FORMATS "gguf/gpt2-bf16.gguf"}};
    gp_checkpoint *hf = open_model(FORMATS "hf");
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        gp_checkpoint *wanted = open_model(files[i].file), *found = write_and_open(hf, files[i].store);
        assert_same_metadata(gp_gguf_of(found->files[0]), gp_gguf_of(wanted->files[0]));
        assert_same_tensors(found->files[0], wanted->files[0]);
        assert_same_tokenizer(found, hf);
        gp_checkpoint_close(found);
        gp_checkpoint_close(wanted);
    }
    gp_checkpoint_close(hf);
}

/* Out of numbers that Q8_0 holds exactly come the same ones. */
static void test_writes_q8_0(void **state)
{
    (void)state;
    gp_checkpoint *wide = open_model(FORMATS "gguf/wide-q8_0.gguf"), *c = write_and_open(wide, GP_STORE_Q8_0);
    int64_t i = gp_container_find(c->files[0], "blk.0.ffn_down.weight");
    assert_string_equal(c->files[0]->tensors[i].type, "Q8_0");
    assert_logits(c, FORMATS "gguf/wide-q8_0.expected.safetensors", 1e-2);
    gp_checkpoint_close(c);
    gp_checkpoint_close(wide);
}

/* A config of FORMATS's model with some settings, without weights of its own. */
static gp_model *small_model(gp_config c)
{
    gp_model *m = gp_model_create(&c, be, false);
    gp_model_init(m, 7);
    return m;
}

static gp_config small_config(void)
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

static void assert_same_logits(const gp_checkpoint *a, const gp_checkpoint *b)
{
    static const int32_t tokens[8] = {1, 2, 3, 299, 5, 200, 7, 0};
    float *x = logits_of(a, tokens, 1, 8), *y = logits_of(b, tokens, 1, 8);
    assert_memory_equal(x, y, 8 * 300 * sizeof *x);
    free(x);
    free(y);
}

static void test_writes_variants(void **state)
{
    (void)state;
    gp_config untied = small_config(), bare = small_config();
    untied.tied = false;
    untied.norm_eps = 1e-3;
    bare.bias = false;
    const gp_config variants[] = {small_config(), untied, bare};
    for (size_t i = 0; i < ARRAY_LEN(variants); i++) {
        gp_model *m = small_model(variants[i]);
        gp_checkpoint *c = gp_checkpoint_of_model(m, NULL, 0), *read = write_and_open(c, GP_STORE_F32);
        assert_null(gp_checkpoint_warning(read));
        assert_int_equal(read->config.tied, variants[i].tied);
        assert_int_equal(read->config.inner, 24);
        assert_true(read->config.norm_eps == variants[i].norm_eps);
        assert_true(read->config.bias); /* zeros, which llama.cpp needs */
        assert_same_logits(read, c);
        gp_checkpoint_close(read);
        gp_checkpoint_close(c);
        gp_model_free(m);
    }
}

static void test_refuses_what_llama_cpp_computes_otherwise(void **state)
{
    (void)state;
    gp_config erf = small_config(), unscaled = erf, by_layer = erf;
    erf.gelu_erf = true;
    unscaled.scores_unscaled = true;
    by_layer.scores_by_layer = true;
    const struct {
        gp_config config;
        const char *why;
    } cases[] = {{erf, "llama.cpp's gpt2 applies GELU's tanh form, this model its exact form"},
                 {unscaled, "scale_attn_weights: false"},
                 {by_layer, "scale_attn_by_inverse_layer_idx"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        gp_model *m = small_model(cases[i].config);
        gp_checkpoint *c = gp_checkpoint_of_model(m, NULL, 0);
        assert_int_equal(gp_checkpoint_write(c, path, &(gp_checkpoint_output){.format = "gguf"}), -1);
        assert_non_null(strstr(gp_error(), cases[i].why));
        gp_checkpoint_close(c);
        gp_model_free(m);
    }
    gp_checkpoint *bert = open_model(FORMATS "hf-bert");
    assert_int_equal(gp_checkpoint_write(bert, path, &(gp_checkpoint_output){.format = "gguf"}), -1);
    assert_non_null(strstr(gp_error(), "only GPT-2 models are written"));
    gp_checkpoint_close(bert);
}

/* ---- tokenizers ------------------------------------------------------------------------------------------ */

static void assert_tokenizer_survives(const char *json, const char *model, bool whole)
{
    gp_model *m = small_model(small_config());
    gp_checkpoint *c = gp_checkpoint_of_model(m, json, strlen(json));
    if (gp_checkpoint_tokenizer_problem(c))
        fail_msg("%s", gp_checkpoint_tokenizer_problem(c));
    gp_checkpoint *read = write_and_open(c, GP_STORE_F16);
    const gp_gguf *g = gp_gguf_of(read->files[0]);
    const char *text = "";
    size_t n = 0;
    assert_int_equal(gp_gguf_text(g, "tokenizer.ggml.model", &text, &n), 1);
    assert_int_equal(n, strlen(model));
    assert_memory_equal(text, model, n);
    assert_int_equal(gp_gguf_find(g, "tokenizer.huggingface.json") != NULL, whole);
    assert_int_equal(gp_gguf_find(g, "tokenizer.ggml.tokens")->count, 300);
    assert_null(gp_checkpoint_tokenizer_problem(read));
    assert_same_tokenizer(read, c);
    gp_checkpoint_close(read);
    gp_checkpoint_close(c);
    gp_model_free(m);
}

/* Added tokens, special and not, and ids that no token has. */
static void test_keeps_tokenizers(void **state)
{
    (void)state;
    static const char special[] = "\"added_tokens\":[{\"id\":257,\"content\":\"<|endoftext|>\",\"special\":true},"
                                  "{\"id\":260,\"content\":\"\u00e9 x\",\"special\":false}],";
    static const char lstrip[] =
        "\"added_tokens\":[{\"id\":257,\"content\":\"<|endoftext|>\",\"special\":true,\"lstrip\":true}],";
    char *plain = make_json(",\"ab\":256", "[\"a b\"]", "");
    char *added = make_json(",\"ab\":256,\"<|endoftext|>\":257,\"\u00e9 x\":260", "[\"a b\"]", special);
    char *strips = make_json(",\"ab\":256,\"<|endoftext|>\":257", "[\"a b\"]", lstrip);
    assert_tokenizer_survives(plain, "gpt2", false);
    assert_tokenizer_survives(added, "gpt2", false);
    assert_tokenizer_survives(strips, "gpt2", true); /* lstrip is in no list */
    free(plain);
    free(added);
    free(strips);
}

/* A token that is put before each text. */
static void test_keeps_what_begins_a_text(void **state)
{
    (void)state;
    char *json = make_json(",\"<|endoftext|>\":256", "[]",
                           "\"added_tokens\":[{\"id\":256,\"content\":\"<|endoftext|>\",\"special\":true}],"
                           "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":"
                           "\"<|endoftext|>\",\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],\"pair\":[],"
                           "\"special_tokens\":{\"<|endoftext|>\":{\"id\":\"<|endoftext|>\",\"ids\":[256],\"tokens\":["
                           "\"<|endoftext|>\"]}}},");
    gp_model *m = small_model(small_config());
    gp_checkpoint *c = gp_checkpoint_of_model(m, json, strlen(json)), *read = write_and_open(c, GP_STORE_F32);
    gp_tokenizer *t = NULL;
    int64_t count = 0;
    bool adds = false;
    assert_int_equal(gp_gguf_bool(gp_gguf_of(read->files[0]), "tokenizer.ggml.add_bos_token", &adds), 1);
    assert_true(adds);
    assert_int_equal(gp_checkpoint_open_tokenizer(read, &t), 0);
    assert_int_equal(gp_tokenizer_prefix(t, &count)[0], 256);
    assert_int_equal(count, 1);
    gp_tokenizer_close(t);
    gp_checkpoint_close(read);
    gp_checkpoint_close(c);
    gp_model_free(m);
    free(json);
}

static void test_keeps_tokenizers_that_llama_cpp_lacks(void **state)
{
    (void)state;
    gp_charset *chars = gp_charset_new();
    gp_charset_add(chars, "to be or not \xc3\xa9", 15);
    gp_tokenizer *t = gp_charset_build(chars), *bytes = gp_tokenizer_open("bytes");
    char *of_chars = gp_tokenizer_to_json(t), *of_bytes = gp_tokenizer_to_json(bytes);
    assert_tokenizer_survives(of_chars, "none", true);
    assert_tokenizer_survives(of_bytes, "gpt2", true); /* BPE without merges, by another name */
    free(of_chars);
    free(of_bytes);
    gp_tokenizer_close(t);
    gp_tokenizer_close(bytes);
}

/* GPT-2's own, whose fingerprint is known. */
static void test_keeps_gpt2s_tokenizer(void **state)
{
    (void)state;
    setenv("FETCH_DATA_MIRROR", "../shared/mirror", 0);
    gp_tokenizer *t = gp_tokenizer_open("gpt2");
    if (!t)
        skip();
    gp_config config = small_config();
    config.vocab_size = 50304; /* padded */
    gp_model *m = small_model(config);
    char *json = gp_tokenizer_to_json(t);
    gp_checkpoint *c = gp_checkpoint_of_model(m, json, strlen(json)), *read = write_and_open(c, GP_STORE_F32);
    const gp_gguf *g = gp_gguf_of(read->files[0]);
    int64_t eos = 0;
    assert_null(gp_gguf_find(g, "tokenizer.huggingface.json"));
    assert_int_equal(gp_gguf_find(g, "tokenizer.ggml.tokens")->count, 50304);
    assert_int_equal(gp_gguf_find(g, "tokenizer.ggml.merges")->count, 50000);
    assert_int_equal(gp_gguf_integer(g, "tokenizer.ggml.eos_token_id", &eos), 1);
    assert_int_equal(eos, 50256);
    assert_same_tokenizer(read, c);
    assert_int_equal(read->tokenizer_ids, 50257);
    gp_checkpoint_close(read);
    gp_checkpoint_close(c);
    gp_model_free(m);
    gp_tokenizer_close(t);
    free(json);
}

static int set_up(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    be = gp_backend_open("ref", "fp32", 1);
    return fd >= 0 && !close(fd) && be ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    gp_backend_close(be);
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_converted_models),
        cmocka_unit_test(test_reads_the_configuration),
        cmocka_unit_test(test_reads_the_encoder_of_bert),
        cmocka_unit_test(test_refuses_other_architectures),
        cmocka_unit_test(test_writes_what_the_converter_writes),
        cmocka_unit_test(test_writes_q8_0),
        cmocka_unit_test(test_writes_variants),
        cmocka_unit_test(test_refuses_what_llama_cpp_computes_otherwise),
        cmocka_unit_test(test_keeps_tokenizers),
        cmocka_unit_test(test_keeps_what_begins_a_text),
        cmocka_unit_test(test_keeps_tokenizers_that_llama_cpp_lacks),
        cmocka_unit_test(test_keeps_gpt2s_tokenizer),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

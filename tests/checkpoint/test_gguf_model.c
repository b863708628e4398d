/* Models in GGUF files: llama.cpp's own of tests/golden/formats, with the logits that transformers gives for them; and
 * files written here, which hold what llama.cpp's converter writes. */
#include "test.h"

#include "gguf_models.h"

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
    assert_true(k->tied && k->bias);
    assert_int_equal(k->activation, GP_ACT_GELU_TANH);
    gp_checkpoint_close(c);
}

/* The encoder: a model without head, since the converter leaves the masked-language head out; or one of zeros. */
static void test_reads_the_encoder_of_bert(void **state)
{
    (void)state;
    gp_checkpoint *bare = open_model(FORMATS "gguf/bert-f32.gguf");
    assert_int_equal(bare->config.head, GP_HEAD_NONE);
    assert_null(gp_params_row(&bare->params, GP_MLM_W, 0));
    gp_checkpoint_close(bare);
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

/* What is other than in gpt2-f32.gguf. */
typedef struct edit {
    const char *key; /* one more metadata key, of value 7; or NULL */
    const char *split;
    float head;                 /* output.weight is the embedding times this; 0: there is none */
    const char *without, *more; /* a tensor that is left out, one that is added; or NULL */
} edit;

static void put_metadata(gp_gguf_writer *w, const edit *e)
{
    static const struct {
        const char *key;
        uint32_t v;
    } sizes[] = {{"gpt2.block_count", 2},
                 {"gpt2.context_length", 16},
                 {"gpt2.embedding_length", 16},
                 {"gpt2.feed_forward_length", 64},
                 {"gpt2.attention.head_count", 2}};
    gp_gguf_put_text(w, "general.architecture", "gpt2", 4);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        gp_gguf_put_uint32(w, sizes[i].key, sizes[i].v);
    gp_gguf_put_float32(w, "gpt2.attention.layer_norm_epsilon", 1e-5f);
    if (e->key)
        gp_gguf_put_uint32(w, e->key, 7);
    if (e->split) {
        gp_gguf_put_text(w, "tokenizer.ggml.model", "gpt2", 4);
        gp_gguf_put_text(w, "tokenizer.ggml.pre", e->split, strlen(e->split));
    }
}

static void write_edited(const edit *e)
{
    gp_checkpoint *c = open_model(FORMATS "gguf/gpt2-f32.gguf");
    const gp_container *k = c->files[0];
    int64_t table = gp_container_find(k, "token_embd.weight");
    static float x[272 * 16];
    gp_out out;
    assert_int_equal(gp_out_open(&out, path), 0);
    gp_gguf_writer *w = gp_gguf_writer_new(&out, GP_STORE_F32);
    gp_tensor_writer *t = gp_gguf_writer_tensors(w);
    put_metadata(w, e);
    for (int64_t i = 0; i < k->count; i++)
        if (!e->without || strcmp(e->without, k->tensors[i].name))
            t->declare(t->self, k->tensors[i].name, k->tensors[i].ndim, k->tensors[i].dim);
    if (e->head != 0)
        t->declare(t->self, "output.weight", 2, k->tensors[table].dim);
    if (e->more)
        t->declare(t->self, e->more, 1, (const int64_t[]){4});
    for (int64_t i = 0; i < k->count; i++) {
        assert_int_equal(gp_container_read(k, i, 0, k->tensors[i].elements, x), 0);
        if (!e->without || strcmp(e->without, k->tensors[i].name))
            assert_int_equal(t->write(t->self, x, k->tensors[i].elements), 0);
    }
    assert_int_equal(gp_container_read(k, table, 0, k->tensors[table].elements, x), 0);
    for (int64_t i = 0; i < k->tensors[table].elements; i++)
        x[i] *= e->head;
    if (e->head != 0)
        assert_int_equal(t->write(t->self, x, k->tensors[table].elements), 0);
    if (e->more)
        assert_int_equal(t->write(t->self, x, 4), 0);
    assert_int_equal(gp_gguf_writer_end(w), 0);
    gp_gguf_writer_free(w);
    assert_int_equal(gp_out_commit(&out), 0);
    gp_checkpoint_close(c);
}

/* Older converters wrote a tied head a second time. */
static void test_ties_a_head_that_is_a_copy(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        write_edited(&(edit){.head = i ? 2 : 1});
        gp_checkpoint *c = open_model(path);
        assert_null(gp_checkpoint_warning(c));
        assert_int_equal(c->config.tied, !i);
        if (!i)
            assert_logits(c, FORMATS "hf/expected.safetensors", 2e-5);
        gp_checkpoint_close(c);
    }
}

static void test_refuses_what_is_not_known(void **state)
{
    (void)state;
    static const struct {
        edit e;
        const char *why;
    } cases[] = {
        {{.key = "gpt2.attention.max_alibi_bias"}, "metadata key gpt2.attention.max_alibi_bias is not supported"},
        {{.key = "gpt2.attention.head_count_kv"},
         "gpt2.attention.head_count_kv is 7, which is not supported (expected 2)"},
        {{.key = "split.count"}, "is one of 7 files that one model was split into"},
        {{.without = "blk.1.attn_norm.bias"}, "tensor blk.1.attn_norm.bias is missing, expected F32 [16]"},
        {{.without = "token_embd.weight"}, "tensor token_embd.weight is missing"},
        {{.more = "blk.0.attn_rel_b.weight"}, "tensor blk.0.attn_rel_b.weight is F32 [4], expected no such tensor"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        write_edited(&cases[i].e);
        assert_null(gp_checkpoint_open(path));
        if (!strstr(gp_error(), cases[i].why))
            fail_msg("%s, expected %s", gp_error(), cases[i].why);
    }
}

/* The model without its tokenizer. */
static void test_tells_of_splits_that_are_not_known(void **state)
{
    (void)state;
    write_edited(&(edit){.split = "llama-bpe"});
    gp_checkpoint *c = open_model(path);
    assert_null(gp_checkpoint_tokenizer(c, NULL));
    assert_non_null(strstr(gp_checkpoint_tokenizer_problem(c),
                           "its tokenizer splits text as llama-bpe (tokenizer.ggml.pre), only gpt-2 is supported"));
    assert_logits(c, FORMATS "hf/expected.safetensors", 2e-5);
    gp_checkpoint_close(c);
}

/* ---- writing --------------------------------------------------------------------------------------------- */

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
    gp_config erf = small_config(), relu = erf, unscaled = erf, by_layer = erf;
    erf.activation = GP_ACT_GELU_ERF;
    relu.activation = GP_ACT_RELU;
    unscaled.scores_unscaled = true;
    by_layer.scores_by_layer = true;
    const struct {
        gp_config config;
        const char *why;
    } cases[] = {{erf, "llama.cpp's gpt2 computes with activation_function gelu_new, this model has gelu"},
                 {relu, "llama.cpp's gpt2 computes with activation_function gelu_new, this model has relu"},
                 {unscaled, "scale_attn_weights true, this model has false"},
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
    assert_non_null(strstr(gp_error(), "model_type gpt2, this model has bert"));
    gp_checkpoint_close(bert);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_converted_models),
        cmocka_unit_test(test_reads_the_configuration),
        cmocka_unit_test(test_reads_the_encoder_of_bert),
        cmocka_unit_test(test_refuses_other_architectures),
        cmocka_unit_test(test_ties_a_head_that_is_a_copy),
        cmocka_unit_test(test_refuses_what_is_not_known),
        cmocka_unit_test(test_tells_of_splits_that_are_not_known),
        cmocka_unit_test(test_writes_what_the_converter_writes),
        cmocka_unit_test(test_writes_q8_0),
        cmocka_unit_test(test_writes_variants),
        cmocka_unit_test(test_refuses_what_llama_cpp_computes_otherwise),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

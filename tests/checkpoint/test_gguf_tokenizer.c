/* Tokenizers of models that are written to GGUF files and read back. */
#include "test.h"

#include "base/file.h"
#include "gguf_models.h"
#include "gptpipe/encoding.h"
#include "small_bpe.h"

static void assert_tokenizer_survives(const char *json, const char *model, bool whole, const char *warns)
{
    gp_model *m = small_model(small_config());
    gp_checkpoint *c = gp_checkpoint_of_model(m, json, strlen(json));
    if (gp_checkpoint_tokenizer_problem(c))
        fail_msg("%s", gp_checkpoint_tokenizer_problem(c));
    char *warning = NULL;
    gp_checkpoint_output o = {.format = "gguf", .store = GP_STORE_F16, .warning = &warning};
    assert_int_equal(gp_checkpoint_write(c, path, &o), 0);
    if (warns)
        assert_non_null(strstr(warning, warns));
    else
        assert_null(warning);
    free(warning);
    gp_checkpoint *read = open_model(path);
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
    assert_tokenizer_survives(plain, "gpt2", false, "ends a text at token 11");
    assert_tokenizer_survives(added, "gpt2", false, NULL);
    assert_tokenizer_survives(strips, "gpt2", true, "llama.cpp ignores lstrip"); /* it is in no list */
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
    assert_tokenizer_survives(of_chars, "none", true, "llama.cpp has no tokenizer of this type");
    assert_tokenizer_survives(of_bytes, "gpt2", true,
                              "ends a text at token 11"); /* BPE without merges, by another name */
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

/* The reason quotes the file, in one line. */
static void test_quotes_a_name_that_is_no_text(void **state)
{
    (void)state;
    char *json = make_json(",\"ab\":256", "[\"a b\"]", "");
    gp_model *m = small_model(small_config());
    gp_checkpoint *c = gp_checkpoint_of_model(m, json, strlen(json)), *read = write_and_open(c, GP_STORE_F32);
    gp_checkpoint_close(read);
    gp_buf file = {0};
    assert_int_equal(gp_file_read(&file, path, 1 << 20), 0);
    char *name = memmem(file.data, file.len, "gpt-2", 5);
    assert_non_null(name);
    memcpy(name, "g\n\0\033t", 5);
    assert_int_equal(gp_file_replace(path, file.data, file.len), 0);
    read = open_model(path);
    assert_non_null(
        strstr(gp_checkpoint_tokenizer_problem(read), "splits text as g\\n\\x00\\x1bt (tokenizer.ggml.pre)"));
    gp_checkpoint_close(read);
    gp_checkpoint_close(c);
    gp_model_free(m);
    gp_buf_release(&file);
    free(json);
}

static void put_id(gp_gguf_writer *w, const char *flag, const char *key, int id)
{
    if (id != -1)
        gp_gguf_put_bool(w, flag, true);
    if (id >= 0)
        gp_gguf_put_uint32(w, key, (uint32_t)id);
}

/* The tokenizer of a file that puts tokens around texts (-1: none; -2: without its id), or NULL. */
static gp_tokenizer *around(int bos, int eos, int sep)
{
    static const char *const tokens[] = {"<s>", "<pad>", "</s>", "a", "b"};
    gp_out out;
    gp_map map;
    size_t n;
    char *text;
    assert_int_equal(gp_out_open(&out, path), 0);
    gp_gguf_writer *w = gp_gguf_writer_new(&out, GP_STORE_F32);
    gp_tensor_writer *t = gp_gguf_writer_tensors(w);
    gp_gguf_put_text(w, "tokenizer.ggml.model", "gpt2", 4);
    gp_gguf_put_array(w, "tokenizer.ggml.tokens", GP_GGUF_STRING, ARRAY_LEN(tokens));
    for (size_t i = 0; i < ARRAY_LEN(tokens); i++)
        gp_gguf_add_string(w, tokens[i], strlen(tokens[i]));
    gp_gguf_put_array(w, "tokenizer.ggml.merges", GP_GGUF_STRING, 0);
    put_id(w, "tokenizer.ggml.add_bos_token", "tokenizer.ggml.bos_token_id", bos);
    put_id(w, "tokenizer.ggml.add_eos_token", "tokenizer.ggml.eos_token_id", eos);
    put_id(w, "tokenizer.ggml.add_sep_token", "tokenizer.ggml.seperator_token_id", sep);
    t->declare(t->self, "x", 1, (const int64_t[]){1});
    assert_int_equal(t->write(t->self, (const float[]){0}, 1) || gp_gguf_writer_end(w), 0);
    gp_gguf_writer_free(w);
    assert_int_equal(gp_out_commit(&out) || gp_map_open(&map, path), 0);
    gp_container *k = gp_gguf_read(&map, path);
    gp_tokenizer *made = NULL;
    if (!gp_gguf_tokenizer(gp_gguf_of(k), &text, &n)) {
        made = gp_tokenizer_from_json(text, n, "lists");
        assert_non_null(made);
        free(text);
    }
    gp_container_close(k);
    return made;
}

/* What gguf's SpecialVocab writes for RobertaProcessing (bos, eos and sep) gives RoBERTa's ids again. */
static void test_reads_what_is_around_texts(void **state)
{
    (void)state;
    static const struct {
        int bos, eos, sep;
        int32_t single[4], pair[8];
    } cases[] = {
        {0, 2, 2, {0, 3, 2, -1}, {0, 3, 2, 2, 4, 2, -1}},
        {0, 2, -1, {0, 3, 2, -1}, {0, 3, 2, 4, 2, -1}},
        {-1, 2, -1, {3, 2, -1}, {3, 2, 4, 2, -1}},
        {0, -1, -1, {0, 3, -1}, {0, 3, 4, -1}},
        {-1, -1, 1, {3, -1}, {3, 1, 4, -1}},
        {-1, -1, -1, {3, -1}, {3, 4, -1}},
    };
    int32_t ids[8];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        gp_tokenizer *t = around(cases[i].bos, cases[i].eos, cases[i].sep);
        for (int pair = 0; pair < 2; pair++) {
            int64_t n = gp_tokenizer_assemble(t, (int32_t[]){3}, 1, pair ? (int32_t[]){4} : NULL, pair, 7,
                                              GP_TRUNCATE_NONE, ids, NULL);
            assert_in_range(n, 1, 7);
            ids[n] = -1;
            assert_memory_equal(ids, pair ? cases[i].pair : cases[i].single, (size_t)(n + 1) * sizeof *ids);
        }
        gp_tokenizer_close(t);
    }
    assert_null(around(0, 5, 2));
    assert_non_null(strstr(gp_error(), "adds eos to texts, but tokenizer.ggml.eos_token_id is another number"));
    assert_null(around(-2, 2, 2));
    assert_non_null(strstr(gp_error(), "adds bos to texts, but tokenizer.ggml.bos_token_id is missing"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keeps_tokenizers),
        cmocka_unit_test(test_keeps_what_begins_a_text),
        cmocka_unit_test(test_keeps_tokenizers_that_llama_cpp_lacks),
        cmocka_unit_test(test_keeps_gpt2s_tokenizer),
        cmocka_unit_test(test_quotes_a_name_that_is_no_text),
        cmocka_unit_test(test_reads_what_is_around_texts),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

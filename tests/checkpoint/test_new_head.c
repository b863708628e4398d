/* A head in the place of a file's: what is used of the file, what is initialized, what is left out. */
#include "test.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checkpoint/checkpoint.h"
#include "model/model.h"

#define GOLDEN TEST_DIR "/golden/"

static const char *const sentiments[] = {"bad", "good"}, *const moods[] = {"negative", "neutral", "positive"};
static const gp_new_head two = {GP_HEAD_CLASSIFY, 2, sentiments, 7}, three = {GP_HEAD_CLASSIFY, 3, moods, 7},
                         any_three = {GP_HEAD_CLASSIFY, 3, NULL, 7}, tokens = {.head = GP_HEAD_MLM, .seed = 7},
                         next = {.head = GP_HEAD_LM, .seed = 7}, none = {.head = GP_HEAD_NONE};

static gp_checkpoint *opened(const char *path, const gp_new_head *head, const char *warning)
{
    gp_checkpoint *c = gp_checkpoint_open_with(path, &(gp_checkpoint_options){.head = head});
    if (!c)
        fail_msg("%s", gp_error());
    const char *found = gp_checkpoint_warning(c);
    if (warning ? !found || !strstr(found, warning) : found != NULL)
        fail_msg("%s: warns of \"%s\", expected \"%s\"", path, found ? found : "nothing",
                 warning ? warning : "nothing");
    return c;
}

static float *numbers(const gp_checkpoint *c, const gp_param *row)
{
    float *x = gp_malloc((size_t)row->count * sizeof *x);
    assert_int_equal(c->read(c->self, row, 0, row->dim[0], x), 0);
    return x;
}

/* A row of a and one of b have the same numbers. */
static void assert_row(const gp_checkpoint *a, gp_role role, const gp_checkpoint *b, gp_role other, int64_t layer)
{
    const gp_param *row = gp_params_row(&a->params, role, layer), *same = gp_params_row(&b->params, other, layer);
    assert_non_null(row);
    assert_non_null(same);
    float *x = numbers(a, row), *y = numbers(b, same);
    assert_memory_equal(x, y, (size_t)row->count * sizeof *x);
    free(x);
    free(y);
}

/* The rows of c with these roles are what gp_model_init makes of its configuration, read whole and line by line. */
static void assert_initialized(const gp_checkpoint *c, uint64_t seed, const gp_role *roles, int count)
{
    float *flat = gp_malloc((size_t)c->params.total * sizeof *flat);
    gp_params_init(&c->params, &c->config, seed, flat, 1);
    for (int i = 0; i < count; i++) {
        const gp_param *row = gp_params_row(&c->params, roles[i], 0);
        assert_non_null(row);
        float *x = numbers(c, row);
        assert_memory_equal(x, flat + row->offset, (size_t)row->count * sizeof *x);
        for (int64_t line = 0; line < row->dim[0]; line++) {
            assert_int_equal(c->read(c->self, row, line, 1, x), 0);
            assert_memory_equal(x, flat + row->offset + line * row->dim[1], (size_t)row->dim[1] * sizeof *x);
        }
        free(x);
    }
    free(flat);
}

static void a_language_model_becomes_a_classifier(void **state)
{
    (void)state;
    gp_checkpoint *was = gp_checkpoint_open(GOLDEN "gpt2-tiny"),
                  *c = opened(GOLDEN "gpt2-tiny", &two,
                              "its head is replaced; initialized: score.weight; left out: nothing");
    assert_int_equal(c->config.head, GP_HEAD_CLASSIFY);
    assert_string_equal(gp_config_label(&c->config, 1), "good");
    assert_true(c->config.dropout_head == 0);
    assert_row(c, GP_WTE, was, GP_WTE, 0);
    assert_row(c, GP_QKV_W, was, GP_QKV_W, 1);
    assert_initialized(c, 7, (gp_role[]){GP_CLASS_W}, 1);
    gp_checkpoint_close(was);
    gp_checkpoint_close(c);
}

/* As transformers' from_pretrained does. */
static void berts_pooler_is_its_classifiers_dense_layer(void **state)
{
    (void)state;
    gp_checkpoint *c =
        opened(GOLDEN "heads-bert-none", &three, "initialized: classifier.weight, classifier.bias; left");
    gp_checkpoint *same = gp_checkpoint_open(GOLDEN "heads-bert-none");
    assert_int_equal(same->carried_count, 2);
    float carried[16 * 16];
    for (int i = 0; i < 2; i++)
        if (strstr(same->carried[i].name, "weight"))
            assert_int_equal(gp_container_read(same->carried[i].file, same->carried[i].index, 0, 256, carried), 0);
    float *dense = numbers(c, gp_params_row(&c->params, GP_DENSE_W, 0)); /* (in, out) */
    for (int i = 0; i < 256; i++)
        assert_true(dense[i] == carried[i % 16 * 16 + i / 16]);
    assert_true(c->config.dropout_head == c->config.dropout_resid);
    assert_int_equal(c->carried_count, 0);
    assert_initialized(c, 7, (gp_role[]){GP_CLASS_W, GP_CLASS_B}, 2);
    free(dense);
    gp_checkpoint_close(same);
    gp_checkpoint_close(c);
}

static void masked_language_heads_are_left_out(void **state)
{
    (void)state;
    static const gp_role all[] = {GP_DENSE_W, GP_DENSE_B, GP_CLASS_W, GP_CLASS_B};
    gp_checkpoint *c =
        opened(GOLDEN "heads-bert-mlm", &two,
               "initialized: bert.pooler.dense.weight, bert.pooler.dense.bias, classifier.weight, "
               "classifier.bias; left out: cls.predictions.bias, cls.predictions.transform.LayerNorm.bias, "
               "cls.predictions.transform.LayerNorm.weight, cls.predictions.transform.dense.bias, "
               "cls.predictions.transform.dense.weight");
    assert_initialized(c, 7, all, ARRAY_LEN(all));
    gp_checkpoint_close(c);
    c = opened(GOLDEN "heads-roberta-mlm", &two,
               "initialized: classifier.dense.weight, classifier.dense.bias, classifier.out_proj.weight, "
               "classifier.out_proj.bias; left out: lm_head.bias");
    assert_initialized(c, 7, all, ARRAY_LEN(all));
    gp_checkpoint_close(c);
}

static void a_classifier_gets_a_head_for_tokens(void **state)
{
    (void)state;
    gp_checkpoint *c = opened(GOLDEN "heads-bert-classify", &tokens, "left out: bert.pooler.dense.bias");
    assert_int_equal(c->config.head, GP_HEAD_MLM);
    assert_int_equal(c->config.labels, 0);
    assert_initialized(c, 7, (gp_role[]){GP_MLM_W, GP_MLM_B, GP_MLM_GAMMA, GP_MLM_BETA, GP_HEAD_B}, 5);
    gp_checkpoint_close(c);
    c = opened(GOLDEN "heads-gpt2-classify", &next, "initialized: nothing; left out: score.weight");
    assert_int_equal(c->config.head, GP_HEAD_LM);
    gp_checkpoint_close(c);
    c = opened(GOLDEN "gpt2-tiny", &none, "initialized: nothing; left out: nothing");
    gp_config again;
    char *text = gp_config_to_json(&c->config);
    assert_int_equal(gp_config_from_json(&again, text, strlen(text), "config.json"), 0);
    assert_int_equal(again.head, GP_HEAD_NONE);
    free(text);
    gp_checkpoint_close(c);
    c = opened(GOLDEN "heads-roberta-classify", &none, "initialized: nothing; left out: classifier.dense.bias");
    gp_checkpoint_close(c);
    assert_null(gp_checkpoint_open_with(GOLDEN "heads-bert-classify", &(gp_checkpoint_options){.head = &next}));
    assert_non_null(strstr(gp_error(), "is a bert, which has no such head"));
}

/* The same labels, or as many of them where nobody asks for names. Others are another question. */
static void a_classifier_of_these_labels_is_used(void **state)
{
    (void)state;
    gp_checkpoint *was = gp_checkpoint_open(GOLDEN "heads-bert-classify"),
                  *same = opened(GOLDEN "heads-bert-classify", &three, NULL),
                  *as_many = opened(GOLDEN "heads-bert-classify", &any_three, NULL),
                  *other = opened(GOLDEN "heads-bert-classify", &two,
                                  "initialized: classifier.weight, classifier.bias; left out: classifier.bias, "
                                  "classifier.weight");
    assert_row(same, GP_CLASS_W, was, GP_CLASS_W, 0);
    assert_row(as_many, GP_CLASS_W, was, GP_CLASS_W, 0);
    assert_string_equal(gp_config_label(&as_many->config, 1), "neutral");
    assert_row(other, GP_DENSE_W, was, GP_DENSE_W, 0);
    assert_true(other->config.dropout_head == 0.25);
    gp_new_head keeps = two;
    keeps.keep_classifier = true;
    gp_checkpoint *kept = opened(GOLDEN "heads-bert-classify", &keeps, NULL);
    assert_row(kept, GP_CLASS_W, was, GP_CLASS_W, 0);
    assert_int_equal(kept->config.labels, 3);
    gp_checkpoint_close(kept);
    assert_initialized(other, 7, (gp_role[]){GP_CLASS_W, GP_CLASS_B}, 2);
    gp_checkpoint_close(was);
    gp_checkpoint_close(same);
    gp_checkpoint_close(as_many);
    gp_checkpoint_close(other);
}

/* From whatever convert-gpt2 reads, to a folder that is a classifier. */
static void every_format_can_be_fine_tuned(void **state)
{
    (void)state;
    static const char *const files[] = {
        "hf",          "hf-base",         "hf-untied",  "hf-sharded",    "bin",
        "bin-sharded", "nanogpt/ckpt.pt", "tensorflow", "llmc/gpt2.bin", "gguf/gpt2-f32.gguf"};
    char folder[] = "/tmp/gptpipe-head.XXXXXX";
    assert_non_null(mkdtemp(folder));
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        char *path = gp_format(GOLDEN "formats/%s", files[i]), *out = gp_format("%s/%zu.safetensors", folder, i),
             line[256];
        gp_checkpoint *c = gp_checkpoint_open_with(path, &(gp_checkpoint_options){.head = &two});
        if (!c)
            fail_msg("%s", gp_error());
        assert_non_null(strstr(gp_checkpoint_warning(c), "its head is replaced; initialized: "));
        assert_initialized(c, 7, (gp_role[]){GP_CLASS_W}, 1);
        if (gp_checkpoint_write(c, out, NULL) || gp_checkpoint_prove(c, out, GP_STORE_F32, line))
            fail_msg("%s: %s", path, gp_error());
        gp_checkpoint *again = opened(out, NULL, NULL);
        assert_int_equal(again->config.head, GP_HEAD_CLASSIFY);
        assert_string_equal(gp_config_label(&again->config, 0), "bad");
        gp_checkpoint_close(again);
        gp_checkpoint_close(c);
        unlink(out);
        free(path);
        free(out);
    }
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_language_model_becomes_a_classifier),
        cmocka_unit_test(berts_pooler_is_its_classifiers_dense_layer),
        cmocka_unit_test(masked_language_heads_are_left_out),
        cmocka_unit_test(a_classifier_gets_a_head_for_tokens),
        cmocka_unit_test(a_classifier_of_these_labels_is_used),
        cmocka_unit_test(every_format_can_be_fine_tuned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

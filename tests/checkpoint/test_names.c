/* Tensors under other names than a parameter's: what wrappers put before them, tied weights of which one is stored or
 * both, with the logits that transformers 5.24 computes from such files. */
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gptpipe/checkpoint.h"
#include "gptpipe/safetensors.h"

static char path[] = "/tmp/gptpipe-names.XXXXXX";
static gp_backend *be;

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

/* What is done to a golden's tensors. */
typedef struct edit {
    const char *prefix;    /* before each name, or NULL */
    const char *but;       /* the tensor that has none of it */
    const char *from, *to; /* renamed, or NULL */
    const char *of, *copy; /* of: stored once more as copy, times `times` plus `plus`; or NULL */
    double times, plus;
    const char *note, *value; /* of the metadata, or NULL */
    bool untied;
    bool whole; /* the copy is of whole numbers */
} edit;

static char *config_of(const char *golden, bool untied)
{
    gp_checkpoint *c = gp_checkpoint_open(golden);
    assert_non_null(c);
    gp_config config = *gp_checkpoint_config(c);
    config.tied = !untied;
    gp_checkpoint_close(c);
    return gp_config_to_json(&config);
}

static char *name_in(const edit *e, const char *name)
{
    const char *now = e->from && !strcmp(name, e->from) ? e->to : name;
    return gp_format("%s%s", !e->prefix || (e->but && !strcmp(e->but, name)) ? "" : e->prefix, now);
}

static void copy_of(const edit *e, gp_tensor *t)
{
    int64_t n = gp_tensor_count(t);
    float *x = gp_malloc((size_t)n * sizeof *x);
    gp_to_f32(x, t->data, t->dtype, n);
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)(x[i] * e->times + e->plus);
    t->dtype = e->whole ? GP_I32 : GP_F32;
    t->data = x;
}

/* golden, edited, as the file at path */
static void write_edited(const char *golden, const edit *e)
{
    char *file = gp_path_join(golden, "model.safetensors"), *config = config_of(golden, e->untied);
    gp_safetensors *s = gp_safetensors_open(file);
    assert_non_null(s);
    unlink(path);
    gp_safetensors_writer *w = gp_safetensors_create(path);
    gp_tensor t, copy = {0};
    gp_safetensors_add_metadata(w, "gptpipe.config", config, strlen(config));
    if (e->note)
        gp_safetensors_add_metadata(w, e->note, e->value, strlen(e->value));
    for (int64_t i = 0; i < gp_safetensors_count(s); i++) {
        char *name = name_in(e, gp_safetensors_get(s, i, &t));
        gp_safetensors_declare(w, name, &t);
        free(name);
    }
    if (e->of) {
        assert_true(gp_safetensors_find(s, e->of, &copy));
        copy_of(e, &copy);
        char *name = name_in(e, e->copy);
        gp_safetensors_declare(w, name, &copy);
        free(name);
    }
    for (int64_t i = 0; i < gp_safetensors_count(s); i++) {
        gp_safetensors_get(s, i, &t);
        gp_safetensors_write(w, t.data, gp_tensor_bytes(&t));
    }
    if (e->of)
        gp_safetensors_write(w, copy.data, gp_tensor_bytes(&copy));
    assert_int_equal(gp_safetensors_finish(w), 0);
    gp_safetensors_close(s);
    free(copy.data);
    free(config);
    free(file);
}

/* Logits 0 to 2 behind the ids 5, 6, 7; remark: what is told, NULL: nothing. */
static void assert_logits(const double want[3], const char *warning)
{
    float logits[3 * 96];
    gp_checkpoint *c = gp_checkpoint_open(path);
    gp_model *m = c ? gp_checkpoint_model(c, be, false) : NULL;
    if (!m)
        fail_msg("%s", gp_error());
    const char *told = gp_checkpoint_warning(c);
    if (warning ? !told || !strstr(told, warning) : told != NULL)
        fail_msg("the remark is '%s', expected '%s'", told ? told : "", warning ? warning : "");
    assert_int_equal(gp_model_logits(m, &(gp_batch){.B = 1, .T = 3, .inputs = (int32_t[]){5, 6, 7}}, logits), 0);
    for (int i = 0; i < 3; i++)
        if (!(fabs(logits[2 * 96 + i] - want[i]) <= 2e-5))
            fail_msg("logit %d is %.8f, expected %.8f", i, (double)logits[2 * 96 + i], want[i]);
    gp_model_free(m);
    gp_checkpoint_close(c);
}

static void assert_refused(const char *message)
{
    gp_checkpoint *c = gp_checkpoint_open(path);
    if (c)
        fail_msg("is loaded, expected: %s", message);
    if (!strstr(gp_error(), message))
        fail_msg("'%s' does not say '%s'", gp_error(), message);
}

#define GPT2    "tests/golden/gpt2-tiny"
#define BERT    "tests/golden/bert-tiny"
#define ROBERTA "tests/golden/roberta-tiny"
#define WTE     "transformer.wte.weight"
#define WORDS   "embeddings.word_embeddings.weight"

static const double gpt2[] = {-0.39635351300239563, 0.2253710776567459, 0.07725474238395691},
                    gpt2_other[] = {-0.5945305228233337, 0.33805665373802185, 0.11588215082883835};
static const double bert[] = {1.1277087926864624, -0.3176553547382355, -0.642517626285553},
                    bert_other[] = {1.6627683639526367, -0.3570607602596283, -0.9651241898536682},
                    bert_plus[] = {2.127708911895752, 0.6823446154594421, 0.35748231410980225};
static const double roberta[] = {0.03654353693127632, 0.2263927459716797, -0.7930068373680115},
                    roberta_other[] = {0.061006177216768265, 0.3482745289802551, -1.265136480331421},
                    roberta_plus[] = {1.036543607711792, 1.2263927459716797, 0.20699316263198853};

static void what_all_names_begin_with_is_taken_off(void **state)
{
    (void)state;
    static const char *const prefixes[] = {"module.",
                                           "_orig_mod.",
                                           "model.",
                                           "transformer.",
                                           "module._orig_mod.",
                                           "_orig_mod.module.model.",
                                           "model.transformer.",
                                           "transformer.module."};
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
        write_edited(GPT2, &(edit){.prefix = prefixes[i]});
        assert_logits(gpt2, NULL);
        write_edited(GPT2, &(edit){.prefix = prefixes[i], .of = WTE, .copy = "lm_head.weight", .times = 1});
        assert_logits(gpt2, NULL);
        write_edited(BERT, &(edit){.prefix = prefixes[i]});
        assert_logits(bert, NULL);
        write_edited(ROBERTA, &(edit){.prefix = prefixes[i]});
        assert_logits(roberta, NULL);
    }
    write_edited(GPT2, &(edit){.prefix = "module.", .but = WTE});
    assert_refused("tensor transformer.wpe.weight is missing");
    write_edited(GPT2, &(edit){.prefix = "net.policy."});
    assert_refused("the name of every tensor there begins with \"net.policy.transformer.\"");
}

static void of_tied_tensors_either_is_enough(void **state)
{
    (void)state;
    static const char *const prefixes[] = {NULL, "_orig_mod."};
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
        write_edited(GPT2, &(edit){.prefix = prefixes[i], .from = WTE, .to = "lm_head.weight"});
        assert_logits(gpt2, NULL);
        write_edited(BERT,
                     &(edit){.prefix = prefixes[i], .from = "bert." WORDS, .to = "cls.predictions.decoder.weight"});
        assert_logits(bert, NULL);
        write_edited(
            BERT, &(edit){.prefix = prefixes[i], .from = "cls.predictions.bias", .to = "cls.predictions.decoder.bias"});
        assert_logits(bert, NULL);
        write_edited(ROBERTA, &(edit){.prefix = prefixes[i], .from = "roberta." WORDS, .to = "lm_head.decoder.weight"});
        assert_logits(roberta, NULL);
    }
    write_edited(GPT2, &(edit){.from = WTE, .to = "lm_head.weight", .note = WTE, .value = "lm_head.weight"});
    assert_logits(gpt2, NULL);
}

/* safetensors.torch.save_model says which name was dropped; it holds whatever the configuration ties. */
static void a_name_in_the_metadata_is_another_of_a_tensor(void **state)
{
    (void)state;
    write_edited(GPT2, &(edit){.untied = true, .note = "lm_head.weight", .value = WTE});
    assert_logits(gpt2, NULL);
    write_edited(GPT2,
                 &(edit){.untied = true, .from = WTE, .to = "lm_head.weight", .note = WTE, .value = "lm_head.weight"});
    assert_logits(gpt2, NULL);
    write_edited(GPT2,
                 &(edit){.prefix = "module.", .untied = true, .note = "module.lm_head.weight", .value = "module." WTE});
    assert_logits(gpt2, NULL);
    write_edited(GPT2, &(edit){.untied = true});
    assert_refused("tensor lm_head.weight is missing");
    write_edited(GPT2, &(edit){.untied = true, .from = WTE, .to = "lm_head.weight"});
    assert_refused("tensor transformer.wte.weight is missing");
}

static void a_head_that_differs_is_kept(void **state)
{
    (void)state;
    const char *told = "which differs: the head in the file is used";
    write_edited(GPT2, &(edit){.of = WTE, .copy = "lm_head.weight", .times = 1.5});
    assert_logits(gpt2_other, told);
    write_edited(GPT2, &(edit){.untied = true, .of = WTE, .copy = "lm_head.weight", .times = 1.5});
    assert_logits(gpt2_other, NULL);
    write_edited(BERT, &(edit){.of = "bert." WORDS, .copy = "cls.predictions.decoder.weight", .times = 1.5});
    assert_logits(bert_other, told);
    write_edited(ROBERTA, &(edit){.of = "roberta." WORDS, .copy = "lm_head.decoder.weight", .times = 1.5});
    assert_logits(roberta_other, told);
    write_edited(BERT,
                 &(edit){.of = "cls.predictions.bias", .copy = "cls.predictions.decoder.bias", .times = 1, .plus = 1});
    assert_logits(bert_plus, "the decoder's is used");
    write_edited(ROBERTA, &(edit){.of = "lm_head.bias", .copy = "lm_head.decoder.bias", .times = 1, .plus = 1});
    assert_logits(roberta_plus, "the decoder's is used");
}

/* transformers takes the name of the model without head from the beginning of a name that it does not know. */
static void a_head_may_have_the_prefix_of_the_model(void **state)
{
    (void)state;
    const char *told = "which differs: the head in the file is used";
    write_edited(GPT2, &(edit){.of = WTE, .copy = "transformer.lm_head.weight", .times = 1.5});
    assert_logits(gpt2_other, told);
    write_edited(GPT2, &(edit){.untied = true, .of = WTE, .copy = "transformer.lm_head.weight", .times = 1.5});
    assert_logits(gpt2_other, NULL);
    write_edited(GPT2, &(edit){.from = WTE, .to = "transformer.lm_head.weight"});
    assert_logits(gpt2, NULL);
    write_edited(BERT, &(edit){.of = "bert." WORDS, .copy = "bert.cls.predictions.decoder.weight", .times = 1.5});
    assert_logits(bert_other, told);
    write_edited(
        BERT,
        &(edit){.of = "cls.predictions.bias", .copy = "bert.cls.predictions.decoder.bias", .times = 1, .plus = 1});
    assert_logits(bert_plus, "the decoder's is used");
    write_edited(BERT, &(edit){.from = "cls.predictions.transform.dense.weight",
                               .to = "bert.cls.predictions.transform.dense.weight"});
    assert_logits(bert, NULL);
    write_edited(ROBERTA, &(edit){.of = "roberta." WORDS, .copy = "roberta.lm_head.decoder.weight", .times = 1.5});
    assert_logits(roberta_other, told);
    write_edited(GPT2, &(edit){.untied = true,
                               .from = WTE,
                               .to = "lm_head.weight",
                               .note = WTE,
                               .value = "lm_head.weight",
                               .of = WTE,
                               .copy = "transformer.lm_head.weight",
                               .times = 1.5});
    assert_logits(gpt2, "transformer.lm_head.weight differs from lm_head.weight, which is used");
    write_edited(BERT, &(edit){.untied = true,
                               .from = "bert." WORDS,
                               .to = "cls.predictions.decoder.weight",
                               .note = "bert." WORDS,
                               .value = "cls.predictions.decoder.weight",
                               .of = "bert." WORDS,
                               .copy = "bert.cls.predictions.decoder.weight",
                               .times = 1.5});
    assert_logits(bert_other, NULL); /* the other one is the embedding */
}

static void a_head_of_other_numbers_or_shape_is_no_copy(void **state)
{
    (void)state;
    write_edited(GPT2, &(edit){.of = WTE, .copy = "lm_head.weight", .times = 1, .whole = true});
    assert_refused("tensor lm_head.weight is I32 [96,32], expected F32, F16 or BF16");
    write_edited(GPT2, &(edit){.of = "transformer.wpe.weight", .copy = "lm_head.weight", .times = 1});
    assert_refused("tensor lm_head.weight is F32 [32,32], expected F32 [96,32]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_all_names_begin_with_is_taken_off),
        cmocka_unit_test(of_tied_tensors_either_is_enough),
        cmocka_unit_test(a_name_in_the_metadata_is_another_of_a_tensor),
        cmocka_unit_test(a_head_that_differs_is_kept),
        cmocka_unit_test(a_head_may_have_the_prefix_of_the_model),
        cmocka_unit_test(a_head_of_other_numbers_or_shape_is_no_copy),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

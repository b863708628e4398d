/* Training classifiers against transformers: losses, gradient norms and learning rates of 20 steps of a BERT, a RoBERTa
 * and a GPT-2, read from a run's log. The settings, the items and how the values came about:
 * tests/reference/classify.py. */
#include "reference_run.h"

#include "reference/classify.h"
#include "small_bpe.h"

enum { STEPS = 20, ITEMS = 30, LABELS = 3, V = 259 };

/* Ids 0 to 255 are the bytes; then <s>, </s>, <mask>. The caller frees. */
static char *tokenizer_json(const char *processor)
{
    char *more = gp_format("\"added_tokens\":[{\"id\":256,\"content\":\"<s>\",\"special\":true},"
                           "{\"id\":257,\"content\":\"</s>\",\"special\":true},"
                           "{\"id\":258,\"content\":\"<mask>\",\"special\":true}],%s",
                           processor);
    char *json = make_json(",\"<s>\":256,\"</s>\":257,\"<mask>\":258", "[]", more);
    free(more);
    return json;
}

static uint64_t random_of(int i, int k)
{
    return mix((uint64_t)(64 * i + k));
}

static int32_t token_of(int i, int k)
{
    return 2 + (int32_t)(random_of(i, k) % 254);
}

static void write_items(bool pairs, const char *processor)
{
    static const char *const names[] = {"a", "b", "c"};
    char *json = tokenizer_json(processor);
    char *metadata = gp_tokens_describe(&(gp_tokens_description){.tokenizer = json,
                                                                 .text = "t",
                                                                 .pair = pairs ? "p" : NULL,
                                                                 .label = "l",
                                                                 .labels = names,
                                                                 .label_count = LABELS});
    gp_tokens_info info = {.vocab_size = V, .metadata = metadata, .items = true};
    take_fingerprint(json, info.fingerprint);
    gp_tokens_writer *w = gp_tokens_create(data, &info);
    assert_non_null(w);
    for (int i = 0; i < ITEMS; i++) {
        int32_t ids[64];
        int n = 0, first = 1 + (int)(random_of(i, 60) % 12), second = pairs ? (int)(random_of(i, 61) % 7) : 0;
        for (int k = 0; k < first; k++)
            ids[n++] = token_of(i, k);
        for (int k = 0; k < second; k++)
            ids[n++] = token_of(i, 20 + k);
        assert_int_equal(gp_tokens_write(w, ids, n), 0);
        assert_int_equal(gp_tokens_end_item(w, (int32_t)(random_of(i, 62) % LABELS), first), 0);
    }
    assert_int_equal(gp_tokens_finish(w), 0);
    free(metadata);
    free(json);
}

static lesson make(gp_preset preset)
{
    static const char *const names[] = {"a", "b", "c"};
    lesson l = {.o = gp_train_defaults(), .c = gp_config_of_preset(preset)};
    l.c.vocab_size = V;
    l.c.layers = l.c.heads = 2;
    l.c.channels = 32;
    l.c.inner = 128;
    l.c.positions = 32 + l.c.position_offset;
    assert_int_equal(gp_config_classify(&l.c, LABELS, names, "test"), 0);
    l.o.objective = GP_OBJECTIVE_CLASSIFY;
    l.o.init = weights;
    l.o.out = run;
    l.o.dtype = GP_COMPUTE_FP32;
    l.o.threads = 2;
    l.o.steps = STEPS;
    l.o.beta1 = 0.9;
    l.o.save_every = l.o.eval_every = l.o.eval_batches = 0;
    l.o.quiet = true;
    return l;
}

static void a_bert_learns_pairs_as_in_transformers(void **state)
{
    (void)state;
    lesson l = make(GP_PRESET_BERT_NANO);
    l.o.batch_size = 4;
    l.o.grad_accum = 2;
    l.o.lr = 3e-3;
    l.o.min_lr = 3e-4;
    l.o.warmup = 4;
    l.o.weight_decay = 0.1;
    l.o.grad_clip = 1;
    l.o.beta2 = 0.98;
    l.o.class_weights = "0.5,2,1.25";
    l.o.label_smoothing = 0.1;
    write_weights(&l.c);
    write_items(true, "\"post_processor\":{\"type\":\"BertProcessing\",\"sep\":[\"</s>\",257],\"cls\":[\"<s>\",256]},");
    assert_learns(&l, bert_loss, bert_norm, bert_lr);
}

static void a_roberta_learns_with_layer_decay_and_frozen_embeddings(void **state)
{
    (void)state;
    lesson l = make(GP_PRESET_ROBERTA_NANO);
    l.o.batch_size = 5;
    l.o.lr = 2e-3;
    l.o.min_lr = 0;
    l.o.warmup = 0;
    l.o.decay_steps = 30;
    l.o.weight_decay = 0.01;
    l.o.grad_clip = 0.5;
    l.o.beta2 = 0.999;
    l.o.seed = 4294967301; /* 2^32 + 5 */
    l.o.layer_decay = 0.7;
    l.o.freeze = "embeddings";
    write_weights(&l.c);
    write_items(false, "\"post_processor\":{\"type\":\"RobertaProcessing\",\"sep\":[\"</s>\",257],"
                       "\"cls\":[\"<s>\",256],\"trim_offsets\":true,\"add_prefix_space\":false},");
    assert_learns(&l, roberta_loss, roberta_norm, roberta_lr);
}

static void a_gpt2_learns_from_the_last_token_with_a_frozen_block(void **state)
{
    (void)state;
    lesson l = make(GP_PRESET_NANO);
    l.o.batch_size = 7;
    l.o.lr = 2e-3;
    l.o.min_lr = 2e-4;
    l.o.warmup = 2;
    l.o.weight_decay = 0.1;
    l.o.grad_clip = 1;
    l.o.beta2 = 0.99;
    l.o.seed = 7;
    l.o.label_smoothing = 0.05;
    l.o.layer_decay = 0.9;
    l.o.freeze = "1";
    write_weights(&l.c);
    write_items(false, "");
    assert_learns(&l, gpt2_loss, gpt2_norm, gpt2_lr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bert_learns_pairs_as_in_transformers),
        cmocka_unit_test(a_roberta_learns_with_layer_decay_and_frozen_embeddings),
        cmocka_unit_test(a_gpt2_learns_from_the_last_token_with_a_frozen_block),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}

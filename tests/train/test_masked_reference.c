/* Masked training against transformers: losses, gradient norms and learning rates of 20 steps of a BERT and a RoBERTa,
 * read from a run's log. The settings, the masks and how the values came about: tests/reference/masked.py. */
#include "reference_run.h"

#include "gptpipe/masked.h"
#include "reference/masked.h"
#include "small_bpe.h"

enum { STEPS = 20, V = 259, MASK = 258 };

/* Ids 0 to 255 are the bytes; then <s>, </s>, <mask>. The caller frees. */
static char *tokenizer_json(void)
{
    return make_json(",\"<s>\":256,\"</s>\":257,\"<mask>\":258", "[]",
                     "\"added_tokens\":[{\"id\":256,\"content\":\"<s>\",\"special\":true},"
                     "{\"id\":257,\"content\":\"</s>\",\"special\":true},"
                     "{\"id\":258,\"content\":\"<mask>\",\"special\":true}],"
                     "\"post_processor\":{\"type\":\"RobertaProcessing\",\"sep\":[\"</s>\",257],"
                     "\"cls\":[\"<s>\",256],\"trim_offsets\":true,\"add_prefix_space\":false},");
}

static lesson make(gp_preset preset, int64_t T)
{
    lesson l = {.o = gp_train_defaults(), .c = gp_config_of_preset(preset)};
    l.c.vocab_size = V;
    l.c.layers = l.c.heads = 2;
    l.c.channels = 32;
    l.c.inner = 128;
    l.c.positions = T + l.c.position_offset;
    l.o.seq_len = T;
    l.o.order = GP_ORDER_SEQUENTIAL;
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

static void write_data(const lesson *l, int64_t rows)
{
    char *json = tokenizer_json();
    write_weights(&l->c);
    write_stream(STEPS * rows * (l->o.seq_len - 2) + 1, V, json);
    free(json);
}

/* The first row of a run is the script's: inputs and targets. */
static void assert_first_row(const lesson *l, const double *inputs, const double *targets)
{
    char *json = tokenizer_json();
    gp_tokenizer *t = gp_tokenizer_from_json(json, strlen(json), "test");
    gp_tokens *s = gp_tokens_open(data, NULL);
    gp_span span = {s, 0, gp_tokens_get_info(s)->count};
    gp_stream_set set = {.name = "data", .spans = &span, .count = 1};
    gp_loader *loader =
        gp_loader_open(&set, 1, &(gp_loader_options){.B = 1, .T = l->o.seq_len - 2, .order = GP_ORDER_SEQUENTIAL});
    gp_masking how = {(uint64_t)l->o.seed, l->o.mlm_probability, l->o.mask_replace_prob, l->o.random_replace_prob,
                      l->o.whole_words};
    gp_source *source = gp_masked_open(gp_loader_source(loader), t, &how);
    gp_batch b = gp_batch_open(source);
    assert_int_equal(gp_source_fill(source, 0, &b), 0);
    for (int64_t i = 0; i < l->o.seq_len; i++) {
        assert_int_equal(b.inputs[i], (int)inputs[i]);
        assert_int_equal(b.targets[i], (int)targets[i]);
    }
    gp_batch_close(&b);
    gp_source_close(source);
    gp_loader_close(loader);
    gp_tokens_close(s);
    gp_tokenizer_close(t);
    free(json);
}

static void a_bert_learns_masked_tokens_as_in_transformers(void **state)
{
    (void)state;
    lesson l = make(GP_PRESET_BERT_NANO, 24);
    l.o.batch_size = 3;
    l.o.grad_accum = 2;
    l.o.lr = 3e-3;
    l.o.min_lr = 3e-4;
    l.o.warmup = 4;
    l.o.weight_decay = 0.1;
    l.o.grad_clip = 1;
    l.o.beta2 = 0.98;
    write_data(&l, 6);
    assert_first_row(&l, bert_inputs, bert_targets);
    assert_learns(&l, bert_loss, bert_norm, bert_lr);
}

static void a_roberta_learns_masked_words_as_in_transformers(void **state)
{
    (void)state;
    lesson l = make(GP_PRESET_ROBERTA_NANO, 33);
    l.o.batch_size = 4;
    l.o.lr = 2e-3;
    l.o.min_lr = 0;
    l.o.warmup = 0;
    l.o.decay_steps = 30;
    l.o.weight_decay = 0.01;
    l.o.grad_clip = 0.5;
    l.o.beta2 = 0.999;
    l.o.seed = 4294967301; /* 2^32 + 5 */
    l.o.mlm_probability = 0.3;
    l.o.mask_replace_prob = 0.5;
    l.o.random_replace_prob = 0.3;
    l.o.whole_words = true;
    write_data(&l, 4);
    assert_first_row(&l, roberta_inputs, roberta_targets);
    assert_learns(&l, roberta_loss, roberta_norm, roberta_lr);
}

static void assert_trains(lesson *l, const char *why)
{
    remove_run();
    l->o.data = (gp_list){.items = (const char *[]){data}, .count = 1};
    int rc = gp_train(&l->o);
    if (rc && (!why || !strstr(gp_error(), why)))
        fail_msg("%s", gp_error());
    assert_int_equal(rc, why ? -1 : 0);
}

/* A BertModel has no head, and its checkpoint begins masked training with a new one; a GPT-2 has none for that. */
static void a_body_without_head_gets_one(void **state)
{
    (void)state;
    lesson l = make(GP_PRESET_BERT_NANO, 24);
    l.o.lr = 1e-3;
    l.o.min_lr = 1e-4;
    l.o.steps = 2;
    l.c.head = GP_HEAD_NONE;
    write_data(&l, 8);
    assert_trains(&l, "has no head for tokens");
    l.o.objective = GP_OBJECTIVE_LM;
    assert_trains(&l, "is a bert, which has no such head");
    l.o.objective = GP_OBJECTIVE_MLM;
    assert_trains(&l, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bert_learns_masked_tokens_as_in_transformers),
        cmocka_unit_test(a_roberta_learns_masked_words_as_in_transformers),
        cmocka_unit_test(a_body_without_head_gets_one),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}

/* Drafts: the text is that of sampling without them, whatever is drafted; and how much is accepted where. */
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backends.h"
#include "base/rng.h"
#include "infer/generate.h"
#include "tiny_model.h"

enum { MAX_TOKENS = 300, TOPS = 3 };

/* The simulator takes its time. */
#ifdef GPTPIPE_TEST_CUDA
enum { COMBINATIONS = 12 };
static const char *const dtypes[] = {"fp32"};
#else
enum { COMBINATIONS = 60 };
static const char *const dtypes[] = {"fp32", "bf16", "int8"};
#endif

/* Weights far from uniform differ in what follows. Small ones repeat the last id: its embedding is in the residual. */
static const double various = 0.3, repeats = 0.02;

static gp_model *fresh(const char *backend, const char *dtype, int64_t vocab, int64_t context, double std,
                       uint64_t seed, gp_backend **be)
{
    gp_config c = tiny_config("nano", context, vocab);
    c.init_std = std;
    return tiny_model(&c, backend, dtype, seed, be);
}

/* All that is reported of a sample. */
typedef struct kept {
    int32_t ids[MAX_TOKENS], top[MAX_TOKENS][TOPS];
    double log_p[MAX_TOKENS];
    int64_t count, stop_after;
    gp_finish finish;
    const char *stop;
    gp_buf text;
    gp_draft_stats draft;
} kept;

static int keep(void *self, const gp_token_event *d)
{
    kept *k = self;
    for (int i = 0; i < d->tops; i++)
        k->top[k->count][i] = d->top[i].id;
    k->log_p[k->count] = d->drawn.log_p;
    k->ids[k->count++] = d->drawn.id;
    gp_buf_add(&k->text, d->bytes, d->n);
    k->finish = d->finish;
    k->stop = d->stop;
    k->draft = d->draft;
    return k->count == k->stop_after;
}

enum { PROMPTS = 3, SAMPLES = 2 };

static int keep_each(void *self, const gp_token_event *d)
{
    return keep((kept *)self + d->prompt * SAMPLES + d->sample, d);
}

static void run(gp_model *m, const gp_prompt *p, const gp_generation *how, kept *k, gp_generate_stats *stats)
{
    gp_buf_release(&k->text);
    *k = (kept){.stop_after = k->stop_after};
    assert_int_equal(gp_generate_all(m, NULL, p, 1, how, keep, k, stats), k->stop_after > 0);
}

static void assert_same(const kept *got, const kept *want)
{
    assert_int_equal(got->count, want->count);
    assert_memory_equal(got->ids, want->ids, sizeof want->ids);
    assert_memory_equal(got->top, want->top, sizeof want->top);
    assert_memory_equal(got->log_p, want->log_p, sizeof want->log_p); /* to the bit */
    assert_int_equal(got->finish, want->finish);
    assert_true(got->stop == want->stop);
    assert_int_equal(got->text.len, want->text.len);
    assert_memory_equal(got->text.data, want->text.data, want->text.len);
}

#define PICK(list, shift) list[(r >> (shift)) % ARRAY_LEN(list)]

/* A model, a prompt (random, or a few ids that repeat) and settings by number. */
static void compare(const char *backend, const char *dtype, uint64_t number, gp_draft_stats *sum)
{
    static kept plain, drafted;
    static const int64_t vocabs[] = {5, 20, 96}, contexts[] = {24, 64, 200}, lengths[] = {1, 7, 30, 90},
                         periods[] = {1, 3, 1000}, tokens[] = {1, 2, 40, 150}, drafts[] = {1, 2, 8, 15};
    static const double temperatures[] = {0, 0.3, 1, 3}, penalties[] = {1, 1, 1.3, 0.1}, top_ps[] = {1, 1, 0.8};
    static const int64_t top_ks[] = {0, 0, 3};
    uint64_t r = gp_random64(21, GP_RNG_DATA, 95, number);
    int64_t vocab = PICK(vocabs, 0), length = PICK(lengths, 8), period = PICK(periods, 12);
    int32_t ids[90], stops[] = {(int32_t)(r >> 40) % (int32_t)vocab};
    for (int64_t i = 0; i < length; i++)
        ids[i] = (int32_t)gp_random_below(22, GP_RNG_DATA, 95, (uint64_t)(i % period) + 1000 * number, (uint64_t)vocab);
    gp_backend *be;
    gp_model *m = fresh(backend, dtype, vocab, PICK(contexts, 4), (r >> 48) % 3 ? various : repeats, number, &be);
    gp_generation how = {.sampling = {.temperature = PICK(temperatures, 16),
                                      .top_k = PICK(top_ks, 20),
                                      .top_p = PICK(top_ps, 24),
                                      .seed = number,
                                      .repetition_penalty = PICK(penalties, 28)},
                         .samples = 1,
                         .max_tokens = PICK(tokens, 32),
                         .stop_ids = stops,
                         .stop_id_count = (r >> 36) % 4 == 0,
                         .stops = (r >> 38) % 4 == 0 ? (char *[]){" 1 ", "2 3", NULL} : NULL,
                         .logprobs = true,
                         .top_logprobs = TOPS};
    gp_prompt p = {.ids = ids, .count = length};
    gp_generate_stats stats;
    run(m, &p, &how, &plain, &stats);
    how.draft_tokens = PICK(drafts, 44);
    run(m, &p, &how, &drafted, &stats);
    assert_same(&drafted, &plain);
    const gp_draft_stats *d = &drafted.draft;
    assert_memory_equal(d, &stats.draft, sizeof *d);
    assert_true(d->accepted <= d->drafted && d->drafted <= how.draft_tokens * d->verified && d->verified <= d->passes);
    if (drafted.finish == GP_FINISH_LENGTH) /* a pass gives a token more than it accepts; so does reading a prompt */
        assert_int_equal(drafted.count, d->passes + d->accepted + 1 + stats.refills);
    sum->drafted += d->drafted;
    sum->accepted += d->accepted;
    discard(m, be);
}

static void the_text_is_that_of_plain_sampling(void **state)
{
    (void)state;
    for (size_t b = 0; b < ARRAY_LEN(backends); b++)
        for (size_t t = 0; t < ARRAY_LEN(dtypes); t++) {
            gp_draft_stats sum = {0};
            for (uint64_t i = 0; i < COMBINATIONS; i++)
                compare(backends[b], dtypes[t], i, &sum);
            assert_true(sum.accepted > 100 / (60 / COMBINATIONS)); /* both happen: */
            assert_true(sum.drafted - sum.accepted > 100 / (60 / COMBINATIONS));
        }
}

/* Of a model that repeats, nearly all drafts are accepted. Where all ids are equally likely hardly any is, and few are
 * made. */
static void drafts_follow_the_text(void **state)
{
    (void)state;
    static kept k;
    int32_t ids[] = {1, 2, 3};
    gp_prompt p = {.ids = ids, .count = 3};
    for (size_t b = 0; b < ARRAY_LEN(backends); b++) {
        gp_backend *be;
        gp_model *m = fresh(backends[b], "fp32", 20, 256, repeats, 3, &be);
        gp_generation how = {.sampling = {.top_p = 1}, .samples = 1, .max_tokens = 200, .draft_tokens = 8};
        run(m, &p, &how, &k, NULL);
        assert_in_range(k.draft.passes, 23, 30); /* 9 tokens a pass, once drafts are long */
        assert_true(k.draft.accepted >= k.draft.drafted * 9 / 10);
        how.sampling = (gp_sampling){.temperature = 1000, .top_p = 1, .seed = 1};
        run(m, &p, &how, &k, NULL);
        assert_true(k.draft.accepted < 20 && k.draft.verified < 40 && k.draft.drafted < 60);
        discard(m, be);
    }
}

/* Samples of several prompts are drafted one after another; without drafts they are a batch. */
static void samples_are_those_of_a_batch(void **state)
{
    (void)state;
    static const int32_t ids[PROMPTS][5] = {{1, 2, 1, 2, 1}, {3, 3, 3, 3, 3}, {0, 4, 2, 1, 3}};
    for (size_t b = 0; b < ARRAY_LEN(backends); b++) {
        gp_backend *be;
        gp_model *m = fresh(backends[b], "fp32", 5, 40, various, 8, &be);
        gp_prompt prompts[PROMPTS];
        static kept k[2][PROMPTS * SAMPLES];
        gp_generation how = {
            .sampling = {.temperature = 0.5, .top_p = 1, .seed = 4}, .samples = SAMPLES, .max_tokens = 60};
        for (int i = 0; i < PROMPTS; i++)
            prompts[i] = (gp_prompt){.ids = (int32_t *)(uintptr_t)ids[i], .count = 5};
        memset(k, 0, sizeof k);
        for (int i = 0; i < 2; i++) {
            how.draft_tokens = 8 * i;
            assert_int_equal(gp_generate_all(m, NULL, prompts, PROMPTS, &how, keep_each, k[i], NULL), 0);
        }
        for (int i = 0; i < PROMPTS * SAMPLES; i++) {
            assert_int_equal(k[1][i].count, 60);
            assert_same(&k[1][i], &k[0][i]);
            gp_buf_release(&k[0][i].text);
            gp_buf_release(&k[1][i].text);
        }
        discard(m, be);
    }
}

/* A conversation, whose answers are stopped now and then: its text and what the cache holds are the same. */
static void a_conversation_goes_on_from_what_was_accepted(void **state)
{
    (void)state;
    static kept k[2];
    for (size_t b = 0; b < ARRAY_LEN(backends); b++) {
        gp_backend *be[2];
        gp_tokenizer *t = gp_tokenizer_open("bytes");
        gp_context *c[2];
        gp_model *m[2];
        for (int i = 0; i < 2; i++) {
            m[i] = fresh(backends[b], "fp32", gp_tokenizer_vocab_size(t), 64, repeats, 9, &be[i]);
            c[i] = gp_context_open();
        }
        for (int line = 0; line < 10; line++) {
            int64_t cached[2], start[2];
            for (int i = 0; i < 2; i++) {
                gp_generation how = {.sampling = {.top_p = 1, .repetition_penalty = 0.5},
                                     .samples = 1,
                                     .max_tokens = 14,
                                     .draft_tokens = 8 * i,
                                     .context = c[i]};
                assert_int_equal(gp_context_add(c[i], t, "abab", 4, true), 0);
                gp_prompt p = gp_context_prompt(c[i]);
                k[i].stop_after = line % 3 == 1 ? 9 : 0;
                run(m[i], &p, &how, &k[i], NULL);
                cached[i] = gp_context_cached(c[i], m[i], &start[i]);
            }
            assert_same(&k[1], &k[0]);
            assert_int_equal(start[0], start[1]);
            assert_in_range(cached[0] - cached[1], 0, be[0]->later); /* one that works ahead has read the last id */
        }
        for (int i = 0; i < 2; i++) {
            gp_context_close(c[i]);
            discard(m[i], be[i]);
        }
        gp_tokenizer_close(t);
    }
}

static void a_draft_is_what_followed_the_longest_end(void **state)
{
    (void)state;
    static const struct {
        int32_t ids[12], draft[4];
        int64_t count, match;
    } cases[] = {
        {{5}, {0}, 1, 0},
        {{1, 2, 3, 4}, {0}, 4, 0},
        {{7, 1, 7}, {1, 7, 1, 7}, 3, 1}, /* what repeats goes on */
        {{4, 4}, {4, 4, 4, 4}, 2, 1},
        {{1, 2, 9, 3, 2, 8, 1, 2}, {9, 3, 2, 8}, 8, 2},              /* the longer end, not the later one */
        {{2, 9, 1, 2, 8, 2}, {8, 2, 8, 2}, 6, 1},                    /* of equals the later one */
        {{6, 1, 2, 3, 7, 5, 1, 2, 3, 8, 2, 3}, {8, 2, 3, 8}, 12, 2}, /* likewise */
        {{1, 2, 3, 7, 0, 2, 3, 8, 1, 2, 3}, {7, 0, 2, 3}, 11, 3},
        {{0, 1, 2, 3, 7, 9, 1, 2, 3, 8, 0, 1}, {2, 3, 7, 9}, 12, 2},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int32_t draft[4] = {0};
        assert_int_equal(gp_draft_find(cases[i].ids, cases[i].count, draft, 4), cases[i].match);
        assert_memory_equal(draft, cases[i].draft, sizeof draft);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_text_is_that_of_plain_sampling),
        cmocka_unit_test(drafts_follow_the_text),
        cmocka_unit_test(samples_are_those_of_a_batch),
        cmocka_unit_test(a_conversation_goes_on_from_what_was_accepted),
        cmocka_unit_test(a_draft_is_what_followed_the_longest_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

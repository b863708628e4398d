/* Many prompts at once, when a sample ends, what is told of it, and what is never drawn. */
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backends.h"
#include "chars.h"
#include "infer/generate.h"
#include "infer/score.h"
#include "reference/score.h"
#include "tiny_model.h"

enum { V = 96, CONTEXT = 24, PROMPTS = 7, SAMPLES = 2, MAX = 60 };

static gp_model *fresh(const char *backend, gp_backend **be)
{
    gp_config c = tiny_config("nano", CONTEXT, V);
    return tiny_model(&c, backend, "fp32", 7, be);
}

/* What came of one sample. */
typedef struct kept {
    int32_t ids[MAX];
    double log_p[MAX], first_top[3];
    int32_t first_top_ids[3];
    int64_t count;
    gp_finish finish;
    const char *stop;
    char text[512];
} kept;

static int keep(void *self, const gp_token_event *d)
{
    kept *k = (kept *)self + d->prompt * SAMPLES + d->sample;
    assert_int_equal(k->finish, GP_FINISH_NONE); /* nothing comes after the end */
    if (d->token) {
        for (int i = 0; !k->count && i < d->tops && i < 3; i++) {
            k->first_top[i] = d->top[i].log_p;
            k->first_top_ids[i] = d->top[i].id;
        }
        k->log_p[k->count] = d->drawn.log_p;
        k->ids[k->count++] = d->drawn.id;
    }
    strncat(k->text, d->bytes, d->n);
    k->finish = d->finish;
    k->stop = d->stop;
    return 0;
}

static gp_generation plain(int64_t tokens)
{
    return (gp_generation){
        .sampling = {.temperature = 1, .top_p = 0.95, .top_k = 20, .seed = 5, .repetition_penalty = 1.2},
        .samples = SAMPLES,
        .max_tokens = tokens,
        .logprobs = true,
        .top_logprobs = 3};
}

/* Lengths 1 to past the context, in an order that mixes them. */
static void mixed_prompts(gp_prompt prompts[PROMPTS], int32_t ids[PROMPTS][40])
{
    static const int lengths[PROMPTS] = {3, 23, 1, 40, 24, 2, 11};
    for (int p = 0; p < PROMPTS; p++) {
        for (int i = 0; i < 40; i++)
            ids[p][i] = (31 * p + 7 * i * i) % V;
        prompts[p] = (gp_prompt){.ids = ids[p], .count = lengths[p]};
    }
}

static void a_sample_is_the_same_alone_and_among_prompts_of_other_lengths(void **state)
{
    (void)state;
    static kept alone[PROMPTS * SAMPLES], together[PROMPTS * SAMPLES], some[PROMPTS * SAMPLES];
    int32_t ids[PROMPTS][40];
    gp_prompt prompts[PROMPTS];
    mixed_prompts(prompts, ids);
    for (size_t k = 0; k < ARRAY_LEN(backends); k++) {
        gp_backend *be;
        gp_model *m = fresh(backends[k], &be);
        gp_generation how = plain(40);
        memset(alone, 0, sizeof alone);
        memset(together, 0, sizeof together);
        memset(some, 0, sizeof some);
        assert_int_equal(gp_generate_all(m, NULL, prompts, PROMPTS, &how, keep, together, NULL), 0);
        how.batch = 3; /* rows are taken over by later samples */
        assert_int_equal(gp_generate_all(m, NULL, prompts, PROMPTS, &how, keep, some, NULL), 0);
        how.batch = 1;
        for (int p = 0; p < PROMPTS; p++)
            assert_int_equal(gp_generate_all(m, NULL, &prompts[p], 1, &how, keep, alone + p * SAMPLES, NULL), 0);
        for (int i = 0; i < PROMPTS * SAMPLES; i++) {
            assert_int_equal(alone[i].count, 40);
            assert_memory_equal(alone[i].ids, together[i].ids, sizeof alone[i].ids);
            assert_memory_equal(alone[i].ids, some[i].ids, sizeof alone[i].ids);
            assert_memory_equal(alone[i].log_p, together[i].log_p, sizeof alone[i].log_p); /* to the bit */
            assert_memory_equal(alone[i].log_p, some[i].log_p, sizeof alone[i].log_p);
        }
        assert_memory_not_equal(alone[0].ids, alone[1].ids, sizeof alone[0].ids);
        discard(m, be);
    }
}

static void log_probabilities_are_those_of_the_forward_pass(void **state)
{
    (void)state;
    static kept k[SAMPLES];
    static float logits[CONTEXT * V];
    int32_t text[CONTEXT] = {5, 6, 7, 8};
    for (size_t b = 0; b < ARRAY_LEN(backends); b++) {
        gp_backend *be;
        gp_model *m = fresh(backends[b], &be);
        gp_generation how = plain(12);
        memset(k, 0, sizeof k);
        assert_int_equal(gp_generate_all(m, NULL, &(gp_prompt){.ids = text, .count = 4}, 1, &how, keep, k, NULL), 0);
        memcpy(text + 4, k[0].ids, 12 * sizeof *text);
        assert_int_equal(gp_model_logits(m, &(gp_batch){.B = 1, .T = 16, .inputs = text}, logits), 0);
        for (int i = 0; i < 12; i++) {
            const float *row = logits + (3 + i) * V;
            double sum = 0;
            for (int v = 0; v < V; v++)
                sum += exp((double)row[v]);
            assert_true(fabs(k[0].log_p[i] - (row[text[4 + i]] - log(sum))) < 1e-4);
            for (int n = 0; !i && n < 3; n++) { /* n are larger than the one of rank n */
                int larger = 0;
                for (int v = 0; v < V; v++)
                    larger += row[v] > row[k[0].first_top_ids[n]];
                assert_int_equal(larger, n);
                assert_true(fabs(k[0].first_top[n] - (row[k[0].first_top_ids[n]] - log(sum))) < 1e-4);
            }
        }
        discard(m, be);
    }
}

static void a_sample_ends_at_a_stop_id_and_says_so(void **state)
{
    (void)state;
    static kept k[SAMPLES], all[SAMPLES];
    gp_backend *be;
    gp_model *m = fresh(backends[0], &be);
    gp_prompt p = {.ids = (int32_t[]){1, 2}, .count = 2};
    gp_generation how = plain(30);
    memset(k, 0, sizeof k);
    memset(all, 0, sizeof all);
    assert_int_equal(gp_generate_all(m, NULL, &p, 1, &how, keep, all, NULL), 0);
    assert_int_equal(all[0].finish, GP_FINISH_LENGTH);
    int at = 0; /* the stop id: the seventh drawn, where it first stands */
    while (all[0].ids[at] != all[0].ids[6])
        at++;
    int32_t stops[] = {0, all[0].ids[6]}; /* the first is never drawn */
    for (int i = 0; i < 30; i++)
        if (all[0].ids[i] == stops[0] || all[1].ids[i] == stops[0])
            stops[0]++, i = -1;
    how.stop_ids = stops;
    how.stop_id_count = 2;
    assert_int_equal(gp_generate_all(m, NULL, &p, 1, &how, keep, k, NULL), 0);
    assert_int_equal(k[0].finish, GP_FINISH_STOP_ID);
    assert_int_equal(k[0].count, at + 1);
    assert_memory_equal(k[0].ids, all[0].ids, (size_t)(at + 1) * sizeof k[0].ids[0]);
    int32_t far = V;
    how.stop_ids = &far;
    how.stop_id_count = 1;
    assert_int_equal(gp_generate_all(m, NULL, &p, 1, &how, keep, k, NULL), -1);
    assert_non_null(strstr(gp_error(), "stop id 96"));
    discard(m, be);
}

/* Samples end at many places, and the next ones take their rows while others go on. A backend that works ahead has
 * drawn more by then, of which nothing is told. */
static void rows_of_samples_that_ended_are_taken_over(void **state)
{
    (void)state;
    static kept together[PROMPTS * SAMPLES], some[PROMPTS * SAMPLES];
    static const int32_t stops[] = {3, 14, 15, 26, 37, 48, 59, 60, 71, 82};
    int32_t ids[PROMPTS][40];
    gp_prompt prompts[PROMPTS];
    mixed_prompts(prompts, ids);
    for (size_t k = 0; k < ARRAY_LEN(backends); k++) {
        gp_backend *be;
        gp_model *m = fresh(backends[k], &be);
        gp_generation how = plain(30);
        gp_generate_stats stats[2];
        int64_t told = 0, ended = 0;
        how.stop_ids = stops;
        how.stop_id_count = ARRAY_LEN(stops);
        memset(together, 0, sizeof together);
        memset(some, 0, sizeof some);
        assert_int_equal(gp_generate_all(m, NULL, prompts, PROMPTS, &how, keep, together, &stats[0]), 0);
        how.batch = 3;
        assert_int_equal(gp_generate_all(m, NULL, prompts, PROMPTS, &how, keep, some, &stats[1]), 0);
        for (int i = 0; i < PROMPTS * SAMPLES; i++) {
            assert_int_equal(together[i].count, some[i].count);
            assert_int_equal(together[i].finish, some[i].finish);
            assert_memory_equal(together[i].ids, some[i].ids, sizeof some[i].ids);
            assert_memory_equal(together[i].log_p, some[i].log_p, sizeof some[i].log_p);
            assert_string_equal(together[i].text, some[i].text);
            told += some[i].count;
            ended += some[i].finish == GP_FINISH_STOP_ID;
        }
        assert_true(ended > PROMPTS); /* the stops do stop */
        assert_int_equal(stats[0].tokens, told);
        assert_int_equal(stats[1].tokens, told);
        discard(m, be);
    }
}

/* The configuration's ids are: config.json's eos_token_id. */
static void a_sample_ends_at_the_configurations_ids(void **state)
{
    (void)state;
    static kept k[SAMPLES], all[SAMPLES];
    gp_backend *be;
    gp_model *m = fresh(backends[0], &be);
    gp_prompt p = {.ids = (int32_t[]){1, 2}, .count = 2};
    gp_generation how = plain(30);
    gp_config c = tiny_config("nano", CONTEXT, V);
    memset(k, 0, sizeof k);
    memset(all, 0, sizeof all);
    assert_int_equal(gp_generate_all(m, NULL, &p, 1, &how, keep, all, NULL), 0);
    discard(m, be);
    int at = 0;
    while (all[0].ids[at] != all[0].ids[6])
        at++;
    c.ends[0] = V - 1; /* never drawn: the ids that are asked for end before it */
    c.ends[1] = all[0].ids[6];
    c.end_count = 2;
    m = tiny_model(&c, backends[0], "fp32", 7, &be);
    how.stop_at_end_of_text = true;
    assert_int_equal(gp_generate_all(m, NULL, &p, 1, &how, keep, k, NULL), 0);
    assert_int_equal(k[0].finish, GP_FINISH_END_OF_TEXT);
    assert_int_equal(k[0].count, at + 1);
    how.stop_at_end_of_text = false;
    memset(k, 0, sizeof k);
    assert_int_equal(gp_generate_all(m, NULL, &p, 1, &how, keep, k, NULL), 0);
    assert_int_equal(k[0].finish, GP_FINISH_LENGTH);
    discard(m, be);
}

/* One character an id, but for the end-of-text. */
static gp_tokenizer *ends_by(int32_t end)
{
    gp_buf b = {0};
    gp_buf_printf(&b,
                  "{\"added_tokens\":[{\"id\":%d,\"content\":\"<|endoftext|>\",\"special\":true}],"
                  "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":true},"
                  "\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{\"<|endoftext|>\":%d",
                  end, end);
    for (int id = 0, c = '!'; id < V; id++)
        if (id != end)
            gp_buf_printf(&b, ",\"\\u%04x\":%d", c++, id);
    gp_buf_puts(&b, "}}}");
    gp_tokenizer *t = gp_tokenizer_from_json(b.data, b.len, "ends");
    gp_buf_release(&b);
    assert_non_null(t);
    assert_int_equal(gp_tokenizer_end_of_text(t), end);
    return t;
}

/* Where a generation_config.json names no end, generate of transformers has none, whatever the tokenizer has: it adds
 * EosTokenCriteria only "if generation_config._eos_token_tensor is not None" (generation/utils.py). */
static void the_tokenizers_end_counts_unless_there_is_to_be_none(void **state)
{
    (void)state;
    static kept k[SAMPLES], all[SAMPLES];
    gp_backend *be;
    gp_prompt p = {.ids = (int32_t[]){1, 2}, .count = 2};
    gp_generation how = plain(30);
    gp_model *m = fresh(backends[0], &be);
    memset(all, 0, sizeof all);
    assert_int_equal(gp_generate_all(m, NULL, &p, 1, &how, keep, all, NULL), 0);
    discard(m, be);
    int at = 0;
    while (all[0].ids[at] != all[0].ids[6])
        at++;
    gp_tokenizer *t = ends_by(all[0].ids[6]);
    how.stop_at_end_of_text = true;
    for (int none = 0; none < 2; none++) {
        gp_config c = tiny_config("nano", CONTEXT, V);
        c.end_count = 0;
        c.no_end = none;
        m = tiny_model(&c, backends[0], "fp32", 7, &be);
        memset(k, 0, sizeof k);
        assert_int_equal(gp_generate_all(m, t, &p, 1, &how, keep, k, NULL), 0);
        assert_int_equal(k[0].finish, none ? GP_FINISH_LENGTH : GP_FINISH_END_OF_TEXT);
        assert_int_equal(k[0].count, none ? 30 : at + 1);
        discard(m, be);
    }
    gp_tokenizer_close(t);
}

/* An id that cannot come has the logarithm of 0; RFC 8259, 6: numbers such as Infinity are not permitted. */
static void the_logarithm_of_no_probability_is_null_in_json(void **state)
{
    (void)state;
    const gp_token_logprob top[] = {{.id = 3, .log_p = -0.5}, {.id = 7, .log_p = -INFINITY}};
    gp_buf b = {0};
    gp_put_logprobs(&b, NULL, top, ARRAY_LEN(top));
    assert_string_equal(b.data, "[{\"id\": 3, \"logprob\": -0.500000}, {\"id\": 7, \"logprob\": null}]");
    gp_buf_release(&b);
}

/* The position table is not finite at 5: what comes behind it has no logits. */
static void a_sample_ends_where_logits_are_not_finite(void **state)
{
    (void)state;
    static kept all[SAMPLES];
    for (size_t k = 0; k < ARRAY_LEN(backends); k++) {
        gp_backend *be;
        gp_model *m = fresh(backends[k], &be);
        gp_prompt p = {.ids = (int32_t[]){1, 2}, .count = 2};
        gp_generation how = plain(30);
        const gp_param *row = gp_params_row(&m->params, GP_WPE, 0);
        float *w = gp_malloc((size_t)row->count * sizeof *w);
        memset(all, 0, sizeof all);
        gp_model_row_download(m, row, w);
        for (int64_t c = 0; c < row->dim[1]; c++)
            w[5 * row->dim[1] + c] = INFINITY;
        gp_model_row_upload(m, row, w);
        free(w);
        assert_int_equal(gp_generate_all(m, NULL, &p, 1, &how, keep, all, NULL), -1);
        assert_int_equal(all[0].count, 4); /* ids 2 to 5: what would come next has read position 5 */
        if (!strstr(gp_error(), "sample 1: the model's logits at position 6 are not finite; the first that is not: "))
            fail_msg("'%s'", gp_error());
        discard(m, be);
    }
}

/* Ids are decimals with blanks between where there is no tokenizer: a stop text crosses them. */
static void a_sample_ends_before_a_stop_text_that_crosses_tokens(void **state)
{
    (void)state;
    static kept k[SAMPLES], all[SAMPLES];
    gp_backend *be;
    gp_model *m = fresh(backends[0], &be);
    gp_prompt p = {.ids = (int32_t[]){1, 2}, .count = 2};
    gp_generation how = plain(30);
    memset(k, 0, sizeof k);
    memset(all, 0, sizeof all);
    assert_int_equal(gp_generate_all(m, NULL, &p, 1, &how, keep, all, NULL), 0);
    char *stop = gp_format("%d %d", all[0].ids[8], all[0].ids[9]), *stops[] = {"never", stop, NULL};
    const char *hit = strstr(all[0].text, stop);
    how.stops = stops;
    assert_int_equal(gp_generate_all(m, NULL, &p, 1, &how, keep, k, NULL), 0);
    assert_int_equal(k[0].finish, GP_FINISH_STOP_TEXT);
    assert_string_equal(k[0].stop, stop);
    assert_int_equal(strlen(k[0].text), hit - all[0].text);
    assert_memory_equal(k[0].text, all[0].text, strlen(k[0].text));
    free(stop);
    discard(m, be);
}

static void nothing_is_told_that_may_yet_be_a_stop_or_half_a_character(void **state)
{
    (void)state;
    char *stops[] = {"abc", "bcd\n", "\xac!", NULL}; /* the last begins within U+20AC */
    const struct {
        const char *text;
        size_t sure;
        const char *stop;
    } cases[] = {
        {"xyz", 3, NULL},
        {"xya", 2, NULL},
        {"xyab", 2, NULL},
        {"xyabx", 5, NULL},
        {"xyabc", 2, "abc"},
        {"xybcd", 2, NULL},
        {"xbcd\nabc", 1, "bcd\n"},
        {"ab\xc3", 2, NULL},
        {"ab\xc3\xa9", 4, NULL},
        {"\xe2\x82", 0, NULL},
        {"\xe2\x82\xac", 0, NULL},
        {"\xe2\x82\xac?", 4, NULL},
        {"x\xe2\x82\xac!", 1, "\xac!"},
        {"x\xf0\x9f\x98", 1, NULL},
        {"\xff", 1, NULL},
        {"\xc0", 1, NULL},
        {"\xed\xa0", 2, NULL},
        {"\xa9", 1, NULL},
        {"\xf0\x9f\x98\x80", 4, NULL},
        {"", 0, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *stop;
        assert_int_equal(gp_text_sure(cases[i].text, strlen(cases[i].text), stops, &stop), cases[i].sure);
        assert_int_equal(stop != NULL, cases[i].stop != NULL);
        if (stop)
            assert_string_equal(stop, cases[i].stop);
    }
}

static void padded_ids_are_never_drawn(void **state)
{
    (void)state;
    static kept k[SAMPLES];
    gp_tokenizer *t = chars_of("abcd", 4);
    gp_prompt p = {.ids = (int32_t[]){1}, .count = 1};
    for (size_t b = 0; b < ARRAY_LEN(backends); b++) {
        gp_backend *be;
        gp_model *m = fresh(backends[b], &be); /* 96 rows, of which 4 have a text */
        gp_generation how = plain(60);
        memset(k, 0, sizeof k);
        how.sampling = (gp_sampling){.temperature = 100, .top_p = 1, .seed = 1};
        assert_int_equal(gp_generate_all(m, t, &p, 1, &how, keep, k, NULL), 0);
        for (int i = 0; i < 60; i++)
            assert_in_range(k[0].ids[i], 0, 3);
        for (int i = 0; i < 3; i++)
            assert_in_range(k[0].first_top_ids[i], 0, 3);
        discard(m, be);
    }
    gp_tokenizer_close(t);
}

/* Each id's share of draws, with every filter after the penalty. */
static void the_repetition_penalty_is_that_of_transformers(void **state)
{
    (void)state;
    uint8_t seen[V] = {0};
    int32_t zero = 0, drawn;
#ifdef GPTPIPE_TEST_CUDA
    int counts[V] = {0}, draws = 300; /* which the simulator takes its time for */
#else
    int counts[V] = {0}, draws = 4000;
#endif
    float row[V];
    for (int i = 0; i < 10; i++)
        seen[(7 * i * i + 3 * i) % V] = 1;
    for (size_t b = 0; b < ARRAY_LEN(backends); b++) {
        gp_backend *be;
        gp_model *m = fresh(backends[b], &be);
        assert_int_equal(gp_model_plan_cache(m, 1, 1), 0);
        for (int v = 0; v < V; v++)
            row[v] = (float)penalty_logits[v];
        be->ops->upload(be, m->logits.data, row, sizeof row);
        memset(counts, 0, sizeof counts);
        gp_tensor logits = gp_rows_of(&m->logits, 0, 1);
        gp_sample_op op = {.logits = &logits,
                           .vocab = V,
                           .temperature = 0.9f,
                           .top_k = 30,
                           .top_p = 0.8f,
                           .min_p = 0.3f,
                           .seed = 3,
                           .samples = m->rows.samples,
                           .positions = m->rows.drawn,
                           .ids = m->rows.ids,
                           .seen = be->ops->alloc(be, V),
                           .penalty = 1.7};
        be->ops->upload(be, op.seen, seen, V);
        be->ops->upload(be, m->rows.samples, &zero, sizeof zero);
        for (int i = 0; i < draws; i++) {
            be->ops->upload(be, op.positions, &i, sizeof i);
            be->ops->sample(be, &op);
            be->ops->download(be, &drawn, op.ids, sizeof drawn);
            counts[drawn]++;
        }
        be->ops->free(be, op.seen, V);
        for (int v = 0; v < V; v++) { /* five standard deviations */
            double share = penalty_shares[v], off = fabs(counts[v] - draws * share);
            assert_true(share > 0 ? off <= 5 * sqrt(draws * share * (1 - share)) : !counts[v]);
        }
        discard(m, be);
    }
}

static void what_goes_past_the_context_is_counted(void **state)
{
    (void)state;
    static kept k[PROMPTS * SAMPLES];
    gp_backend *be;
    gp_model *m = fresh(backends[0], &be);
    int32_t ids[30] = {0};
    gp_prompt p[2] = {{.ids = ids, .count = 2}, {.ids = ids, .count = 30}};
    gp_generation how = plain(22);
    gp_generate_stats g;
    how.samples = 1;
    memset(k, 0, sizeof k);
    assert_int_equal(gp_generate_all(m, NULL, p, 1, &how, keep, k, &g), 0);
    assert_int_equal(g.refills, 0); /* 2 + 22 ids are the context of 24 */
    how.max_tokens = 24;
    memset(k, 0, sizeof k);
    assert_int_equal(gp_generate_all(m, NULL, p, 1, &how, keep, k, &g), 0);
    assert_int_equal(g.refills, 1);
    how.max_tokens = 1;
    memset(k, 0, sizeof k);
    assert_int_equal(gp_generate_all(m, NULL, p, 2, &how, keep, k, &g), 0);
    assert_int_equal(g.long_prompts, 1);
    discard(m, be);
}

static void what_cannot_be_done_is_refused_before_anything_is_drawn(void **state)
{
    (void)state;
    gp_backend *be;
    gp_model *m = fresh("ref", &be);
    int32_t ids[] = {1, V};
    gp_prompt p[2] = {{.ids = ids, .count = 1}, {.ids = ids, .count = 2}};
    gp_generation how = plain(3);
    assert_int_equal(gp_generate_all(m, NULL, p, 2, &how, keep, NULL, NULL), -1);
    assert_non_null(strstr(gp_error(), "prompt 2: token id 96"));
    p[1].count = 0;
    assert_int_equal(gp_generate_all(m, NULL, p, 2, &how, keep, NULL, NULL), -1);
    assert_non_null(strstr(gp_error(), "prompt 2 is empty"));
    how.samples = INT64_MAX / 2;
    assert_int_equal(gp_generate_all(m, NULL, p, 1, &how, keep, NULL, NULL), -1);
    how.samples = INT32_MAX;
    assert_int_equal(gp_generate_all(m, NULL, p, 1, &how, keep, NULL, NULL), -1);
    assert_non_null(strstr(gp_error(), "GB"));
    discard(m, be);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sample_is_the_same_alone_and_among_prompts_of_other_lengths),
        cmocka_unit_test(log_probabilities_are_those_of_the_forward_pass),
        cmocka_unit_test(a_sample_ends_at_a_stop_id_and_says_so),
        cmocka_unit_test(rows_of_samples_that_ended_are_taken_over),
        cmocka_unit_test(a_sample_ends_at_the_configurations_ids),
        cmocka_unit_test(the_tokenizers_end_counts_unless_there_is_to_be_none),
        cmocka_unit_test(the_logarithm_of_no_probability_is_null_in_json),
        cmocka_unit_test(a_sample_ends_where_logits_are_not_finite),
        cmocka_unit_test(a_sample_ends_before_a_stop_text_that_crosses_tokens),
        cmocka_unit_test(nothing_is_told_that_may_yet_be_a_stop_or_half_a_character),
        cmocka_unit_test(padded_ids_are_never_drawn),
        cmocka_unit_test(the_repetition_penalty_is_that_of_transformers),
        cmocka_unit_test(what_goes_past_the_context_is_counted),
        cmocka_unit_test(what_cannot_be_done_is_refused_before_anything_is_drawn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

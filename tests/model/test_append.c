/* test_append.c: tokens appended to what a cache holds. Each token's logits, and the cache, have the bits of decoding
 * one token at a time, however the tokens are grouped; prompts have the same bits at once and in pieces that end where
 * a prompt is cut. */
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backends.h"
#include "last_logits.h"
#include "base/rng.h"
#include "model/model.h"

enum { ROWS = 2, N = 20, P = 72, V = 61 };

static const int32_t starts[ROWS] = {3, 7};

/* The simulator under a sanitizer takes a minute for all lengths and splits; memory shows with every fifth too. */
#if defined(GPTPIPE_TEST_CUDA) && defined(__SANITIZE_ADDRESS__)
enum { EVERY = 5 };
#else
enum { EVERY = 1 };
#endif

/* Of sizes that vectors and tensor cores take, and of odd ones; biases and norms beside them. */
static gp_config shape(bool odd)
{
    gp_config c;
    assert_int_equal(gp_config_preset(&c, "nano"), 0);
    c.layers = 2;
    c.heads = odd ? 3 : 2;
    c.channels = odd ? 33 : 64;
    c.inner = odd ? 65 : 256;
    c.positions = P;
    c.vocab_size = V;
    c.init_std = 0.3; /* far from uniform, so that differences show */
    return c;
}

/* What is left of a run: the logits after each appended token, those that are ready for sampling, and the cache. */
typedef struct trail {
    float logits[ROWS][N][V], last[ROWS][V];
    gp_buf cache;
} trail;

static void open_trail(gp_model *m, const int32_t *ids, trail *t)
{
    *t = (trail){0};
    assert_int_equal(gp_model_plan_cache(m, ROWS, 8), 0);
    for (int b = 0; b < ROWS; b++)
        assert_int_equal(gp_model_prefill(m, b, ids + b * P, starts[b]), 0);
}

static void close_trail(gp_model *m, trail *t)
{
    gp_tensor *both[] = {&m->cache.k, &m->cache.v};
    for (int b = 0; b < ROWS; b++)
        last_logits(m, b, t->last[b]);
    for (int i = 0; i < 2; i++) {
        size_t bytes = (size_t)gp_tensor_bytes(both[i]);
        gp_buf_reserve(&t->cache, bytes);
        m->be->ops->download(m->be, t->cache.data + t->cache.len, both[i]->data, bytes);
        t->cache.len += bytes;
    }
}

/* The next n tokens of all rows, which have had `done`, at once. */
static void append(gp_model *m, const int32_t *ids, int done, int n, bool all_logits, trail *t)
{
    int32_t next[ROWS * N], positions[ROWS];
    float logits[ROWS * N * V];
    for (int b = 0; b < ROWS; b++) {
        positions[b] = starts[b] + done;
        memcpy(next + b * n, ids + b * P + positions[b], (size_t)n * sizeof *next);
    }
    assert_int_equal(gp_model_append(m, 0, ROWS, next, n, positions, all_logits ? logits : NULL), 0);
    for (int b = 0; b < ROWS && all_logits; b++)
        memcpy(t->logits[b][done], logits + b * n * V, sizeof(float[V]) * (size_t)n);
}

/* One at a time, by gp_model_decode. */
static trail decoded(gp_model *m, const int32_t *ids, int count)
{
    trail t;
    open_trail(m, ids, &t);
    for (int done = 0; done < count; done++) {
        int32_t next[ROWS], positions[ROWS];
        for (int b = 0; b < ROWS; b++) {
            positions[b] = starts[b] + done;
            next[b] = ids[b * P + positions[b]];
        }
        assert_int_equal(gp_model_decode(m, next, positions), 0);
        for (int b = 0; b < ROWS; b++)
            last_logits(m, b, t.logits[b][done]);
    }
    close_trail(m, &t);
    return t;
}

static void assert_same(const trail *got, const trail *want, bool all_logits)
{
    assert_memory_equal(got->last, want->last, sizeof want->last);
    assert_int_equal(got->cache.len, want->cache.len);
    assert_memory_equal(got->cache.data, want->cache.data, want->cache.len);
    if (all_logits)
        assert_memory_equal(got->logits, want->logits, sizeof want->logits);
}

/* Runs check on each backend, in fp32 and bf16, and in fp32 with a cache in bf16, over both shapes, with random ids
 * (ROWS,P). */
static void each_model(void (*check)(gp_model *m, const int32_t *ids))
{
    static const char *const dtypes[] = {"fp32", "bf16", "fp32"};
    static const gp_cache_dtype caches[] = {GP_CACHE_AUTO, GP_CACHE_AUTO, GP_CACHE_BF16};
    int32_t ids[ROWS * P];
    for (int i = 0; i < ROWS * P; i++)
        ids[i] = (int32_t)gp_random_below(5, GP_RNG_DATA, 0, (uint64_t)i, V);
    for (size_t k = 0; k < ARRAY_LEN(backends) * ARRAY_LEN(dtypes) * 2; k++) {
        size_t how = k / 2 % ARRAY_LEN(dtypes);
        gp_backend *be = gp_backend_open(backends[k / 2 / ARRAY_LEN(dtypes)], dtypes[how], 2);
        if (!be && !strcmp(dtypes[how], "bf16")) {
            print_message("not tried: %s\n", gp_error());
            continue;
        }
        assert_non_null(be);
        if (gp_backend_set_cache(be, caches[how])) {
            assert_true(be->device_memory);
            assert_string_equal(gp_error(), "backend cuda caches keys and values in the dtype that it computes in, "
                                            "which is fp32 here: a cache in bf16 requires --dtype bf16");
            gp_backend_close(be);
            continue;
        }
        assert_string_equal(gp_backend_cache(be), how == 2 || be->act_dtype == GP_BF16 ? "bf16" : "fp32");
        gp_config c = shape(k % 2);
        gp_model *m = gp_model_create(&c, be, false);
        gp_model_init(m, 7);
        check(m, ids);
        gp_model_free(m);
        gp_backend_close(be);
    }
}

/* ---- any grouping ---------------------------------------------------------------------------------------- */

static void check_lengths(gp_model *m, const int32_t *ids)
{
    trail want = decoded(m, ids, N), got;
    for (int n = 1; n <= GP_APPEND_FEW; n += EVERY)
        for (int all = n % 5 == 1; all >= 0; all--) { /* 1, 6, 11, 16: each token's logits too */
            open_trail(m, ids, &got);
            for (int done = 0; done < N; done += n)
                append(m, ids, done, n < N - done ? n : N - done, all, &got);
            close_trail(m, &got);
            assert_same(&got, &want, all);
            gp_buf_release(&got.cache);
        }
    gp_buf_release(&want.cache);
}

static void one_to_sixteen_tokens_have_the_bits_of_one_at_a_time(void **state)
{
    (void)state;
    if (EVERY > 1)
        print_message("skipped: on the simulator under a sanitizer, lengths and splits but every %dth\n", EVERY);
    each_model(check_lengths);
}

static void check_splits(gp_model *m, const int32_t *ids)
{
    enum { COUNT = 5 };
    trail want = decoded(m, ids, COUNT), got;
    for (int cuts = 0; cuts < 1 << (COUNT - 1); cuts += EVERY) { /* bit i: a cut after token i */
        open_trail(m, ids, &got);
        for (int done = 0, n = 1; done < COUNT; done += n, n = 1) {
            while (done + n < COUNT && !(cuts >> (done + n - 1) & 1))
                n++;
            append(m, ids, done, n, true, &got);
        }
        close_trail(m, &got);
        assert_same(&got, &want, true);
        gp_buf_release(&got.cache);
    }
    gp_buf_release(&want.cache);
}

static void five_tokens_have_the_same_bits_in_every_split(void **state)
{
    (void)state;
    each_model(check_splits);
}

/* A row of many, alone; and what a row held from its position on does not matter. */
static void check_rows(gp_model *m, const int32_t *ids)
{
    trail want, got;
    float logits[6 * V];
    open_trail(m, ids, &want);
    append(m, ids, 0, 6, true, &want);
    close_trail(m, &want);
    open_trail(m, ids, &got);
    for (int b = ROWS - 1; b >= 0; b--)
        for (int again = 0; again < 2; again++) { /* other tokens first, as drafts that are refused */
            const int32_t *from = ids + b * P + starts[b] + (again ? 0 : 9);
            assert_int_equal(gp_model_append(m, b, 1, from, 6, starts + b, logits), 0);
            if (again)
                memcpy(got.logits[b], logits, sizeof logits);
        }
    close_trail(m, &got);
    assert_same(&got, &want, true);
    gp_buf_release(&want.cache);
    gp_buf_release(&got.cache);
}

static void a_row_is_the_same_alone_and_after_drafts_that_were_refused(void **state)
{
    (void)state;
    each_model(check_rows);
}

/* ---- prompts ---------------------------------------------------------------------------------------------- */

/* ids[0..count) into row 0, cut where `cuts` has a bit: piece by piece, the first as a prompt. */
static void feed(gp_model *m, const int32_t *ids, const int *ends, int pieces, trail *t)
{
    *t = (trail){0};
    assert_int_equal(gp_model_plan_cache(m, ROWS, ends[0]), 0);
    assert_int_equal(gp_model_prefill(m, 0, ids, ends[0]), 0);
    for (int i = 1; i < pieces; i++) {
        int32_t at = ends[i - 1];
        assert_int_equal(gp_model_append(m, 0, 1, ids + at, ends[i] - at, &at, NULL), 0);
    }
    close_trail(m, t);
}

static void assert_fed(gp_model *m, const int32_t *ids, const int *ends, int pieces, const int *others, int count)
{
    trail want, got;
    feed(m, ids, ends, pieces, &want);
    feed(m, ids, others, count, &got);
    assert_same(&got, &want, false);
    gp_buf_release(&want.cache);
    gp_buf_release(&got.cache);
}

#define FED(m, ids, a, b) assert_fed(m, ids, a, (int)ARRAY_LEN(a), b, (int)ARRAY_LEN(b))

static void check_chunks(gp_model *m, const int32_t *ids)
{
    static const int whole[] = {70}, cut[] = {24, 48, 70}, partly[] = {48, 70};
    static const int whole_60[] = {60}, tail_by_few[] = {24, 48, 49, 55, 60};
    static const int across[] = {10, 45}, across_cut[] = {10, 24, 45}, across_few[] = {10, 11, 24, 45};
    m->chunk = 24;
    FED(m, ids, whole, cut);
    FED(m, ids, whole, partly);
    FED(m, ids, whole_60, tail_by_few); /* the last piece is of 12 tokens, which have the same bits in any groups */
    FED(m, ids, across, across_cut);
    FED(m, ids, across, across_few);
}

static void a_prompt_has_the_same_bits_at_once_and_cut_where_chunks_end(void **state)
{
    (void)state;
    each_model(check_chunks);
}

/* ---- the numbers ------------------------------------------------------------------------------------------ */

static double tolerance(const gp_model *m)
{
    bool rounds =
        m->be->dtype == GP_BF16 || !strcmp(gp_backend_cache(m->be), "bf16"); /* products, or keys and values */
    return rounds ? 5e-2 : 2e-5;
}

static void assert_near(const float *got, const float *want, double allowed)
{
    double off = 0, norm = 0;
    for (int v = 0; v < V; v++) {
        off += ((double)got[v] - want[v]) * ((double)got[v] - want[v]);
        norm += (double)want[v] * want[v];
    }
    if (!(sqrt(off) <= allowed * sqrt(norm)))
        fail_msg("off by %.3g of %.3g, allowed %.2g of it", sqrt(off), sqrt(norm), allowed);
}

static void check_forward(gp_model *m, const int32_t *ids)
{
    enum { T = 60 };
    static float whole[T * V], rest[(T - 5) * V];
    int32_t at = 5;
    assert_int_equal(gp_model_logits(m, &(gp_batch){.B = 1, .T = T, .inputs = ids}, whole), 0);
    for (int chunk = 24; chunk <= 96; chunk += 72) { /* few, pieces of a prompt, and one piece after a prompt */
        m->chunk = chunk;
        assert_int_equal(gp_model_plan_cache(m, 1, at), 0);
        assert_int_equal(gp_model_prefill(m, 0, ids, at), 0);
        assert_int_equal(gp_model_append(m, 0, 1, ids + at, T - at, &at, rest), 0);
        for (int t = at; t < T; t++)
            assert_near(rest + (t - at) * V, whole + t * V, tolerance(m));
    }
    trail t;
    open_trail(m, ids, &t);
    append(m, ids, 0, 11, true, &t);
    for (int i = 0; i < 11; i++)
        assert_near(t.logits[0][i], whole + (starts[0] + i) * V, tolerance(m));
}

static void appended_tokens_have_the_logits_of_a_whole_pass(void **state)
{
    (void)state;
    each_model(check_forward);
}

/* ---- refusals --------------------------------------------------------------------------------------------- */

static void check_refusals(gp_model *m, const int32_t *ids)
{
    int32_t negative[2] = {0, -1}, late[2] = {P - 3, P - 4}, id[4] = {1, 2, V, 3};
    assert_int_equal(gp_model_plan_cache(m, 2, 4), 0);
    assert_int_equal(gp_model_append(m, 0, 2, ids, 4, negative, NULL), -1);
    assert_string_equal(gp_error(), "4 tokens at position -1 do not fit the model's context of 72");
    assert_int_equal(gp_model_append(m, 0, 2, ids, 4, late, NULL), -1);
    assert_string_equal(gp_error(), "4 tokens at position 69 do not fit the model's context of 72");
    assert_int_equal(gp_model_append(m, 1, 1, ids, 4, late + 1, NULL), 0); /* to the last position */
    assert_int_equal(gp_model_append(m, 1, 1, ids, 0, late + 1, NULL), -1);
    assert_int_equal(gp_model_append(m, 1, 1, id, 4, late + 1, NULL), -1);
    assert_non_null(strstr(gp_error(), "token id 61"));
    assert_int_equal(gp_model_prefill(m, 0, ids, P + 1), -1);
    assert_string_equal(gp_error(), "a prompt of 73 tokens does not fit the model, whose context is 72");
    assert_int_equal(gp_model_prefill(m, 0, ids, 0), -1);
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    each_model(check_refusals);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_to_sixteen_tokens_have_the_bits_of_one_at_a_time),
        cmocka_unit_test(five_tokens_have_the_same_bits_in_every_split),
        cmocka_unit_test(a_row_is_the_same_alone_and_after_drafts_that_were_refused),
        cmocka_unit_test(a_prompt_has_the_same_bits_at_once_and_cut_where_chunks_end),
        cmocka_unit_test(appended_tokens_have_the_logits_of_a_whole_pass),
        cmocka_unit_test(what_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

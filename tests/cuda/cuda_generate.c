/* A whole model decoded on the CUDA backend: it agrees with the forward pass, and a sample is the same alone and among
 * others. From its third token on, a decode is a recording that is issued again. */
#include "last_logits.h"
#include "sides.h"

#include "gptpipe/sampler.h"
#include "model/model.h"

enum { V = 77, POSITIONS = 16, T = 12 };

static gp_model *model_that(sides *s, int64_t channels, bool trains)
{
    gp_config c;
    assert_int_equal(gp_config_preset(&c, "nano"), 0);
    c.layers = 2;
    c.heads = 2;
    c.channels = channels;
    c.inner = 4 * channels;
    c.positions = POSITIONS;
    c.vocab_size = V;
    c.init_std = 0.1; /* far from uniform, so that differences show */
    gp_model *m = gp_model_create(&c, s->be[DEVICE], trains);
    gp_model_init(m, 7);
    return m;
}

static gp_model *model_on(sides *s, int64_t channels)
{
    return model_that(s, channels, false);
}

/* Of channels for tensor cores, and of odd ones. */
static const int64_t channels[] = {64, 34};

static void assert_close(const float *a, const float *b, double tolerance)
{
    double off = 0, size = 0;
    for (int v = 0; v < V; v++) {
        off = isnan(a[v]) ? INFINITY : fmax(off, fabs((double)a[v] - b[v]));
        size = fmax(size, fabs((double)b[v]));
    }
    if (!(off <= tolerance * size))
        fail_msg("differ by %g, largest value %g", off, size);
}

static void decoding_agrees_with_the_forward_pass(void **state)
{
    sides *s = *state;
    for (size_t i = 0; i < ARRAY_LEN(channels); i++) {
        gp_model *m = model_on(s, channels[i]);
        int32_t ids[2 * T], next[2], positions[2];
        float all[2 * T * V], last[V];
        for (int t = 0; t < 2 * T; t++)
            ids[t] = (int32_t)gp_random_below(3, GP_RNG_DATA, 0, (uint64_t)t, V);
        assert_int_equal(gp_model_logits(m, &(gp_batch){.B = 2, .T = T, .inputs = ids}, all), 0);
        assert_int_equal(gp_model_plan_cache(m, 2, POSITIONS), 0);
        assert_int_equal(gp_model_prefill(m, 0, ids, 3), 0); /* rows of different lengths */
        assert_int_equal(gp_model_prefill(m, 1, ids + T, 7), 0);
        for (int step = 0; step < 5; step++) {
            int32_t at[2] = {2 + step, 6 + step};
            for (int b = 0; b < 2; b++) {
                last_logits(m, b, last);
                assert_close(last, all + (b * T + at[b]) * V, 5 * s->tolerance);
                next[b] = ids[b * T + at[b] + 1];
                positions[b] = at[b] + 1;
            }
            assert_int_equal(gp_model_decode(m, next, positions), 0);
        }
        gp_model_free(m);
    }
}

static int keep_text(void *self, int64_t sample, const char *bytes, size_t n, bool done)
{
    (void)done;
    gp_buf_add((gp_buf *)self + sample, bytes, n);
    return 0;
}

static void generate(gp_model *m, int64_t batch, gp_buf text[2])
{
    int32_t prompt[] = {1, 2, 3};
    gp_generation how = {.sampling = {.temperature = 1, .top_p = 0.95, .top_k = 20, .seed = 5},
                         .samples = 2,
                         .batch = batch,
                         .max_tokens = 15}; /* past the context */
    assert_int_equal(gp_generate(m, NULL, prompt, 3, &how, keep_text, text, NULL), 0);
}

static void a_sample_is_the_same_alone_and_among_others(void **state)
{
    sides *s = *state;
    gp_model *m = model_on(s, 64);
    gp_buf alone[2] = {{0}}, among[2] = {{0}};
    generate(m, 1, alone);
    generate(m, 2, among);
    for (int n = 0; n < 2; n++) {
        assert_true(alone[n].len > 0);
        assert_int_equal(alone[n].len, among[n].len);
        assert_memory_equal(alone[n].data, among[n].data, alone[n].len);
        gp_buf_release(&alone[n]);
        gp_buf_release(&among[n]);
    }
    gp_model_free(m);
}

/* In bf16 a number of a layer's matrices takes 2 bytes: products read it where it is. Embedding's tables stay fp32, and
 * the head reads a copy of the tokens', of whole 64 rows. A layer has 12 C C numbers in matrices, 9 C in biases, 4 C in
 * norms. */
static void a_model_that_does_not_train_has_no_masters(void **state)
{
    enum { C = 64, LAYERS = 2, MATRICES = 12 * C * C * LAYERS, BIASES = 9 * C * LAYERS };
    enum { REST = (V + POSITIONS) * C + BIASES + 4 * C * LAYERS + 2 * C, HEAD_ROWS = 128 };
    sides *s = *state;
    bool narrow = s->be[DEVICE]->act_dtype == GP_BF16;
    gp_model *reads = model_that(s, C, false), *trains = model_that(s, C, true);
    int32_t ids[T];
    float logits[T * V], same[T * V];
    gp_memory_use use;
    for (int t = 0; t < T; t++)
        ids[t] = (int32_t)gp_random_below(3, GP_RNG_DATA, 0, (uint64_t)t, V);
    assert_int_equal(gp_model_logits(reads, &(gp_batch){.B = 1, .T = T, .inputs = ids}, logits), 0);
    assert_int_equal(gp_model_logits(trains, &(gp_batch){.B = 1, .T = T, .inputs = ids}, same), 0);
    assert_memory_equal(logits, same, sizeof logits);
    gp_model_memory(reads, &use);
    assert_int_equal(use.weights, (narrow ? 2 : 4) * MATRICES + 4 * REST);
    assert_int_equal(use.slots, narrow ? 2 * (HEAD_ROWS * C + BIASES) : 0);
    gp_model_free(reads);
    gp_model_free(trains);
}

#ifdef GP_CUSIM
size_t cusim_launched_nodes(void); /* beside the simulator's C++ */

/* The nodes of the graph of a decoding step of 12 layers, which are what a token costs on a GPU where each takes
 * microseconds to start. The embedding and the head, a layer's four products and attention, and what samples: one
 * kernel finds the largest logit, another draws, and two more for each of top-k and top-p find a limit; here for 8 rows
 * at a time, on a GPU for 128. The norms, 2 a layer and the last, are in the products after them in bf16 up to 8 rows,
 * else kernels too. */
static void a_decoded_token_is_few_nodes(void **state)
{
    const struct {
        const char *what;
        int64_t batch;
        size_t sampling_nodes;
        gp_sampling sampling;
    } cases[] = {
        {"the most likely token", 1, 1, {.temperature = 0, .top_p = 1}},
        {"temperature", 8, 2, {.temperature = 1, .top_p = 1}},
        {"temperature", 9, 4, {.temperature = 1, .top_p = 1}},
        {"top-k", 1, 4, {.temperature = 1, .top_p = 1, .top_k = 5}},
        {"top-k, top-p, penalty", 1, 6, {.temperature = 1, .top_p = 0.9, .top_k = 5, .repetition_penalty = 1.2}}};
    sides *s = *state;
    gp_config c;
    assert_int_equal(gp_config_preset(&c, "gpt2"), 0);
    c.heads = 2;
    c.channels = 32;
    c.inner = 4 * c.channels;
    c.positions = POSITIONS;
    c.vocab_size = V;
    gp_model *m = gp_model_create(&c, s->be[DEVICE], false);
    gp_model_init(m, 7);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int32_t prompt[] = {1, 2, 3};
        gp_buf text[9] = {{0}};
        gp_generation how = {
            .sampling = cases[i].sampling, .samples = cases[i].batch, .batch = cases[i].batch, .max_tokens = 5};
        assert_int_equal(gp_generate(m, NULL, prompt, 3, &how, keep_text, text, NULL), 0);
        print_message("%s, %lld rows: %zu nodes\n", cases[i].what, (long long)cases[i].batch, cusim_launched_nodes());
        bool apart = s->be[DEVICE]->act_dtype == GP_F32 || cases[i].batch > 8;
        assert_int_equal(cusim_launched_nodes(), 2 + 5 * 12 + cases[i].sampling_nodes + (apart ? 2 * 12 + 1 : 0));
        for (size_t b = 0; b < ARRAY_LEN(text); b++)
            gp_buf_release(&text[b]);
    }
    gp_model_free(m);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIDES_TEST(decoding_agrees_with_the_forward_pass),
        SIDES_TEST(a_sample_is_the_same_alone_and_among_others),
        SIDES_TEST(a_model_that_does_not_train_has_no_masters),
#ifdef GP_CUSIM
        SIDES_TEST(a_decoded_token_is_few_nodes),
#endif
    };
    return sides_main("cuda generate", tests);
}

/* Backend cpu against ref: drawing tokens. The ids are the same, always, and log-probabilities the same to the bit. */
#include "backend/sample.h"
#include "parity.h"

/* Settings of a draw from each of B rows, and how its logits are made. */
typedef struct sample_case {
    int B, V, vocab, top_k, tops;
    float scale, temperature, top_p, min_p;
    double penalty; /* 0: none */
    int values;     /* round logits to 1 / values, for ties; 0: no */
    int hidden;     /* every hidden-th logit is -inf; 0: none */
} sample_case;

enum { RING = 3, MAX_B = 9, MAX_TOPS = 100 };

/* What a draw writes. */
typedef struct drawn {
    int32_t ids[MAX_B], positions[MAX_B], places[MAX_B];
    gp_draw draws[MAX_B * RING];
    gp_candidate top[MAX_B * RING * MAX_TOPS];
    uint8_t *seen;
} drawn;

static void make_logits(parity *p, const sample_case *c, gp_tensor *logits)
{
    *logits = RANDOM(p, c->B, c->V);
    float *x = logits->data;
    for (int64_t i = 0; i < gp_tensor_count(logits); i++) {
        x[i] *= c->scale;
        if (c->values)
            x[i] = roundf(x[i] * (float)c->values) / (float)c->values;
        if (c->hidden && i % c->hidden == 1)
            x[i] = -INFINITY;
    }
}

static void draw(parity *p, gp_backend *be, const sample_case *c, const gp_tensor *logits, drawn *d)
{
    memset(d, 0, sizeof *d);
    d->seen = parity_take(p, (size_t)(c->B * c->V));
    int32_t samples[MAX_B];
    for (int i = 0; i < c->B * c->V; i++)
        d->seen[i] = i % 7 == 3;
    for (int b = 0; b < c->B; b++) {
        samples[b] = b == 4 ? -1 : 17 * b;
        d->positions[b] = 5 * b;
        d->places[b] = b;
    }
    be->ops->sample(be, &(gp_sample_op){.logits = logits,
                                        .vocab = c->vocab,
                                        .temperature = c->temperature,
                                        .top_p = c->top_p,
                                        .min_p = c->min_p,
                                        .top_k = c->top_k,
                                        .seed = p->drawn, /* another one in each case */
                                        .samples = samples,
                                        .positions = d->positions,
                                        .ids = d->ids,
                                        .seen = c->penalty > 0 ? d->seen : NULL,
                                        .penalty = c->penalty,
                                        .draws = d->draws,
                                        .ring = RING,
                                        .places = d->places,
                                        .last_place = 6,
                                        .log_probabilities = true,
                                        .top = d->top,
                                        .tops = c->tops});
}

static int by_id(const void *a, const void *b)
{
    const gp_candidate *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static void agrees(parity *p, const sample_case *c)
{
    static drawn ref, cpu;
    gp_tensor logits;
    make_logits(p, c, &logits);
    parity_plan(p, c->B, 1, 1, 1, c->V, false);
    draw(p, p->ref, c, &logits, &ref);
    draw(p, p->cpu, c, &logits, &cpu);
    for (int b = 0; b < c->B; b++)
        if (ref.ids[b] != cpu.ids[b])
            fail_msg("row %d: V %d, vocab %d, scale %g, temperature %g, top_k %d, top_p %g, min_p %g, penalty %g, "
                     "values %d, hidden %d: drawn %d, expected %d",
                     b, c->V, c->vocab, (double)c->scale, (double)c->temperature, c->top_k, (double)c->top_p,
                     (double)c->min_p, c->penalty, c->values, c->hidden, cpu.ids[b], ref.ids[b]);
    assert_memory_equal(cpu.positions, ref.positions, sizeof ref.positions);
    assert_memory_equal(cpu.places, ref.places, sizeof ref.places);
    for (int i = 0; i < c->B * RING; i++) /* 0 and -0 are equal */
        assert_true(cpu.draws[i].id == ref.draws[i].id && !(cpu.draws[i].logit != ref.draws[i].logit) &&
                    !(cpu.draws[i].max != ref.draws[i].max) && !(cpu.draws[i].sum != ref.draws[i].sum));
    assert_memory_equal(cpu.seen, ref.seen, (size_t)(c->B * c->V));
    for (int i = 0; i < c->B * RING; i++) {
        qsort(ref.top + i * c->tops, (size_t)c->tops, sizeof *ref.top, by_id);
        qsort(cpu.top + i * c->tops, (size_t)c->tops, sizeof *cpu.top, by_id);
    }
    assert_memory_equal(cpu.top, ref.top, sizeof ref.top);
    parity_forget(p);
}

static void draws_agree_at_lengths_about_a_strip(void **state)
{
    static const int vocabs[] = {1, 2, 3, 15, 16, 17, 33, 127, 128, 129, 255, 257, 384, 1000};
    for (size_t i = 0; i < ARRAY_LEN(vocabs); i++)
        for (int k = 0; k < 8; k++)
            agrees(*state, &(sample_case){.B = 9,
                                          .V = vocabs[i] + k % 3,
                                          .vocab = vocabs[i],
                                          .scale = 2,
                                          .temperature = 1,
                                          .top_k = k & 1 ? vocabs[i] / 3 : 0,
                                          .top_p = k & 2 ? 0.7f : 1,
                                          .min_p = k & 4 ? 0.02f : 0,
                                          .tops = (int)gp_min(vocabs[i], 5)});
}

#define PICK(list, shift) list[(r >> (shift)) % ARRAY_LEN(list)]

/* Settings drawn at random, extreme ones too, each of them often off. */
static void draws_agree_whatever_is_asked_for(void **state)
{
    static const int vocabs[] = {7, 40, 129, 400, 3001};
    static const float temperatures[] = {0, 1e-38f, 0.01f, 0.7f, 1, 1, 1.7f, 30, 1e6f, 1e30f};
    static const float top_ps[] = {1, 1, 0, 1e-6f, 0.3f, 0.9f, 0.999f, 0.9999999f};
    static const float min_ps[] = {0, 0, 0, 1e-9f, 1e-3f, 0.1f, 1, 2};
    static const int top_ks[] = {0, 0, 1, 2, 7, 39, 40, 1000}, values[] = {0, 0, 1, 8}, hidden[] = {0, 0, 2, 5};
    static const float scales[] = {0, 1e-3f, 3, 3, 60, 1e30f};
    static const double penalties[] = {0, 0, 1.3, 0.6, 100};
    for (uint64_t i = 0; i < 400; i++) {
        uint64_t r = gp_random64(11, GP_RNG_DATA, 96, i);
        int vocab = PICK(vocabs, 0);
        agrees(*state, &(sample_case){.B = 1 + (int)(i % MAX_B),
                                      .V = vocab + (int)(i % 2),
                                      .vocab = vocab,
                                      .scale = PICK(scales, 4),
                                      .temperature = PICK(temperatures, 10),
                                      .top_p = PICK(top_ps, 18),
                                      .min_p = PICK(min_ps, 26),
                                      .top_k = PICK(top_ks, 34),
                                      .penalty = PICK(penalties, 40),
                                      .values = PICK(values, 46),
                                      .hidden = PICK(hidden, 50),
                                      .tops = (int)gp_min(vocab, (int64_t)(r >> 56) % 20)});
    }
}

/* GPT-2's vocabulary: peaked and flat rows, with each setting that people use. */
static void draws_agree_at_gpt2s_vocabulary(void **state)
{
    static const sample_case cases[] = {
        {.scale = 3, .temperature = 1, .top_p = 1},
        {.scale = 3, .temperature = 0.8f, .top_p = 1, .top_k = 40, .tops = MAX_TOPS},
        {.scale = 3, .temperature = 1, .top_p = 0.9f},
        {.scale = 0.1f, .temperature = 1, .top_p = 0.9f, .tops = 1},
        {.scale = 3, .temperature = 1.2f, .top_p = 0.95f, .top_k = 1000, .min_p = 0.01f, .penalty = 1.1},
        {.scale = 3, .temperature = 1, .top_p = 1, .min_p = 0.05f},
        {.scale = 1, .temperature = 1, .top_p = 1, .top_k = 40000, .values = 4},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        sample_case c = cases[i];
        c.B = 2, c.V = 50304, c.vocab = 50257;
        agrees(*state, &c);
    }
}

/* NaN and infinity anywhere give -1 on both; in the padding beyond the vocabulary they are not looked at. */
static void what_is_not_finite_is_found_at_every_place(void **state)
{
    enum { V = 300, VOCAB = 290 };
    static const float bad[] = {NAN, INFINITY};
    parity *p = *state;
    gp_tensor logits = RANDOM(p, 1, V);
    float *x = logits.data;
    parity_plan(p, 1, 1, 1, 1, V, false);
    for (int i = 0; i < 2 * V; i++) {
        float was = x[i / 2];
        int32_t sample = 3, position = 0, id = 7;
        x[i / 2] = bad[i % 2];
        p->cpu->ops->sample(p->cpu, &(gp_sample_op){.logits = &logits,
                                                    .vocab = VOCAB,
                                                    .temperature = i % 3 ? 1 : 0,
                                                    .top_p = 1,
                                                    .samples = &sample,
                                                    .positions = &position,
                                                    .ids = &id});
        assert_true((id == -1) == (i / 2 < VOCAB));
        x[i / 2] = was;
    }
    parity_forget(p);
}

/* exp of C's library. A weight is rounded to an integer. */
static void weights_are_those_of_exp(void **state)
{
    static const double temperatures[] = {0.3, 1, 7};
    for (size_t k = 0; k < ARRAY_LEN(temperatures); k++) {
        gp_draw_weights w = gp_draw_weights_of(2, temperatures[k], 0, 50257);
        assert_true(w.one == 0x1p46); /* 2^46 50257 < 2^62 */
        assert_true(gp_draw_weight(&w, 2) == (int64_t)w.one);
        for (int i = 0; i < 20000; i++) {
            double logit = 2 - 0.002 * i, want = exp((logit - 2) / temperatures[k]) * w.one;
            assert_true(fabs((double)gp_draw_weight(&w, logit) - want) <= 0.5 + 1e-13 * want);
        }
        assert_true(gp_draw_weight(&w, -INFINITY) == 0 && gp_draw_weight(&w, NAN) == 0);
    }
    (void)state;
}

static int group(const char *title)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(draws_agree_at_lengths_about_a_strip, parity_setup, parity_teardown),
        cmocka_unit_test_setup_teardown(draws_agree_whatever_is_asked_for, parity_setup, parity_teardown),
        cmocka_unit_test_setup_teardown(draws_agree_at_gpt2s_vocabulary, parity_setup, parity_teardown),
        cmocka_unit_test_setup_teardown(what_is_not_finite_is_found_at_every_place, parity_setup, parity_teardown),
        cmocka_unit_test(weights_are_those_of_exp),
    };
    return cmocka_run_group_tests_name(title, tests, NULL, NULL);
}

int main(void)
{
    return parity_run("sample", group);
}

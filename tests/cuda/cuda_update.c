/* The CUDA backend against ref: the gradients' norm and AdamW. */
#include "sides.h"

enum { MANY = 200, CHUNK_ELEMENTS = 4096 /* what a block takes at once */ };

/* Parameters, gradients and moments of all segments, one after the other, so that most begin at odd addresses. */
typedef struct update_run {
    pair p, q, g, m, v; /* q: parameters in bf16 */
    gp_segment segments[SIDES][MANY];
    int count;
    pair_step step;
} update_run;

/* moment_shift: elements by which m lies off from where g does. narrow: every other segment is bf16. */
static update_run update_open_as(sides *s, const int64_t *counts, int count, int64_t moment_shift, bool narrow,
                                 gp_step step)
{
    update_run r = {.count = count};
    int64_t total = moment_shift;
    for (int i = 0; i < count; i++)
        total += counts[i];
    r.p = sides_random(s, FP32, 0.1, 1, &total);
    r.q = sides_random(s, BF16, 0.1, 1, &total);
    r.g = sides_random(s, FP32, 3, 1, &total);
    r.m = sides_random(s, FP32, 1, 1, &total);
    r.v = sides_random(s, FP32, 1, 1, &total);
    float *v = sides_read(s, REF, ON(r.v, REF));
    for (int64_t i = 0; i < total; i++)
        v[i] = fabsf(v[i]);
    for (int side = 0; side < SIDES; side++) {
        sides_write(s, side, ON(r.v, side), v);
        int64_t at = 0;
        for (int i = 0; i < count; i++) {
            float *p = r.p.on[side].data, *g = r.g.on[side].data, *m = r.m.on[side].data, *w = r.v.on[side].data;
            uint16_t *q = r.q.on[side].data;
            r.segments[side][i] = (gp_segment){.p = p + at,
                                               .g = g + at,
                                               .m = m + at + moment_shift,
                                               .v = w + at,
                                               .count = counts[i],
                                               .weight_decay = i % 2 ? 0.1f : 0,
                                               .lr_scale = i % 3 == 2 ? 0.25f : 1,
                                               .first = at};
            if (narrow && i % 2 == 0) {
                r.segments[side][i].p = q + at;
                r.segments[side][i].dtype = GP_BF16;
            }
            at += counts[i];
        }
    }
    free(v);
    r.step = sides_step(s, step);
    sides_plan(s, &(gp_shape){.B = 1, .T = 1, .C = 1, .H = 1, .V = 1, .inner = 1, .train = true});
    return r;
}

static update_run update_open(sides *s, const int64_t *counts, int count, int64_t moment_shift, gp_step step)
{
    return update_open_as(s, counts, count, moment_shift, false, step);
}

static gp_step update_step(void)
{
    gp_step step = sides_any_step();
    step.lr = 0.02f, step.bias1 = 0.271f, step.bias2 = 0.0199f;
    return step;
}

static void norm_of(sides *s, update_run *r, int side)
{
    OP(s, side, grad_norm, r->segments[side], r->count, r->step.on[side]);
}

static void adamw_of(sides *s, update_run *r, int side)
{
    OP(s, side, adamw, &(gp_adamw_op){r->segments[side], r->count, 0.9f, 0.95f, 1e-8f, r->step.on[side]});
}

static void steps_agree(sides *s, update_run *r)
{
    gp_step want = sides_step_of(s, &r->step, REF), got = sides_step_of(s, &r->step, DEVICE);
    assert_float_equal(got.grad_norm, want.grad_norm, 1e-6f * want.grad_norm);
    assert_float_equal(got.clip_scale, want.clip_scale, 1e-6f * want.clip_scale);
    assert_int_equal(got.skip, want.skip);
    assert_true(got.loss == want.loss && got.lr == want.lr && got.step == want.step);
}

static void agrees_as(sides *s, const int64_t *counts, int count, int64_t moment_shift, bool narrow)
{
    update_run r = update_open_as(s, counts, count, moment_shift, narrow, update_step());
    for (int steps = 0; steps < 2; steps++) {
        for (int side = 0; side < SIDES; side++) {
            norm_of(s, &r, side);
            adamw_of(s, &r, side);
        }
        steps_agree(s, &r);
    }
    NEAR(s, r.p, 1e-6);
    NEAR(s, r.m, 1e-6);
    NEAR(s, r.v, 1e-6);
    NEAR(s, r.g, 0);
    /* a last bit of fp32 is another bf16 number for a draw in 65536, and a further one in the second step */
    NEAR(s, r.q, 3e-4);
    sides_forget(s);
}

static void agrees(sides *s, const int64_t *counts, int count, int64_t moment_shift)
{
    agrees_as(s, counts, count, moment_shift, false);
}

static void update_agrees(void **state)
{
    sides *s = *state;
    agrees(s, (int64_t[]){1}, 1, 0);
    agrees(s, (int64_t[]){0, 3, 0}, 3, 0);
    agrees(s, (int64_t[]){CHUNK_ELEMENTS}, 1, 0);
    agrees(s, (int64_t[]){3 * CHUNK_ELEMENTS + 5, 2 * CHUNK_ELEMENTS, 17, CHUNK_ELEMENTS - 1}, 4, 0);
}

static void update_agrees_where_moments_lie_otherwise(void **state)
{
    agrees(*state, (int64_t[]){2 * CHUNK_ELEMENTS, 63}, 2, 1);
}

/* A launch's parameters hold fewer. */
static void update_agrees_for_many_segments(void **state)
{
    int64_t counts[MANY];
    for (int i = 0; i < MANY; i++)
        counts[i] = i % 7 == 0 ? 0 : 1 + i % 13;
    agrees(*state, counts, MANY, 0);
}

/* More chunks than blocks: each takes several, of several segments. */
static void update_agrees_for_large_segments(void **state)
{
    agrees(*state, (int64_t[]){490 * CHUNK_ELEMENTS, 5, 30 * CHUNK_ELEMENTS + 1}, 3, 0);
}

static void parameters_in_bf16_agree(void **state)
{
    sides *s = *state;
    int64_t counts[MANY];
    for (int i = 0; i < MANY; i++)
        counts[i] = i % 7 == 0 ? 0 : 1 + i % 13;
    agrees_as(s, (int64_t[]){1}, 1, 0, true);
    agrees_as(s, (int64_t[]){3 * CHUNK_ELEMENTS + 5, 2 * CHUNK_ELEMENTS, 17, CHUNK_ELEMENTS - 1}, 4, 0, true);
    agrees_as(s, (int64_t[]){2 * CHUNK_ELEMENTS, 64, 63}, 3, 1, true);
    agrees_as(s, (int64_t[]){490 * CHUNK_ELEMENTS, 5, 30 * CHUNK_ELEMENTS + 1}, 3, 0, true);
    agrees_as(s, counts, MANY, 0, true);
}

/* With a gradient of 0, m = 2, v = 4, both betas and both corrections 1 and 1/2, p moves by lr exactly: what is rounded
 * has the same bits on both sides, whatever order they compute in; and so has what becomes of it. */
static void what_is_drawn_has_the_same_bits(void **state)
{
    sides *s = *state;
    int64_t counts[] = {2 * CHUNK_ELEMENTS + 4, 3, CHUNK_ELEMENTS + 77, 1, 1021};
    gp_step step = update_step();
    step.lr = 0x1.8p-13f, step.bias1 = step.bias2 = 1, step.max_norm = 0;
    update_run r = update_open_as(s, counts, ARRAY_LEN(counts), 0, true, step);
    int64_t total = gp_tensor_count(&r.p.on[REF]), moved = 0;
    float *fill = gp_calloc((size_t)total, sizeof *fill), *before = sides_read(s, REF, ON(r.q, REF));
    const struct {
        pair *t;
        float x;
    } set[] = {{&r.g, 0}, {&r.m, 2}, {&r.v, 4}};
    for (int i = 0; i < 3; i++) {
        for (int64_t k = 0; k < total; k++)
            fill[k] = set[i].x;
        for (int side = 0; side < SIDES; side++)
            sides_write(s, side, ON(*set[i].t, side), fill);
    }
    for (int side = 0; side < SIDES; side++) {
        for (int i = 0; i < r.count; i++)
            r.segments[side][i].weight_decay = 0;
        norm_of(s, &r, side);
        OP(s, side, adamw, &(gp_adamw_op){r.segments[side], r.count, 0.5f, 0.25f, 0, r.step.on[side]});
    }
    NEAR(s, r.q, 0);
    float *after = sides_read(s, DEVICE, ON(r.q, DEVICE));
    for (int64_t k = 0; k < counts[0]; k++)
        moved += after[k] != before[k];
    assert_true(moved > 0 && moved < counts[0]);
    free(fill);
    free(before);
    free(after);
}

static void no_segment_is_a_norm_of_zero(void **state)
{
    sides *s = *state;
    update_run r = update_open(s, (int64_t[]){1}, 1, 0, update_step());
    r.count = 0;
    norm_of(s, &r, DEVICE);
    gp_step step = sides_step_of(s, &r.step, DEVICE);
    assert_true(step.grad_norm == 0 && step.clip_scale == 1 && step.skip == 0);
}

static void the_norm_has_the_same_bits_twice(void **state)
{
    sides *s = *state;
    update_run r = update_open(s, (int64_t[]){5 * CHUNK_ELEMENTS + 3, 999}, 2, 0, update_step());
    norm_of(s, &r, DEVICE);
    gp_step first = sides_step_of(s, &r.step, DEVICE);
    norm_of(s, &r, DEVICE);
    gp_step second = sides_step_of(s, &r.step, DEVICE);
    assert_memory_equal(&first, &second, sizeof first);
}

/* Writes one gradient of both sides. */
static void put_gradient(sides *s, update_run *r, int64_t i, float x)
{
    for (int side = 0; side < SIDES; side++) {
        OP(s, side, upload, (float *)r->g.on[side].data + i, &x, sizeof x);
        s->be[side]->ops->sync(s->be[side]);
    }
}

/* What the host writes of a step, and what it clears. */
static void put_step(sides *s, update_run *r, gp_step step)
{
    for (int side = 0; side < SIDES; side++) {
        OP(s, side, upload, r->step.on[side], &step, sizeof step);
        s->be[side]->ops->sync(s->be[side]);
    }
}

static void is_skipped(sides *s, update_run *r)
{
    pair before[] = {sides_copy(s, &r->p), sides_copy(s, &r->m), sides_copy(s, &r->v)}, *now[] = {&r->p, &r->m, &r->v};
    norm_of(s, r, DEVICE);
    assert_int_equal(sides_step_of(s, &r->step, DEVICE).skip, 1);
    adamw_of(s, r, DEVICE);
    for (int i = 0; i < 3; i++) {
        float *a = sides_read(s, DEVICE, ON(before[i], DEVICE)), *b = sides_read(s, DEVICE, ON(*now[i], DEVICE));
        assert_memory_equal(a, b, (size_t)gp_tensor_count(&r->p.on[DEVICE]) * sizeof *a);
        free(a);
        free(b);
    }
}

static void a_gradient_that_is_not_finite_skips_the_step(void **state)
{
    sides *s = *state;
    static const int64_t places[] = {0, 2 * CHUNK_ELEMENTS + 77, 3 * CHUNK_ELEMENTS + 4}; /* whole chunks and not */
    update_run r = update_open(s, (int64_t[]){3 * CHUNK_ELEMENTS + 5, 9}, 2, 0, update_step());
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        put_gradient(s, &r, places[i], NAN);
        is_skipped(s, &r);
        put_gradient(s, &r, places[i], -INFINITY);
        is_skipped(s, &r);
        put_gradient(s, &r, places[i], 0);
        is_skipped(s, &r); /* the host has not received of it yet */
        put_step(s, &r, update_step());
        norm_of(s, &r, DEVICE);
        assert_int_equal(sides_step_of(s, &r.step, DEVICE).skip, 0);
    }
}

static void a_loss_that_is_not_finite_skips_the_step(void **state)
{
    sides *s = *state;
    static const double losses[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < ARRAY_LEN(losses); i++) {
        gp_step step = update_step();
        step.loss = losses[i];
        update_run r = update_open(s, (int64_t[]){CHUNK_ELEMENTS + 1}, 1, 0, step);
        is_skipped(s, &r);
        sides_forget(s);
    }
}

/* Gradients 3 and 4: the norm is 5. And so small that the 1e-6 of PyTorch's clip_grad_norm_ shows: 1 / (5 + 1). */
static void gradients_are_clipped_to_the_largest_norm_allowed(void **state)
{
    sides *s = *state;
    static const struct {
        float unit, max_norm, clip_scale;
    } cases[] = {{1, 2.5f, 0.5f}, {1, 5.1f, 1}, {1, 0, 1}, {1, -1, 1}, {1e-6f, 1e-6f, 1 / 6.0f}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        gp_step step = update_step();
        step.max_norm = cases[i].max_norm;
        update_run r = update_open(s, (int64_t[]){1, 1}, 2, 0, step);
        put_gradient(s, &r, 0, 3 * cases[i].unit);
        put_gradient(s, &r, 1, 4 * cases[i].unit);
        norm_of(s, &r, DEVICE);
        step = sides_step_of(s, &r.step, DEVICE);
        assert_float_equal(step.grad_norm, 5 * cases[i].unit, 1e-6f * cases[i].unit);
        assert_float_equal(step.clip_scale, cases[i].clip_scale, 1e-6);
        sides_forget(s);
    }
}

/* One graph for all steps: what differs is read from the step where it lies. */
static void a_recorded_update_follows_the_step(void **state)
{
    sides *s = *state;
    gp_recording *recording[SIDES] = {NULL};
    update_run r = update_open_as(s, (int64_t[]){CHUNK_ELEMENTS + 7, 9, 64}, 3, 0, true, update_step());
    for (int round = 0; round < 4; round++) {
        gp_step step = update_step();
        step.lr = 0.01f * (float)(round + 1);
        step.step = (uint32_t)round;
        put_step(s, &r, step);
        put_gradient(s, &r, round, (float)round);
        for (int side = 0; side < SIDES; side++)
            if (OP(s, side, record_begin, &recording[side]))
                do {
                    norm_of(s, &r, side);
                    adamw_of(s, &r, side);
                } while (!OP(s, side, record_end, &recording[side]));
        steps_agree(s, &r);
    }
    NEAR(s, r.p, 1e-6);
    NEAR(s, r.q, 3e-4);
    for (int side = 0; side < SIDES; side++)
        OP(s, side, record_free, &recording[side]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIDES_TEST(update_agrees),
        SIDES_TEST(update_agrees_where_moments_lie_otherwise),
        SIDES_TEST(update_agrees_for_many_segments),
        SIDES_TEST(update_agrees_for_large_segments),
        SIDES_TEST(parameters_in_bf16_agree),
        SIDES_TEST(what_is_drawn_has_the_same_bits),
        SIDES_TEST(no_segment_is_a_norm_of_zero),
        SIDES_TEST(the_norm_has_the_same_bits_twice),
        SIDES_TEST(a_gradient_that_is_not_finite_skips_the_step),
        SIDES_TEST(a_loss_that_is_not_finite_skips_the_step),
        SIDES_TEST(gradients_are_clipped_to_the_largest_norm_allowed),
        SIDES_TEST(a_recorded_update_follows_the_step),
    };
    return sides_run("cuda update", "fp32", tests, ARRAY_LEN(tests)); /* all of it is fp32, whatever products are */
}

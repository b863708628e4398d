/* sides.h: for tests that run an op on the CUDA backend and on ref, on the same numbers. Linked with the simulator it
 * is a cusim_ test, linked with CUDA one for a device.
 *
 *     static void norm_agrees(void **state)
 *     {
 *         sides *s = *state;
 *         pair x = RANDOM(s, ACT, 2, 3, 17), gamma = RANDOM(s, FP32, 17), y = EMPTY(s, ACT, 2, 3, 17), ...;
 *         sides_plan(s, &(gp_shape){.B = 2, ...});
 *         for (int i = 0; i < SIDES; i++)
 *             OP(s, i, norm_forward, &(gp_norm_op){.residual = ON(x, i), .y = ON(y, i), ...});
 *         NEAR(s, y, s->tolerance);
 *     }
 *     int main(void) { ... return sides_main("cuda norm", tests, ARRAY_LEN(tests)); }
 *
 * What is made is freed when the test ends. Each program runs its tests in fp32 and, where the device has it, in bf16
 * (and what reads weights in "narrow" too: bf16 without masters), on both sides: ref rounds where the device stores
 * bf16 (backend/ref), so what is left between them is a last bit here and there, where sums in another order fall on
 * different sides of a rounding. Activations are drawn as numbers that bf16 holds. */
#ifndef GPTPIPE_SIDES_H
#define GPTPIPE_SIDES_H

#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backend/backend.h"
#include "base/rng.h"

enum { REF, DEVICE, SIDES, SIDES_MAX = 512 };

/* Stored as activations are; in fp32 always; as matrices among the parameters are, a table with what is held behind it;
 * in bf16 always. */
typedef enum sides_kind { ACT, FP32, MATRIX, TABLE, BF16 } sides_kind;

typedef struct sides {
    gp_backend *be[SIDES];
    double tolerance; /* norm-wise, of one op on many numbers */
    double one;       /* what a single one may be off by: a step of its dtype, where both are as near */
    uint64_t drawn;
    struct {
        int side;
        void *p;
        size_t bytes;
    } memory[SIDES_MAX];
    int count;
} sides;

/* The same numbers on both sides. */
typedef struct pair {
    gp_tensor on[SIDES];
} pair;

typedef struct pair_ids {
    int32_t *on[SIDES];
} pair_ids;

typedef struct pair_step {
    gp_step *on[SIDES];
} pair_step;

#define ON(what, side)         (&(what).on[side])
#define OP(s, side, name, ...) (s)->be[side]->ops->name((s)->be[side], __VA_ARGS__)
#define DIMS(...)                                                                                                      \
    (int)ARRAY_LEN(((int64_t[]){__VA_ARGS__})), (int64_t[])                                                            \
    {                                                                                                                  \
        __VA_ARGS__                                                                                                    \
    }
#define RANDOM(s, kind, ...)   sides_random(s, kind, 1, DIMS(__VA_ARGS__))
#define EMPTY(s, kind, ...)    sides_random(s, kind, 0, DIMS(__VA_ARGS__)) /* NaNs: to be written */
#define NEAR(s, what, allowed) sides_near(s, #what, __LINE__, &(what), allowed)

static const char *sides_dtype;

/* Exactly that many bytes, so that one too far is seen. */
static inline void *sides_take(sides *s, int side, size_t bytes)
{
    void *p = s->be[side]->ops->alloc(s->be[side], bytes);
    assert_true(s->count < SIDES_MAX);
    s->memory[s->count].side = side;
    s->memory[s->count].p = p;
    s->memory[s->count++].bytes = bytes;
    return p;
}

static inline void sides_forget(sides *s)
{
    while (s->count) {
        s->count--;
        gp_backend *be = s->be[s->memory[s->count].side];
        be->ops->free(be, s->memory[s->count].p, s->memory[s->count].bytes);
    }
}

/* Numbers of the host into a tensor of either side, in its dtype. */
static inline void sides_write(sides *s, int side, gp_tensor *t, const float *from)
{
    size_t bytes = (size_t)gp_tensor_bytes(t);
    void *stored = gp_malloc(bytes);
    gp_from_f32(stored, t->dtype, from, gp_tensor_count(t));
    OP(s, side, upload, t->data, stored, bytes);
    s->be[side]->ops->sync(s->be[side]);
    free(stored);
}

/* A tensor's numbers as fp32; the caller frees them. */
static inline float *sides_read(sides *s, int side, const gp_tensor *t)
{
    size_t bytes = (size_t)gp_tensor_bytes(t);
    void *stored = gp_malloc(bytes);
    float *x = gp_calloc((size_t)gp_tensor_count(t), sizeof *x);
    OP(s, side, download, stored, t->data, bytes);
    gp_to_f32(x, stored, t->dtype, gp_tensor_count(t));
    free(stored);
    return x;
}

static inline gp_dtype sides_stored(const gp_backend *be, sides_kind kind)
{
    switch (kind) {
    case ACT:
        return be->act_dtype;
    case MATRIX:
    case TABLE:
        return be->matrix_dtype;
    case BF16:
        return GP_BF16;
    default:
        return GP_F32;
    }
}

/* Normal random numbers times `scale`; with 0, NaNs. */
static inline pair sides_random(sides *s, sides_kind kind, double scale, int ndim, const int64_t *dims)
{
    pair t;
    for (int side = 0; side < SIDES; side++) {
        t.on[side] = (gp_tensor){.dtype = sides_stored(s->be[side], kind), .ndim = ndim};
        memcpy(t.on[side].dim, dims, (size_t)ndim * sizeof *dims);
        gp_tensor held = t.on[side];
        if (kind == TABLE && held.dtype == GP_BF16)
            held.dim[0] = (int64_t)gp_round_up((size_t)held.dim[0], GP_PAD_ROWS);
        t.on[side].data = sides_take(s, side, (size_t)gp_tensor_bytes(&held));
    }
    int64_t n = gp_tensor_count(&t.on[REF]);
    float *x = gp_malloc((size_t)n * sizeof *x), two[2];
    for (int64_t i = 0; i < n; i++) {
        if (i % 2 == 0)
            gp_random_normal2(7, GP_RNG_INIT, 99, s->drawn++, two);
        x[i] = scale == 0 ? NAN : (float)scale * two[i % 2];
    }
    if (kind != FP32 && sides_stored(s->be[DEVICE], kind) == GP_BF16 && scale != 0) {
        uint16_t *narrow = gp_malloc((size_t)n * sizeof *narrow);
        gp_from_f32(narrow, GP_BF16, x, n);
        gp_to_f32(x, narrow, GP_BF16, n);
        free(narrow);
    }
    for (int side = 0; side < SIDES; side++)
        sides_write(s, side, &t.on[side], x);
    free(x);
    return t;
}

/* A second tensor with the same numbers: what += adds to, kept apart. */
static inline pair sides_copy(sides *s, const pair *from)
{
    pair t = *from;
    for (int side = 0; side < SIDES; side++) {
        size_t bytes = (size_t)gp_tensor_bytes(&from->on[side]);
        t.on[side].data = sides_take(s, side, bytes);
        OP(s, side, copy, t.on[side].data, from->on[side].data, bytes);
    }
    return t;
}

static inline pair_ids sides_ids(sides *s, const int32_t *ids, int64_t n)
{
    pair_ids p;
    for (int side = 0; side < SIDES; side++) {
        p.on[side] = sides_take(s, side, (size_t)n * sizeof *ids);
        OP(s, side, upload, p.on[side], ids, (size_t)n * sizeof *ids);
        s->be[side]->ops->sync(s->be[side]);
    }
    return p;
}

/* ids below `limit` */
static inline pair_ids sides_random_ids(sides *s, int64_t n, int64_t limit)
{
    int32_t *ids = gp_malloc((size_t)n * sizeof *ids);
    for (int64_t i = 0; i < n; i++)
        ids[i] = (int32_t)gp_random_below(7, GP_RNG_DATA, 98, s->drawn++, (uint64_t)limit);
    pair_ids p = sides_ids(s, ids, n);
    free(ids);
    return p;
}

static inline pair_step sides_step(sides *s, gp_step step)
{
    pair_step p;
    for (int side = 0; side < SIDES; side++) {
        p.on[side] = sides_take(s, side, sizeof step);
        OP(s, side, upload, p.on[side], &step, sizeof step);
        s->be[side]->ops->sync(s->be[side]);
    }
    return p;
}

/* The step as the ops of a side left it. */
static inline gp_step sides_step_of(sides *s, const pair_step *p, int side)
{
    gp_step step;
    OP(s, side, download, &step, p->on[side], sizeof step);
    return step;
}

/* Some step in the middle of a run. */
static inline gp_step sides_any_step(void)
{
    return (gp_step){.seed = 1234567890123u, .step = 41, .sample0 = 24, .scale = 0.01f, .max_norm = 1};
}

static inline void sides_plan(sides *s, const gp_shape *shape)
{
    for (int side = 0; side < SIDES; side++)
        gp_backend_plan(s->be[side], shape);
}

/* ||device - ref|| / ||ref||; a NaN on either side makes it NaN. */
static inline double sides_error(sides *s, const pair *t)
{
    float *want = sides_read(s, REF, &t->on[REF]), *got = sides_read(s, DEVICE, &t->on[DEVICE]);
    double difference = 0, norm = 0;
    for (int64_t i = 0; i < gp_tensor_count(&t->on[REF]); i++) {
        difference += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
        norm += (double)want[i] * want[i];
    }
    free(want);
    free(got);
    return difference == 0 ? 0 : sqrt(difference / (norm > 0 ? norm : 1));
}

/* The three numbers that are furthest apart, as "[17] 0.5, expected 0.25", and how many differ; the caller frees it. */
static inline char *sides_worst(sides *s, const pair *t)
{
    enum { SHOWN = 3 };
    float *want = sides_read(s, REF, &t->on[REF]), *got = sides_read(s, DEVICE, &t->on[DEVICE]);
    int64_t n = gp_tensor_count(&t->on[REF]), differ = 0, worst[SHOWN], shown = 0;
    for (int64_t i = 0; i < n; i++) {
        double off = fabs((double)got[i] - want[i]);
        differ += !(off <= 0);
        int64_t at = shown < SHOWN ? shown : SHOWN;
        while (at > 0 && off > fabs((double)got[worst[at - 1]] - want[worst[at - 1]]))
            at--;
        if (off <= 0 || at == SHOWN)
            continue;
        shown = shown < SHOWN ? shown + 1 : SHOWN;
        memmove(worst + at + 1, worst + at, (size_t)(shown - 1 - at) * sizeof *worst);
        worst[at] = i;
    }
    gp_buf text = {0};
    gp_buf_printf(&text, "%lld of %lld differ", (long long)differ, (long long)n);
    for (int64_t k = 0; k < shown; k++)
        gp_buf_printf(&text, "; [%lld] %.9g, expected %.9g", (long long)worst[k], (double)got[worst[k]],
                      (double)want[worst[k]]);
    free(want);
    free(got);
    return text.data;
}

static inline void sides_near(sides *s, const char *what, int line, const pair *t, double allowed)
{
    char shape[64];
    double error = sides_error(s, t), count = (double)gp_tensor_count(&t->on[REF]);
    allowed = sqrt(allowed * allowed + s->one * s->one / count); /* of few numbers one counts for more */
    if (!(error <= allowed))
        fail_msg("line %d: %s %s: relative error %.3g, allowed %.2g: %s", line, what,
                 gp_tensor_format(&t->on[REF], shape, sizeof shape), error, allowed, sides_worst(s, t));
}

static inline int sides_setup(void **state)
{
    sides *s = gp_calloc(1, sizeof *s);
    bool tf32 = !strcmp(sides_dtype, "tf32"), narrow = !strcmp(sides_dtype, "narrow");
    bool bf16 = narrow || !strcmp(sides_dtype, "bf16");
    s->be[REF] = gp_backend_open("ref", tf32 ? "fp32" : narrow ? "bf16" : sides_dtype, 1);
    s->be[DEVICE] = gp_backend_open("cuda", narrow ? "bf16" : sides_dtype, 0);
    s->tolerance = bf16 ? 4e-3 : tf32 ? 2e-3 : 1e-5;
    s->one = bf16 ? 1.0 / 128 : 0; /* a device that sums in another order rounds it the other way now and then */
    *state = s;
    for (int side = 0; side < SIDES; side++)
        if (!s->be[side] || (narrow && gp_backend_drop_masters(s->be[side])))
            return -1;
    return 0;
}

static inline int sides_teardown(void **state)
{
    sides *s = *state;
    sides_forget(s);
    for (int side = 0; side < SIDES; side++)
        gp_backend_close(s->be[side]);
    free(s);
    return 0;
}

/* For the end of each test, so that a failed one leaves nothing to the next, */
static inline int sides_end(void **state)
{
    sides *s = *state;
    s->drawn = 0; /* and draws the same numbers whatever became of the one before */
    sides_forget(s);
    return 0;
}

#define SIDES_TEST(function) cmocka_unit_test_teardown(function, sides_end)

#define sides_main(name, tests)                                                                                        \
    (sides_run(name, "fp32", (tests), ARRAY_LEN(tests)) + sides_run(name, "bf16", (tests), ARRAY_LEN(tests)))

static inline int sides_run(const char *name, const char *dtype, const struct CMUnitTest *tests, size_t count)
{
    sides_dtype = dtype;
    gp_backend *be = gp_backend_open("cuda", strcmp(dtype, "narrow") ? dtype : "bf16", 0);
    if (!be) {
        print_message("skipped: %s, %s: %s\n", name, dtype, gp_error());
        return 0;
    }
    char *title = gp_format("%s, %s, %s", name, dtype, be->device);
    gp_backend_close(be);
    int failed = _cmocka_run_group_tests(title, tests, count, sides_setup, sides_teardown);
    free(title);
    return failed;
}

#endif

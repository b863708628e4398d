/* parity.h: for tests that run an op of backend cpu and of ref on the same numbers.
 *
 * Every program runs its tests once a level of instructions that the processor has, and once in bf16; what
 * cannot run here is said. */
#ifndef GPTPIPE_PARITY_H
#define GPTPIPE_PARITY_H

#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backend/backend.h"
#include "backend/cpu/cpu.h"
#include "base/rng.h"

enum { PARITY_THREADS = 2, PARITY_MAX = 256 };

typedef struct parity {
    gp_backend *ref, *cpu;
    void *memory[PARITY_MAX]; /* freed when the test ends */
    int count;
    uint64_t drawn;
    double tolerance; /* of products: bf16 rounds their inputs */
} parity;

static const char *parity_dtype;

static const double parity_close = 1e-5; /* of everything that is computed in fp32 */

static inline int parity_setup(void **state)
{
    parity *p = gp_calloc(1, sizeof *p);
    p->ref = gp_backend_open("ref", "fp32", PARITY_THREADS);
    p->cpu = gp_backend_open("cpu", parity_dtype, PARITY_THREADS);
    if (p->cpu)
        ((gp_cpu *)p->cpu->state)->split_ps = 0; /* small shapes are cut for threads too */
    p->tolerance = strcmp(parity_dtype, "bf16") ? parity_close : 2e-2;
    *state = p;
    return p->ref && p->cpu ? 0 : -1;
}

static inline void parity_forget(parity *p)
{
    while (p->count)
        free(p->memory[--p->count]);
}

static inline int parity_teardown(void **state)
{
    parity *p = *state;
    parity_forget(p);
    gp_backend_close(p->ref);
    gp_backend_close(p->cpu);
    free(p);
    return 0;
}

/* Exactly that many bytes, so that a sanitizer sees one too far. */
static inline void *parity_take(parity *p, size_t bytes)
{
    void *m = NULL;
    assert_true(p->count < PARITY_MAX);
    assert_int_equal(posix_memalign(&m, 64, bytes), 0);
    return p->memory[p->count++] = m;
}

static inline gp_tensor parity_shape(parity *p, int ndim, const int64_t *dims)
{
    gp_tensor t = {.dtype = GP_F32, .ndim = ndim};
    memcpy(t.dim, dims, (size_t)ndim * sizeof *dims);
    t.data = parity_take(p, (size_t)gp_tensor_bytes(&t));
    return t;
}

/* A tensor of normal random numbers; dims in braces: RANDOM(p, 2, 3, 5). */
static inline gp_tensor parity_random(parity *p, int ndim, const int64_t *dims)
{
    gp_tensor t = parity_shape(p, ndim, dims);
    float *x = t.data, pair[2];
    for (int64_t i = 0; i < gp_tensor_count(&t); i++) {
        if (i % 2 == 0)
            gp_random_normal2(7, GP_RNG_INIT, 99, p->drawn++, pair);
        x[i] = pair[i % 2];
    }
    return t;
}
#define RANDOM(p, ...) parity_random(p, (int)ARRAY_LEN(((int64_t[]){__VA_ARGS__})), (int64_t[]){__VA_ARGS__})

static inline gp_tensor parity_copy(parity *p, const gp_tensor *t)
{
    gp_tensor c = parity_shape(p, t->ndim, t->dim);
    memcpy(c.data, t->data, (size_t)gp_tensor_bytes(t));
    return c;
}

/* ids below `limit` */
static inline int32_t *parity_ids(parity *p, int64_t n, int64_t limit)
{
    int32_t *ids = parity_take(p, (size_t)n * sizeof *ids);
    for (int64_t i = 0; i < n; i++)
        ids[i] = (int32_t)gp_random_below(7, GP_RNG_DATA, 98, p->drawn++, (uint64_t)limit);
    return ids;
}

static inline void parity_plan(parity *p, int64_t B, int64_t T, int64_t C, int64_t H, int64_t V, bool train)
{
    gp_shape shape = {.B = (int)B, .T = (int)T, .C = (int)C, .H = (int)H, .V = (int)V};
    shape.inner = 4 * shape.C;
    shape.cache = shape.T;
    shape.train = train;
    gp_backend_plan(p->ref, &shape);
    gp_backend_plan(p->cpu, &shape);
}

/* ||got - want|| / ||want|| */
static inline double parity_error(const gp_tensor *got, const gp_tensor *want)
{
    const float *a = got->data, *b = want->data;
    double difference = 0, norm = 0;
    for (int64_t i = 0; i < gp_tensor_count(want); i++) {
        difference += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        norm += (double)b[i] * b[i];
    }
    if (difference == 0)
        return 0;
    return sqrt(difference / (norm > 0 ? norm : 1));
}

static inline void parity_assert(const char *what, int line, const gp_tensor *got, const gp_tensor *want,
                                 double tolerance)
{
    char shape[64];
    double error = parity_error(got, want);
    if (!(error <= tolerance)) /* a NaN fails too */
        fail_msg("line %d: %s %s: relative error %.3g, allowed %.0e", line, what,
                 gp_tensor_format(want, shape, sizeof shape), error, tolerance);
}
#define ASSERT_NEAR(got, want, tolerance) parity_assert(#got, __LINE__, &(got), &(want), tolerance)

static inline bool parity_same_bits(const gp_tensor *a, const gp_tensor *b)
{
    return !memcmp(a->data, b->data, (size_t)gp_tensor_bytes(a));
}

static inline bool parity_any_nan(const gp_tensor *t)
{
    const float *x = t->data;
    for (int64_t i = 0; i < gp_tensor_count(t); i++)
        if (isnan(x[i]))
            return true;
    return false;
}

static inline gp_step parity_step(void)
{
    return (gp_step){.seed = 1234567890123u, .step = 41, .sample0 = 24, .scale = 0.01f, .max_norm = 1};
}

/* Runs a group of tests at every level of instructions, then in bf16. Returns main's value. */
static inline int parity_run(const char *name, int (*group)(const char *title))
{
#ifdef __aarch64__
    static const char *const levels[] = {"neon"};
#else
    static const char *const levels[] = {"baseline", "avx2", "avx512", "amx"};
#endif
    int failed = 0;
    for (size_t i = 0; i <= ARRAY_LEN(levels); i++) {
        bool bf16 = i == ARRAY_LEN(levels);
        parity_dtype = bf16 ? "bf16" : "fp32";
        if (bf16)
            unsetenv("GPTPIPE_SIMD");
        else
            setenv("GPTPIPE_SIMD", levels[i], 1);
        gp_backend *be = gp_backend_open("cpu", parity_dtype, 1);
        if (!be) {
            print_message("skipped: %s, %s: %s\n", name, bf16 ? "bf16" : levels[i], gp_error());
            failed += i == 0; /* the first runs everywhere */
            continue;
        }
        char *title = gp_format("%s, %s, %s", name, parity_dtype, be->device);
        gp_backend_close(be);
        failed += group(title);
        free(title);
    }
    return failed ? 1 : 0;
}

#endif

/* gradients.h: for the tests that hold every backward op against central differences of its forward, in
 * double.
 *
 * ref is compiled a second time with real = double (tests/CMakeLists.txt puts 64 behind its names). For an op
 * with outputs y and given gradients dy, the loss is the sum of y * dy; what backward gives for an input must
 * be the slope of that loss. Gradients of parameters start from random numbers, since they accumulate;
 * gradients of activations start as NaN, since they are written. */
#ifndef GRADIENTS_H
#define GRADIENTS_H

#include "backend/backend.h"
#include "base/rng.h"
#include "gptpipe/tensor.h"
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int gp_ref_open64(gp_backend *be);

static gp_backend be;
static gp_arena pool;    /* all tensors of a test */
static uint32_t tensors; /* made so far: each has its own random numbers */
static gp_step step = {.seed = 7, .step = 3, .sample0 = 5, .scale = 0.37f};

static inline int setup(void **state)
{
    (void)state;
    be = (gp_backend){.threads = 1, .dtype = GP_F32};
    pool = (gp_arena){.name = "test"};
    gp_arena_take(&pool, 1 << 20);
    gp_arena_allocate(&pool, gp_host_memory);
    tensors = 0;
    return gp_ref_open64(&be);
}

static inline int teardown(void **state)
{
    (void)state;
    gp_arena_release(&pool);
    if (be.workspace)
        be.ops->free(&be, be.workspace, be.workspace_size);
    return 0;
}

static inline double *numbers(const gp_tensor *t)
{
    return t->data;
}

/* A tensor of doubles in -1..1; unused sizes are 0. */
static inline gp_tensor random_tensor(int d0, int d1, int d2)
{
    gp_tensor t = gp_tensor_view(NULL, GP_F64, 1 + (d1 > 0) + (d2 > 0), d0, d1, d2);
    gp_arena_tensor(&pool, &t);
    for (int64_t i = 0; i < gp_tensor_count(&t); i++)
        numbers(&t)[i] = 2 * gp_random_double(1, 100, tensors, (uint64_t)i) - 1;
    tensors++;
    return t;
}

/* Shaped like t, all NaN: to be written. */
static inline gp_tensor unwritten(const gp_tensor *t)
{
    gp_tensor u = *t;
    gp_arena_tensor(&pool, &u);
    for (int64_t i = 0; i < gp_tensor_count(&u); i++)
        numbers(&u)[i] = NAN;
    return u;
}

/* A parameter, its gradient, and what the gradient was before backward. */
typedef struct param {
    gp_tensor value, grad, before;
} param;

static inline param random_param(int d0, int d1)
{
    param p = {random_tensor(d0, d1, 0), random_tensor(d0, d1, 0), {0}};
    p.before = unwritten(&p.grad);
    memcpy(p.before.data, p.grad.data, (size_t)gp_tensor_bytes(&p.grad));
    return p;
}

/* sum of y * dy */
static inline double weighted(const gp_tensor *y, const gp_tensor *dy)
{
    double sum = 0;
    for (int64_t i = 0; i < gp_tensor_count(y); i++)
        sum += numbers(y)[i] * numbers(dy)[i];
    return sum;
}

typedef double loss_of(const void *op);

/* (loss(x + h) - loss(x - h)) / 2h for element i of x */
static inline double slope(const gp_tensor *x, int64_t i, loss_of *loss, const void *op)
{
    const double h = 1e-5;
    double old = numbers(x)[i];
    numbers(x)[i] = old + h;
    double up = loss(op);
    numbers(x)[i] = old - h;
    double down = loss(op);
    numbers(x)[i] = old;
    return (up - down) / (2 * h);
}

/* grad - before (or grad) is the slope along every element of x, to 1e-6 of the largest slope; row
 * `untouched` (or -1) must not have changed. */
static inline void check_rows(const char *name, const gp_tensor *x, const gp_tensor *grad, const gp_tensor *before,
                              int64_t untouched, loss_of *loss, const void *op)
{
    int64_t n = gp_tensor_count(x), width = n / x->dim[0];
    double largest = 0, worst = 0;
    for (int64_t i = 0; i < n; i++) {
        double got = numbers(grad)[i] - (before ? numbers(before)[i] : 0);
        double want = i / width == untouched ? 0 : slope(x, i, loss, op);
        largest = fmax(largest, fabs(want));
        worst = isnan(got) ? INFINITY : fmax(worst, fabs(got - want));
    }
    if (!(worst <= 1e-6 * largest) || largest == 0)
        fail_msg("%s: differs by %g where the largest slope is %g", name, worst, largest);
}

static inline void check(const char *name, const gp_tensor *x, const gp_tensor *grad, loss_of *loss, const void *op)
{
    check_rows(name, x, grad, NULL, -1, loss, op);
}

static inline void check_param(const char *name, const param *p, loss_of *loss, const void *op)
{
    check_rows(name, &p->value, &p->grad, &p->before, -1, loss, op);
}

static inline void plan(int B, int T, int C, int H, int V)
{
    gp_backend_plan(&be, &(gp_shape){.B = B, .T = T, .C = C, .H = H, .V = V, .inner = 4 * C, .train = true});
}

static inline gp_dropout dropout(double p)
{
    return (gp_dropout){.p = (float)p, .site = 11, .step = &step};
}

#endif

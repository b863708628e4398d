/* measure.c: the measured peak of a machine; see gptpipe/measure.h. */
#include "backend/measure.h"
#include "base/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void gp_fill_normal(gp_backend *be, const gp_tensor *t)
{
    enum { NUMBERS = 4096 };
    float x[NUMBERS], stored[NUMBERS];
    size_t all = (size_t)gp_tensor_bytes(t), done = (size_t)NUMBERS * (size_t)gp_dtype_size(t->dtype);
    for (int i = 0; i < NUMBERS; i += 2)
        gp_random_normal2(1, GP_RNG_INIT, 0, (uint64_t)i, x + i);
    gp_from_f32(stored, t->dtype, x, NUMBERS);
    done = done < all ? done : all;
    be->ops->upload(be, t->data, stored, done);
    for (; done < all; done *= 2)
        be->ops->copy(be, (char *)t->data + done, t->data, done < all - done ? done : all - done);
    be->ops->sync(be);
}

/* Ops issued before the host waits: on an asynchronous device the wait takes longer than a small op. */
static int at_once(const gp_backend *be)
{
    return be->later ? 8 : 1;
}

/* The min seconds of an op, issued at_once at a time, for `seconds` and at least 3 rounds; the first round is a
 * warm-up. */
static double min_time(gp_backend *be, double seconds, void (*op)(gp_backend *be, void *self), void *self)
{
    double best = 1e30, end = gp_now() + seconds;
    for (int runs = 0; runs < 3 || gp_now() < end; runs++) {
        double begin = gp_now();
        for (int i = 0; i < at_once(be); i++)
            op(be, self);
        be->ops->sync(be);
        double seconds_each = (gp_now() - begin) / at_once(be);
        if (runs && seconds_each < best)
            best = seconds_each;
    }
    return best;
}

static size_t free_memory(gp_backend *be)
{
    size_t available, total;
    be->ops->available_memory(be, &available, &total);
    return available;
}

/* (n,n) products in the dtypes of a model. */
typedef struct squares {
    gp_backend *be;
    gp_tensor x, y;
    gp_weight w;
    size_t slot;
    char *workspace; /* the backend's own workspace, restored by squares_close */
    size_t workspace_size;
} squares;

static void squares_open(squares *s, gp_backend *be, int64_t n)
{
    const gp_backend_ops *ops = be->ops;
    gp_tensor square = {.dtype = be->act_dtype, .ndim = 2, .dim = {n, n}};
    *s = (squares){.be = be,
                   .x = square,
                   .y = square,
                   .w = {.w = square},
                   .workspace = be->workspace,
                   .workspace_size = be->workspace_size};
    be->workspace = NULL;
    be->workspace_size = 0;
    s->w.w.dtype = GP_F32;
    gp_tensor *all[] = {&s->x, &s->y, &s->w.w};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        all[i]->data = ops->alloc(be, (size_t)gp_tensor_bytes(all[i]));
        gp_fill_normal(be, all[i]);
    }
    gp_shape shape = {.B = 1, .T = (int)n, .C = (int)n, .H = (int)n, .V = 1, .inner = (int)n}; /* H: small heads */
    gp_backend_plan(be, &shape);
    gp_weight *list = &s->w;
    ops->weight_open(be, &s->w, n);
    s->slot = ops->weight_bytes(be, &s->w);
    s->w.slot = s->slot ? ops->alloc(be, s->slot) : NULL;
    ops->weights_changed(be, &list, 1);
}

static void squares_close(squares *s)
{
    const gp_backend_ops *ops = s->be->ops;
    ops->weight_close(s->be, &s->w);
    if (s->slot)
        ops->free(s->be, s->w.slot, s->slot);
    if (s->be->workspace)
        ops->free(s->be, s->be->workspace, s->be->workspace_size);
    s->be->workspace = s->workspace;
    s->be->workspace_size = s->workspace_size;
    gp_tensor *all[] = {&s->x, &s->y, &s->w.w};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        ops->free(s->be, all[i]->data, (size_t)gp_tensor_bytes(all[i]));
}

static void multiply(gp_backend *be, void *self)
{
    squares *s = self;
    be->ops->linear_forward(be, &(gp_linear_op){.x = &s->x, .w = &s->w, .y = &s->y});
}

/* The min seconds of an (n,n) product. */
static double best_square(gp_backend *be, int64_t n, double seconds)
{
    squares s;
    squares_open(&s, be, n);
    double best = min_time(be, seconds, multiply, &s);
    squares_close(&s);
    return best;
}

double gp_measure_peak(gp_backend *be, double seconds, double longest)
{
    enum { SMALLEST = 128, WIDEST = 8192 };
    double peak = 0, time = 0;
    for (int64_t n = SMALLEST; n <= WIDEST && time < longest; n *= 2) {
        double flops = 2.0 * (double)n * (double)n * (double)n;
        if (n > SMALLEST && (double)free_memory(be) < 16.0 * 4 * (double)(n * n)) /* four squares, with margin */
            break;
        time = best_square(be, n, seconds);
        peak = fmax(peak, flops / time);
    }
    return peak;
}

double gp_peak_best(gp_backend *be, double seconds, double longest, double *lowest)
{
    enum { TRIALS = 5 };
    const struct timespec pause = {0, 20 * 1000 * 1000};
    int trials = be->later ? 1 : TRIALS;
    double best = 0, worst = 0;
    for (int i = 0; i < trials; i++) {
        if (i)
            nanosleep(&pause, NULL);
        double peak = gp_measure_peak(be, seconds / trials, longest);
        best = fmax(best, peak);
        worst = i ? fmin(worst, peak) : peak;
    }
    if (lowest)
        *lowest = worst;
    return best;
}

/* Bytes that exceed all caches: a GPU reads 256 MiB within a few launch latencies, and caches a quarter of it. */
static size_t large(gp_backend *be, int share)
{
    size_t bytes = be->later ? (size_t)4 << 30 : (size_t)256 << 20;
    while (bytes > free_memory(be) / (size_t)share)
        bytes /= 2;
    return bytes;
}

static gp_tensor random_tensor(gp_backend *be, size_t bytes)
{
    gp_memory memory = gp_backend_memory(be);
    void *data = memory.alloc(memory.self, bytes, "measured bandwidth");
    gp_tensor t = gp_tensor_view(data, GP_F32, 1, (int64_t)(bytes / sizeof(float)));
    gp_fill_normal(be, &t); /* pages that were never written all map to one page of zeros */
    return t;
}

typedef struct reading {
    gp_segment all;
    gp_step *step;
} reading;

/* The gradient norm is the op that reads much and does little else. */
static void read_all(gp_backend *be, void *self)
{
    reading *r = self;
    be->ops->grad_norm(be, &r->all, 1, r->step);
}

double gp_measure_bandwidth(gp_backend *be, double seconds)
{
    size_t bytes = large(be, 16);
    gp_tensor g = random_tensor(be, bytes);
    reading r = {{.g = g.data, .count = gp_tensor_count(&g)}, be->ops->alloc(be, sizeof *r.step)};
    double best = min_time(be, seconds, read_all, &r);
    be->ops->free(be, g.data, bytes);
    be->ops->free(be, r.step, sizeof *r.step);
    return (double)bytes / best;
}

typedef struct copying {
    gp_tensor from, to;
} copying;

static void copy_all(gp_backend *be, void *self)
{
    copying *c = self;
    be->ops->copy(be, c->to.data, c->from.data, (size_t)gp_tensor_bytes(&c->from));
}

double gp_measure_copy(gp_backend *be, double seconds)
{
    size_t bytes = large(be, 32);
    copying c = {.from = random_tensor(be, bytes), .to = random_tensor(be, bytes)};
    double best = min_time(be, seconds, copy_all, &c);
    be->ops->free(be, c.from.data, bytes);
    be->ops->free(be, c.to.data, bytes);
    return 2 * (double)bytes / best;
}

enum { STARTS = 512 };

typedef struct starting {
    gp_tensor x;
    gp_recording *recording;
} starting;

static void start_all(gp_backend *be, void *self)
{
    starting *s = self;
    if (be->ops->record_begin(be, &s->recording))
        do
            for (int i = 0; i < STARTS; i++)
                be->ops->act_forward(be, GP_ACT_GELU_TANH, &s->x, &s->x);
        while (!be->ops->record_end(be, &s->recording));
}

double gp_measure_start(gp_backend *be, double seconds)
{
    int number = gp_dtype_size(be->act_dtype);
    starting s = {.x = gp_tensor_view(be->ops->alloc(be, (size_t)number), be->act_dtype, 1, (int64_t)1)};
    start_all(be, &s); /* it is recorded the second time */
    double best = min_time(be, seconds, start_all, &s);
    be->ops->record_free(be, &s.recording);
    be->ops->free(be, s.x.data, (size_t)number);
    return best / STARTS;
}

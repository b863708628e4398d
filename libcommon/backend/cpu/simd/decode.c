/* decode.c: products of a few rows with a weight that is stored (I,O).
 *
 * Memory decides, so the weight is read as one stream for each thread: a part of the inputs, which is a sequence of
 * whole rows of W. (Half of the columns, a piece of each row, had half of the bandwidth on Zen 4.) The order of the
 * sums depends on I alone: four segments of the inputs, each added one input after another, then
 * (s0 + s1) + (s2 + s3). */
#include "backend/cpu/kernels.h"
#include "backend/cpu/simd/vector.h"

#include <string.h>

enum {
    INPUTS = 8,  /* rows of W at once: a sum is loaded and stored once for all of them */
    SAMPLES = 4, /* rows of x at once */
    CHANNELS = 2 * WIDTH
};

/* What a tile multiplies: x (.,I), a group of `inputs` rows of w (.,O), sums with `stride` columns. */
typedef struct group {
    const float *x, *w;
    int64_t I, O, inputs, stride;
    bool first; /* sums = instead of += */
    bool fetch;
} group;

/* Columns o .. o + CHANNELS of the sums of `samples` rows. */
static inline __attribute__((always_inline)) void tile(const group *g, int samples, int64_t inputs, int64_t o,
                                                       float *sums)
{
    vec a[SAMPLES][2];
    for (int b = 0; b < samples; b++)
        for (int v = 0; v < 2; v++)
            a[b][v] = g->first ? (vec){0} : vec_load(sums + b * g->stride + v * WIDTH);
    for (int64_t i = 0; i < inputs; i++) {
        vec w0 = vec_load(g->w + i * g->O + o), w1 = vec_load(g->w + i * g->O + o + WIDTH);
        for (int b = 0; b < samples; b++) {
            vec x = vec_all(g->x[b * g->I + i]);
            a[b][0] += x * w0;
            a[b][1] += x * w1;
        }
    }
    for (int b = 0; b < samples; b++)
        for (int v = 0; v < 2; v++)
            vec_store(sums + b * g->stride + v * WIDTH, a[b][v]);
}

static inline __attribute__((always_inline)) void tiles(const group *g, int64_t B, int64_t inputs, int64_t o,
                                                        float *sums)
{
    group at = *g;
    for (; B >= SAMPLES; B -= SAMPLES, at.x += SAMPLES * g->I, sums += SAMPLES * g->stride)
        tile(&at, SAMPLES, inputs, o, sums);
    if (B == 3)
        tile(&at, 3, inputs, o, sums);
    else if (B == 2)
        tile(&at, 2, inputs, o, sums);
    else if (B == 1)
        tile(&at, 1, inputs, o, sums);
}

/* Columns that do not fill a tile. They are always the same ones, and this is the one copy of their loop: compilers may
 * round products here that they fuse in a tile, depending on what they know of the number of inputs. */
static __attribute__((noinline)) void rest(const group *g, int64_t B, int64_t o, float *sums)
{
    for (int64_t b = 0; b < B; b++) {
        float a = g->first ? 0 : sums[b * g->stride];
        for (int64_t i = 0; i < g->inputs; i++)
            a += g->x[b * g->I + i] * g->w[i * g->O + o];
        sums[b * g->stride] = a;
    }
}

/* Columns lo .. hi of a group. Meanwhile, with `fetch`, the next group is fetched into the second cache: in the order
 * of its addresses, if all columns are read. */
static void add_group(const group *g, int64_t B, int64_t lo, int64_t hi, float *sums)
{
    const float *next = g->w + INPUTS * g->O + lo;
    bool whole = hi - lo == g->O;
    int64_t o = lo, step = whole ? CHANNELS : g->O;
    for (; o + CHANNELS <= hi; o += CHANNELS, next += whole ? INPUTS * CHANNELS : CHANNELS) {
        for (int64_t i = 0; g->fetch && i < INPUTS; i++)
            for (int64_t v = 0; v < CHANNELS; v += 16)
                __builtin_prefetch(next + i * step + v, 0, 2);
        if (g->inputs == INPUTS)
            tiles(g, B, INPUTS, o, sums + o - lo);
        else
            tiles(g, B, g->inputs, o, sums + o - lo);
    }
    for (; o < hi; o++)
        rest(g, B, o, sums + o - lo);
}

/* The same for a whole group and one row of x, whose numbers stay in registers. */
static void add_inputs(const group *g, int64_t lo, int64_t hi, float *sums)
{
    const float *w = g->w + lo;
    int64_t o = 0, n = hi - lo, O = g->O;
    bool first = g->first;
    vec x[INPUTS];
    for (int i = 0; i < INPUTS; i++)
        x[i] = vec_all(g->x[i]);
    for (; o < n / CHANNELS * CHANNELS; o += WIDTH) {
        vec a = first ? (vec){0} : vec_load(sums + o);
        for (int i = 0; i < INPUTS; i++)
            a += x[i] * vec_load(w + i * O + o);
        vec_store(sums + o, a);
    }
    for (; o < n; o++)
        rest(g, 1, lo + o, sums + o);
}

/* sums (B,stride) = columns lo .. hi of x W over `count` segments, from `segment` on. */
static void add_segments(const gp_decode *d, int64_t lo, int64_t hi, int segment, int count, float *sums,
                         int64_t stride, float *scratch)
{
    if (count > 1) {
        int64_t n = hi - lo;
        add_segments(d, lo, hi, segment, count / 2, sums, stride, scratch);
        add_segments(d, lo, hi, segment + count / 2, count / 2, scratch, n, scratch + d->B * n);
        for (int64_t b = 0; b < d->B; b++)
            KERNEL(add)(sums + b * stride, scratch + b * n, NULL, n);
        return;
    }
    gp_range r = gp_cpu_share(d->I, INPUTS, segment, GP_DECODE_SEGMENTS);
    group g = {.I = d->I, .O = d->O, .stride = stride, .first = true, .fetch = d->fetch};
    for (int64_t b = 0; r.lo == r.hi && b < d->B; b++)
        memset(sums + b * stride, 0, (size_t)(hi - lo) * sizeof *sums);
    for (int64_t i = r.lo; i < r.hi; i += INPUTS, g.first = false) {
        g.x = d->x + i;
        g.w = (const float *)d->w + i * d->O;
        g.inputs = gp_min(INPUTS, r.hi - i);
        if (d->B == 1 && !d->fetch && g.inputs == INPUTS)
            add_inputs(&g, lo, hi, sums);
        else
            add_group(&g, d->B, lo, hi, sums);
    }
}

void KERNEL(decode_columns)(const gp_decode *d, gp_range columns, int parts, float *sums, float *scratch)
{
    int count = GP_DECODE_SEGMENTS / parts;
    add_segments(d, columns.lo, columns.hi, columns.part * count, count, sums + columns.lo, d->O, scratch);
}

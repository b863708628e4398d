/* matmul.c: matrix products of any size, blocked for the caches after Goto & van de Geijn (2008).
 *
 * For KC rows of b and columns of a at a time, NC columns of b are packed into panels of NR, and MC rows of a into
 * panels of MR, so that the innermost loop reads both sequentially. It has MR x NR sums in registers; the block of a
 * stays in the L2 cache while the panels of b are read.
 *
 * An element of c is a sum over k in order, restarted at each multiple of KC. Its bits do not depend on the other rows
 * and columns, nor on the threads. */
#include "backend/cpu/kernels.h"
#include "backend/cpu/simd/tile.h"

#include <string.h>

#if defined(__AVX512F__)
enum { MR = 14, MC = 16 * MR };
#elif defined(__AVX__)
enum { MR = 6, MC = 24 * MR };
#else
enum { MR = ROWS, MC = 32 * MR };
#endif
enum { NR = VECTORS * WIDTH, NC = 1024, KC = 256 };
enum { FEW = 4 * MR }; /* rows of a up to which packing b takes longer than reading it in place */

_Static_assert(GP_MATMUL_A >= MC * KC && GP_MATMUL_B >= NC * KC, "the scratch holds a block of each");
_Static_assert(NC % NR == 0, "blocks of b are whole panels");

/* Up to MR rows and NR columns of c, with the terms to be added to the sums. */
typedef struct corner {
    float *c;
    int64_t c_row, columns;
    const float *bias; /* or NULL */
    bool add;          /* the old c */
} corner;

static __attribute__((noinline)) void store(int rows, vec sum[MR][VECTORS], const corner *at)
{
    for (int i = 0; i < rows; i++) {
        float *c = at->c + i * at->c_row, edge[NR];
        for (int v = 0; at->columns == NR && v < VECTORS; v++) {
            vec s = sum[i][v];
            if (at->bias)
                s += vec_load(at->bias + v * WIDTH);
            if (at->add)
                s += vec_load(c + v * WIDTH);
            *(vec_at *)(c + v * WIDTH) = s;
        }
        if (at->columns == NR)
            continue;
        memcpy(edge, sum[i], sizeof edge);
        for (int64_t n = 0; n < at->columns; n++) {
            float s = at->bias ? edge[n] + at->bias[n] : edge[n];
            c[n] = at->add ? s + c[n] : s;
        }
    }
}

/* The sums are in registers only if the loops over them are unrolled, which compilers do not always do by
 * themselves. */
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* a (K,MR) is a panel, of which the first `rows`, a constant in each call, are used; rows of b (K,NR) are b_row
 * apart. */
static inline __attribute__((always_inline)) void multiply(const int rows, int64_t K, const float *a, const float *b,
                                                           int64_t b_row, const corner *at)
{
    vec sum[MR][VECTORS] = {{{0}}};
    for (int64_t k = 0; k < K; k++, a += MR, b += b_row) {
        vec row[VECTORS];
        for (int v = 0; v < VECTORS; v++)
            row[v] = vec_load(b + v * WIDTH);
        UNROLL
        for (int i = 0; i < rows; i++)
            for (int v = 0; v < VECTORS; v++)
                sum[i][v] += a[i] * row[v];
    }
    vec done[MR][VECTORS]; /* a copy in memory, so that `sum` stays in registers */
    UNROLL
    for (int i = 0; i < rows; i++)
        for (int v = 0; v < VECTORS; v++)
            done[i][v] = sum[i][v];
    store(rows, done, at);
}

static void multiply_rows(int64_t rows, int64_t K, const float *a, const float *b, int64_t b_row, const corner *at)
{
    switch (rows) {
#define GP_ROWS(n)                                                                                                     \
    case n:                                                                                                            \
        multiply(n < MR ? n : MR, K, a, b, b_row, at);                                                                 \
        break;
        GP_ROWS(1)
        GP_ROWS(2)
        GP_ROWS(3)
        GP_ROWS(4)
        GP_ROWS(5)
        GP_ROWS(6)
        GP_ROWS(7)
        GP_ROWS(8)
        GP_ROWS(9)
        GP_ROWS(10)
        GP_ROWS(11)
        GP_ROWS(12)
        GP_ROWS(13)
        GP_ROWS(14)
#undef GP_ROWS
    default:
        BUG_ON(true);
    }
}

/* Packs `count` lines of K numbers, x[i + k * step], as columns of a panel (K,width); the other columns are zero. */
static void pack_rows_of(const float *x, int64_t step, int64_t count, int64_t K, float *panel, int64_t width)
{
    for (int64_t k = 0; k < K; k++, x += step, panel += width) {
        memcpy(panel, x, (size_t)count * sizeof *x);
        for (int64_t i = count; i < width; i++)
            panel[i] = 0;
    }
}

/* The same for lines x[i * step + k]. */
static void pack_columns_of(const float *x, int64_t step, int64_t count, int64_t K, float *panel, int64_t width)
{
    enum { LINE = 16 }; /* floats in a cache line: what is written for them stays in the L1 cache */
    for (int64_t k0 = 0; k0 < K; k0 += LINE, x += LINE, panel += LINE * width) {
        int64_t n = gp_min(LINE, K - k0), i = 0;
        for (; i + 4 <= count; i += 4)
            for (int64_t k = transpose_four(x + i * step, step, n, panel + i, width); k < n; k++)
                for (int64_t j = i; j < i + 4; j++)
                    panel[k * width + j] = x[j * step + k];
        for (; i < width; i++)
            for (int64_t k = 0; k < n; k++)
                panel[k * width + i] = i < count ? x[i * step + k] : 0;
    }
}

/* Packs lines into panels of `width`; contiguous: the numbers of a line are consecutive in memory. */
static void pack(const float *x, int64_t step, bool contiguous, int64_t count, int64_t K, float *panels, int64_t width)
{
    for (int64_t i = 0; i < count; i += width, panels += K * width) {
        if (contiguous)
            pack_columns_of(x + i * step, step, gp_min(width, count - i), K, panels, width);
        else
            pack_rows_of(x + i, step, gp_min(width, count - i), K, panels, width);
    }
}

/* One block of b, all rows of a. */
typedef struct panel_block {
    const gp_product *p;
    const float *a, *bias;
    float *c;
    int64_t n0, columns, k0, K;
    const float *direct; /* the first `in_place` columns are read here, the others from panels */
    int64_t in_place;
    float *packed_a, *packed_b;
} panel_block;

static void multiply_block(const panel_block *o, gp_range m)
{
    const gp_product *p = o->p;
    int64_t c_row = p->c_stride ? p->c_stride : p->N;
    for (int64_t m0 = m.lo; m0 < m.hi; m0 += MC) {
        int64_t rows = gp_min(MC, m.hi - m0);
        if (p->a_transposed)
            pack(o->a + o->k0 * p->M + m0, p->M, false, rows, o->K, o->packed_a, MR);
        else
            pack(o->a + m0 * p->K + o->k0, p->K, true, rows, o->K, o->packed_a, MR);
        for (int64_t n = 0; n < o->columns; n += NR) {
            bool direct = n < o->in_place;
            const float *b = direct ? o->direct + n : o->packed_b + n * o->K;
            corner at = {.c = o->c + m0 * c_row + o->n0 + n,
                         .c_row = c_row,
                         .columns = gp_min(NR, o->columns - n),
                         .bias = o->bias && !o->k0 ? o->bias + o->n0 + n : NULL,
                         .add = p->add || o->k0};
            for (int64_t i = 0; i < rows; i += MR, at.c += MR * c_row)
                multiply_rows(gp_min(MR, rows - i), o->K, o->packed_a + i * o->K, b, direct ? p->N : NR, &at);
        }
    }
}

void KERNEL(matmul)(const gp_product *p, const float *a, const float *b, const float *bias, float *c, int part,
                    int parts, float *scratch)
{
    gp_range m, n;
    gp_cpu_cell(p, MR, NR, part, parts, &m, &n);
    panel_block o = {.p = p, .a = a, .bias = bias, .c = c, .packed_a = scratch, .packed_b = scratch + GP_MATMUL_A};
    for (o.n0 = n.lo; m.lo < m.hi && o.n0 < n.hi; o.n0 += NC) {
        o.columns = gp_min(NC, n.hi - o.n0);
        o.in_place = m.hi - m.lo <= FEW && !p->b_transposed ? o.columns / NR * NR : 0;
        for (o.k0 = 0; o.k0 < p->K; o.k0 += KC) {
            o.K = gp_min(KC, p->K - o.k0);
            o.direct = b + o.k0 * p->N + o.n0;
            float *rest = o.packed_b + o.in_place * o.K;
            if (p->b_transposed)
                pack(b + o.n0 * p->K + o.k0, p->K, true, o.columns, o.K, rest, NR);
            else
                pack(o.direct + o.in_place, p->N, false, o.columns - o.in_place, o.K, rest, NR);
            multiply_block(&o, m);
        }
    }
}

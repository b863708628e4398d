/* amx_product.c: products in fp32 by AMX, whose tiles multiply bf16.
 *
 * A number of 24 bits is the sum of three of bf16, of 8 bits each: x = h + m + l. Of the nine products of two such sums
 * the six largest are added in fp32, h h, h m, m h, m m, h l and l h; the others are at most about 2^-24 of h h (Henry,
 * Tang & Heinecke 2019). What is lost is less than fp32 loses by rounding its sums, of which there are fewer here: a
 * tile adds 32 products at a time. But numbers below 2^-126, parts of a number among them, are 0 to AMX, and numbers
 * above bf16's largest, 3.39e38, become NaN, as infinity does.
 *
 * Lines, rows of a and columns of b, are packed into panels of 32: for each step of 32 k, for h, m and l, two tiles of
 * 16 lines. Four tiles of c are summed at a time. A block of a stays in the L2 cache while the panels of b pass. Each
 * of them is packed beside the products of the one before: packing and tiles keep different units of the core busy. An
 * element of c is a sum over k in order, restarted at each multiple of the depth of a block, which depends on K alone:
 * neither other rows and columns nor threads change its bits.
 *
 * Compiled for AVX-512 and AMX, which cpu.c looks for before it takes this kernel. */
#include "backend/cpu/kernels.h"

#include <immintrin.h>
#include <string.h>

enum { LINES = 16, DEPTH = 32, PANEL = 2 * LINES, PARTS = 3, TILE = LINES * DEPTH, STEP = 2 * PARTS * TILE };
enum { MC = 320, KC = 512 };

_Static_assert((int64_t)GP_MATMUL_SCRATCH * 2 >= (int64_t)(MC + 2 * PANEL) * KC * PARTS,
               "the scratch holds a and two panels");
_Static_assert(MC % PANEL == 0 && KC % DEPTH == 0, "blocks are whole panels");

/* ---- packing --------------------------------------------------------------------------------------------- */

static inline __mmask16 mask_of(int64_t n)
{
    return (__mmask16)(n >= LINES ? 0xFFFF : n > 0 ? (1u << n) - 1 : 0);
}

/* Up to 16 rows of up to 16 numbers; the others are 0. */
static inline __attribute__((always_inline)) void load_block(const float *x, int64_t stride, int64_t rows,
                                                             int64_t columns, __m512 v[LINES])
{
    if (rows >= LINES && columns >= LINES) {
        for (int i = 0; i < LINES; i++)
            v[i] = _mm512_loadu_ps(x + i * stride);
        return;
    }
    __mmask16 mask = mask_of(columns);
    for (int i = 0; i < LINES; i++)
        v[i] = i < rows ? _mm512_maskz_loadu_ps(mask, x + i * stride) : _mm512_setzero_ps();
}

/* Of 16 x 16 numbers: within blocks of 4 x 4, then the blocks. */
static inline __attribute__((always_inline)) void transpose_block(__m512 v[LINES])
{
    __m512 t[LINES];
    for (int i = 0; i < LINES; i += 2) {
        t[i] = _mm512_unpacklo_ps(v[i], v[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(v[i], v[i + 1]);
    }
    for (int i = 0; i < LINES; i += 4)
        for (int j = 0; j < 2; j++) {
            __m512d lo = _mm512_castps_pd(t[i + j]), hi = _mm512_castps_pd(t[i + j + 2]);
            v[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(lo, hi));
            v[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(lo, hi));
        }
    for (int j = 0; j < 4; j++) { /* v[4 i + j] has columns j, 4 + j, 8 + j and 12 + j of rows 4 i to 4 i + 3 */
        __m512 even0 = _mm512_shuffle_f32x4(v[j], v[4 + j], 0x88), odd0 = _mm512_shuffle_f32x4(v[j], v[4 + j], 0xDD);
        __m512 even1 = _mm512_shuffle_f32x4(v[8 + j], v[12 + j], 0x88);
        __m512 odd1 = _mm512_shuffle_f32x4(v[8 + j], v[12 + j], 0xDD);
        t[j] = _mm512_shuffle_f32x4(even0, even1, 0x88);
        t[4 + j] = _mm512_shuffle_f32x4(odd0, odd1, 0x88);
        t[8 + j] = _mm512_shuffle_f32x4(even0, even1, 0xDD);
        t[12 + j] = _mm512_shuffle_f32x4(odd0, odd1, 0xDD);
    }
    memcpy(v, t, sizeof t);
}

/* Writes h, m and l of 32 x 16 numbers, v[i] and v[16 + i] interleaved as pairs; so the k of a step are in the order 0,
 * 16, 1, 17 ..., in a and in b. h and m are rounded, halves away from 0; l is exact. */
static inline __attribute__((always_inline)) void store_parts(const __m512 v[2 * LINES], uint16_t *out)
{
    const __m512i half = _mm512_set1_epi32(0x8000), upper = _mm512_set1_epi32((int)0xFFFF0000u);
    for (int i = 0; i < LINES; i++) {
        __m512 rest[2] = {v[i], v[LINES + i]};
        for (int part = 0; part < PARTS; part++) {
            __m512i top[2];
            for (int j = 0; j < 2; j++) {
                __m512i bits = _mm512_castps_si512(rest[j]);
                top[j] = _mm512_and_si512(part + 1 < PARTS ? _mm512_add_epi32(bits, half) : bits, upper);
                rest[j] = _mm512_sub_ps(rest[j], _mm512_castsi512_ps(top[j]));
            }
            _mm512_store_si512(out + part * 2 * TILE + i * DEPTH,
                               _mm512_or_si512(_mm512_srli_epi32(top[0], 16), top[1]));
        }
    }
}

/* Where 16 lines from a step on are: `rows` by `columns` of them in memory, then as many for the second half of the
 * step, `second` further on. */
typedef struct tile_source {
    const float *x;
    int64_t stride, second;
    int64_t rows[2], columns[2];
} tile_source;

static __attribute__((noinline)) void pack_tiles(const tile_source *s, uint16_t *out)
{
    __m512 v[2 * LINES];
    for (int i = 0; i < 2; i++)
        load_block(s->x + i * s->second, s->stride, s->rows[i], s->columns[i], v + i * LINES);
    store_parts(v, out);
}

static __attribute__((noinline)) void pack_transposed_tiles(const tile_source *s, uint16_t *out)
{
    __m512 v[2 * LINES];
    for (int i = 0; i < 2; i++) {
        load_block(s->x + i * s->second, s->stride, s->rows[i], s->columns[i], v + i * LINES);
        transpose_block(v + i * LINES);
    }
    store_parts(v, out);
}

static int64_t steps_of(int64_t K)
{
    return (K + DEPTH - 1) / DEPTH;
}

/* The packing of a panel of up to 32 lines of K numbers, by blocks of 16 lines of a step. The numbers of a line are
 * consecutive in memory, or `stride` apart. A tile of a has a line in each row, and one of b has pairs of k. */
typedef struct packing {
    const float *x;
    int64_t stride, lines, K;
    bool consecutive;
    void (*pack)(const tile_source *s, uint16_t *out);
    uint16_t *out;
    int64_t next, blocks;
    int64_t done, steps; /* of the products that it is packed beside */
} packing;

static packing begin(const float *x, int64_t stride, bool consecutive, bool is_b, int64_t lines, int64_t K,
                     uint16_t *out)
{
    return (packing){.x = x,
                     .stride = stride,
                     .lines = gp_min(PANEL, lines),
                     .K = K,
                     .consecutive = consecutive,
                     .pack = consecutive == is_b ? pack_transposed_tiles : pack_tiles,
                     .out = out,
                     .blocks = 2 * steps_of(K)};
}

static void pack_block(packing *q)
{
    int64_t step = q->next / 2, k = step * DEPTH, i = q->next % 2 * LINES;
    int64_t n = q->lines - i, k0 = q->K - k, k1 = k0 - LINES, stride = q->stride;
    uint16_t *out = q->out + step * STEP + i * DEPTH;
    if (q->consecutive)
        q->pack(&(tile_source){q->x + i * stride + k, stride, LINES, {n, n}, {k0, k1}}, out);
    else
        q->pack(&(tile_source){q->x + k * stride + i, stride, LINES * stride, {k0, k1}, {n, n}}, out);
    q->next++;
}

static void pack_rest(packing *q)
{
    while (q->next < q->blocks)
        pack_block(q);
}

/* After a step of other products: keeps up with them. */
static inline void pack_beside(packing *q)
{
    q->done++;
    while (q->next * q->steps < q->blocks * q->done)
        pack_block(q);
}

static void pack_a(const gp_product *p, const float *a, gp_range m, gp_range k, uint16_t *out)
{
    for (int64_t i = m.lo; i < m.hi; i += PANEL, out += steps_of(k.hi - k.lo) * STEP) {
        const float *x = p->a_transposed ? a + k.lo * p->M + i : a + i * p->K + k.lo;
        packing q = begin(x, p->a_transposed ? p->M : p->K, !p->a_transposed, false, m.hi - i, k.hi - k.lo, out);
        pack_rest(&q);
    }
}

static packing begin_b(const gp_product *p, const float *b, gp_range k, int64_t n, uint16_t *out)
{
    const float *x = p->b_transposed ? b + n * p->K + k.lo : b + k.lo * p->N + n;
    return begin(x, p->b_transposed ? p->K : p->N, p->b_transposed, true, p->N - n, k.hi - k.lo, out);
}

/* ---- products of tiles ----------------------------------------------------------------------------------- */

/* gcc 12's instructions on tiles do not say that they read and write memory. */
#define MEMORY_BARRIER() __asm__ volatile("" ::: "memory")

/* Every tile is 16 rows of 64 bytes. 0 to 3 are sums, 4 and 5 of a, 6 and 7 of b. */
static void configure_tiles(void)
{
    struct {
        uint8_t palette, start, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } tiles = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        tiles.row_bytes[i] = 64;
        tiles.rows[i] = LINES;
    }
    MEMORY_BARRIER();
    _tile_loadconfig(&tiles);
}

#define LOAD(tile, panel, part, half) _tile_loadd(tile, (panel) + (2 * (part) + (half)) * TILE, 64)
#define LOAD_A(part)                                                                                                   \
    LOAD(4, a, part, 0);                                                                                               \
    if (both)                                                                                                          \
        LOAD(5, a, part, 1);
#define LOAD_B(part)                                                                                                   \
    LOAD(6, b, part, 0);                                                                                               \
    LOAD(7, b, part, 1);
#define ADD_PRODUCTS                                                                                                   \
    _tile_dpbf16ps(0, 4, 6);                                                                                           \
    _tile_dpbf16ps(1, 4, 7);                                                                                           \
    if (both) {                                                                                                        \
        _tile_dpbf16ps(2, 5, 6);                                                                                       \
        _tile_dpbf16ps(3, 5, 7);                                                                                       \
    }

/* sums (32,32) = a panel of a times one of b; the first 16 rows alone unless `both`. The smallest of a step's terms
 * come first, and each differs from the one before in a or in b alone. A tile is stored every second step although
 * nobody reads it: the first store after about 2,000 cycles without one was seen to take 1,000 cycles longer. */
static void multiply_panels(bool both, int64_t steps, const uint16_t *a, const uint16_t *b, float *sums,
                            packing *beside)
{
    enum { H, M, L };
    MEMORY_BARRIER();
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int64_t k = 0; k < steps; k++, a += STEP, b += STEP) {
        LOAD_A(L)
        LOAD_B(H)
        ADD_PRODUCTS
        LOAD_A(M)
        ADD_PRODUCTS
        LOAD_B(M)
        ADD_PRODUCTS
        LOAD_A(H)
        ADD_PRODUCTS
        LOAD_B(L)
        ADD_PRODUCTS
        LOAD_B(H)
        ADD_PRODUCTS
        pack_beside(beside);
        if (k % 2 == 0)
            _tile_stored(4, sums, PANEL * sizeof *sums); /* see above */
    }
    _tile_stored(0, sums, PANEL * sizeof *sums);
    _tile_stored(1, sums + LINES, PANEL * sizeof *sums);
    _tile_stored(2, sums + LINES * PANEL, PANEL * sizeof *sums);
    _tile_stored(3, sums + LINES * PANEL + LINES, PANEL * sizeof *sums);
    MEMORY_BARRIER();
}

/* c (rows,columns) = sums [+ bias] [+ c] */
static void store_sums(const float *sums, int64_t rows, int64_t columns, const float *bias, bool add, float *c,
                       int64_t c_row)
{
    for (int64_t n = 0; n < columns; n += LINES) {
        __mmask16 mask = mask_of(columns - n);
        __m512 terms = bias ? _mm512_maskz_loadu_ps(mask, bias + n) : _mm512_setzero_ps();
        for (int64_t m = 0; m < rows; m++) {
            __m512 x = _mm512_add_ps(_mm512_load_ps(sums + m * PANEL + n), terms);
            if (add)
                x = _mm512_add_ps(x, _mm512_maskz_loadu_ps(mask, c + m * c_row + n));
            _mm512_mask_storeu_ps(c + m * c_row + n, mask, x);
        }
    }
}

/* ---- blocks ---------------------------------------------------------------------------------------------- */

/* Rows m of columns [n, n + 32) of c, over k, with panels of a and b; packs another panel meanwhile. */
static void multiply_block(const gp_product *p, gp_range m, int64_t n, gp_range k, const uint16_t *a, const uint16_t *b,
                           const float *bias, float *c, packing *beside)
{
    _Alignas(64) float sums[PANEL * PANEL];
    int64_t steps = steps_of(k.hi - k.lo), c_row = p->c_stride ? p->c_stride : p->N;
    beside->steps = (m.hi - m.lo + PANEL - 1) / PANEL * steps;
    for (int64_t i = m.lo; i < m.hi; i += PANEL, a += steps * STEP) {
        int64_t rows = gp_min(PANEL, m.hi - i);
        multiply_panels(rows > LINES, steps, a, b, sums, beside);
        store_sums(sums, rows, gp_min(PANEL, p->N - n), bias && !k.lo ? bias + n : NULL, p->add || k.lo,
                   c + i * c_row + n, c_row);
    }
}

void gp_amx_product(const gp_product *p, const float *a, const float *b, const float *bias, float *c, int part,
                    int parts, float *scratch)
{
    uint16_t *packed_a = (uint16_t *)scratch, *packed_b[2] = {packed_a + MC * KC * PARTS};
    gp_range m, n;
    packed_b[1] = packed_b[0] + PANEL * KC * PARTS;
    gp_cpu_cell(p, LINES, PANEL, part, parts, &m, &n);
    int heights = (int)((m.hi - m.lo + MC - 1) / MC), depths = (int)((p->K + KC - 1) / KC);
    configure_tiles();
    for (int i = 0; i < heights * depths && n.lo < n.hi; i++) {
        gp_range rows = gp_cpu_share(m.hi - m.lo, PANEL, i / depths, heights);
        gp_range k = gp_cpu_share(p->K, DEPTH, i % depths, depths);
        rows.lo += m.lo, rows.hi += m.lo;
        pack_a(p, a, rows, k, packed_a);
        packing next = begin_b(p, b, k, n.lo, packed_b[0]);
        pack_rest(&next);
        for (int64_t column = n.lo; column < n.hi; column += PANEL) {
            const uint16_t *panel = next.out;
            next = (packing){0};
            if (column + PANEL < n.hi)
                next = begin_b(p, b, k, column + PANEL, packed_b[panel == packed_b[0]]);
            multiply_block(p, rows, column, k, packed_a, panel, bias, c, &next);
        }
    }
    _tile_release();
}

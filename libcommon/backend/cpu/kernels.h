/* kernels.h: the vectorized loops of the cpu backend.
 *
 * Each file of simd/ is compiled once for each instruction set, with GP_SIMD naming it; cpu.c selects a table of the
 * resulting functions when the backend opens. A kernel processes its range on one thread; the op_*.c files divide the
 * work among threads, provide the scratch memory, and check shapes. */
#ifndef GP_CPU_KERNELS_H
#define GP_CPU_KERNELS_H

#include "backend/backend.h"
#include "backend/cpu/matmul.h"

/* A thread's work range: items [lo, hi), part number `part`. */
typedef struct gp_range {
    int64_t lo, hi;
    int part;
} gp_range;

/* Part `part` of n items that are divided into `parts` ranges, in multiples of `grain`. */
static inline gp_range gp_cpu_share(int64_t n, int64_t grain, int part, int parts)
{
    int64_t grains = (n + grain - 1) / grain;
    return (gp_range){gp_min(n, grains * part / parts * grain), gp_min(n, grains * (part + 1) / parts * grain), part};
}

/* A tile of attention: queries by keys. In scratch, sequences and head sizes are padded to GP_PAD and rows of scores to
 * GP_STEP; the vector widths of all instruction sets divide both. */
enum { GP_TILE_Q = 32, GP_TILE_K = 128, GP_PAD = 32, GP_STEP = 16 };

enum { GP_NOT_COUNTED = -100 }; /* a target */

/* Assigns rows m and columns n of a product to a part: a cell of the grid whose largest cell takes the shortest time
 * for multiply-adds and packing; packing a number takes as long as about PACK of them. */
static inline void gp_cpu_cell(const gp_product *p, int64_t row_grain, int64_t column_grain, int part, int parts,
                               gp_range *m, gp_range *n)
{
    enum { PACK = 8 };
    int64_t shortest = INT64_MAX;
    int down = 1;
    for (int d = 1; d <= parts; d++) {
        gp_range rows = gp_cpu_share(p->M, row_grain, d - 1, d); /* the last cell is the largest, but for an edge */
        gp_range columns = gp_cpu_share(p->N, column_grain, parts / d - 1, parts / d);
        int64_t M = (int64_t)gp_round_up((size_t)(rows.hi - rows.lo), (size_t)row_grain);
        int64_t N = (int64_t)gp_round_up((size_t)(columns.hi - columns.lo), (size_t)column_grain);
        int64_t time = M * N + PACK * (M + N);
        if (time < shortest) {
            shortest = time;
            down = d;
        }
    }
    int across = parts / down;
    *m = *n = (gp_range){0};
    if (part < down * across) {
        *m = gp_cpu_share(p->M, row_grain, part / across, down);
        *n = gp_cpu_share(p->N, column_grain, part % across, across);
    }
}

/* Floats of scratch for one thread of a matrix product: a block of a and a block of b. */
enum { GP_MATMUL_A = 64 << 10, GP_MATMUL_B = 256 << 10, GP_MATMUL_SCRATCH = GP_MATMUL_A + GP_MATMUL_B };

/* Logits of which one largest and one sum of weights are kept. */
enum { GP_SAMPLE_STRIP = 128 };
typedef struct gp_draw_weights gp_draw_weights; /* backend/sample.h */

/* The kernels, from which the members of gp_kernels, the prototypes and the tables are generated. Letters are those of
 * backend.h; ranges are [lo, hi). */
#define GP_KERNELS(X)                                                                                                  \
    /* factor[i] = 0 or 1 / (1 - p) for elements first .. first + n of sample b */                                     \
    X(void, keep, (const gp_dropout *drop, int64_t b, int64_t first, int64_t n, float *factor))                        \
    /* rows lo .. hi; backward adds to dgamma, dbeta (C) */                                                            \
    X(void, norm_forward, (const gp_norm_op *op, int64_t lo, int64_t hi))                                              \
    X(void, norm_backward, (const gp_norm_op *op, int64_t lo, int64_t hi, float *dgamma, float *dbeta))                \
    X(void, embed_row, (const gp_embed_op *op, int64_t n))                                                             \
    /* dst += src * factor (NULL: 1) */                                                                                \
    X(void, add, (float *dst, const float *src, const float *factor, int64_t n))                                       \
    /* dst = src * factor */                                                                                           \
    X(void, multiply, (float *dst, const float *src, const float *factor, int64_t n))                                  \
    /* sums(c) += x(0,c) + ... + x(rows-1,c); x has `stride` columns, n of them are summed */                          \
    X(void, add_rows, (const float *x, int64_t rows, int64_t stride, int64_t n, float *sums))                          \
    X(void, to_bf16, (uint16_t * dst, const float *src, int64_t n))                                                    \
    X(void, act_forward, (gp_act act, float *y, const float *pre, int64_t n))                                          \
    /* dx = dy act'(pre) */                                                                                            \
    X(void, act_backward, (gp_act act, float *dx, const float *dy, const float *pre, int64_t n))                       \
    /* one head of one sample; scratch of gp_attention_scratch floats */                                               \
    X(void, attention_forward, (const gp_attention_op *op, int64_t b, int64_t h, float *scratch))                      \
    X(void, attention_backward, (const gp_attention_op *op, int64_t b, int64_t h, float *scratch))                     \
    /* T queries of one head against its cache, which already contains their keys and values */                        \
    X(void, attention_cached, (const gp_attention_cached_op *op, int64_t b, int64_t h))                                \
    /* the loss of one row of logits; with `train` the row becomes scale times its gradient */                         \
    X(float, cross_entropy, (const gp_loss *loss, float *row, int32_t target))                                         \
    X(double, sum_squares, (const float *x, int64_t n))                                                                \
    X(void, adamw, (const gp_adamw_op *op, const gp_segment *seg, int64_t lo, int64_t hi))                             \
    /* y(b,o) = x(b,:) W(:,o) for o = lo .. hi; W stored (O,I) or in a format of 16 bits; in int8 or int4 */           \
    X(void, decode_rows, (const gp_decode *d, int64_t lo, int64_t hi))                                                 \
    X(void, decode_rounded, (const gp_decode *d, int64_t lo, int64_t hi))                                              \
    /* rows of x (rows,I) for decode_rounded */                                                                        \
    X(void, round_rows, (const float *x, int64_t rows, int64_t I, const gp_rounded *to))                               \
    /* outputs o = lo .. hi of a weight in a format as fp32 rows of I numbers, and as bf16 */                          \
    X(void, decode_weights, (const gp_weight *w, int64_t lo, int64_t hi, float *rows))                                 \
    X(void, decode_weights_bf16, (const gp_weight *w, int64_t lo, int64_t hi, uint16_t *rows))                         \
    /* gp_weight_encode_rows */                                                                                        \
    X(void, encode_rows,                                                                                               \
      (gp_weight_format f, const float *w, int64_t rows, int64_t stride, int64_t I, int64_t first, int64_t count,      \
       void *dst))                                                                                                     \
    /* W stored (I,O): sums (B,O), in the columns lo .. hi = x W over part columns.part of `parts` of the inputs */    \
    /* (1, 2 or 4); scratch of GP_DECODE_SCRATCH B (hi - lo) floats */                                                 \
    X(void, decode_columns, (const gp_decode *d, gp_range columns, int parts, float *sums, float *scratch))            \
    /* the largest of each GP_SAMPLE_STRIP of n logits, but NaN; false if any is NaN or infinity */                    \
    X(bool, sample_largest, (const float *x, int64_t n, float *strips))                                                \
    /* the sum of n weights of logits, and of each strip; weights NULL: only these */                                  \
    X(int64_t, sample_weights,                                                                                         \
      (const gp_draw_weights *w, const float *x, int64_t n, int64_t *weights, int64_t *strips))                        \
    /* a gp_product_kernel */                                                                                          \
    X(void, matmul,                                                                                                    \
      (const gp_product *p, const float *a, const float *b, const float *bias, float *c, int part, int parts,          \
       float *scratch))

/* The cross-entropy of rows of V logits, with class weights and label smoothing as in gp_head_op. */
typedef struct gp_loss {
    int64_t V;
    bool train;
    float scale;
    const float *weights; /* (V) or NULL: all 1 */
    float smoothing;
    double sum_weights; /* V without weights; used with smoothing alone */
} gp_loss;

/* Rows of x in 16 bits: x = scale q. The q of 8 whole blocks are interleaved as the weight's are. */
typedef struct gp_rounded {
    int16_t *q;   /* (B, gp_rounded_stride) */
    float *scale; /* (B) */
    float *sums;  /* int4: (B, I / GP_WEIGHT_GROUP, 16) sums of the q that a lane multiplies by; int8: NULL */
} gp_rounded;

static inline int64_t gp_rounded_stride(int64_t I)
{
    return (I + GP_WEIGHT_BLOCK - 1) / GP_WEIGHT_BLOCK * GP_WEIGHT_BLOCK;
}

typedef struct gp_decode {
    int64_t B, I, O;
    const float *x; /* (B,I) */
    const void *w;
    gp_weight_format format;
    size_t row_bytes;   /* decode_rows: from one output's inputs to the next's */
    float *y;           /* (B,O) */
    bool fetch;         /* W by instructions, before it is read */
    gp_rounded rounded; /* decode_rounded */
} gp_decode;

/* decode_columns adds the inputs in this many segments, (s0 + s1) + (s2 + s3). */
enum { GP_DECODE_SEGMENTS = 4, GP_DECODE_SCRATCH = 2 };

struct gp_kernels {
    const char *level;
#define GP_MEMBER(result, name, parameters) result(*name) parameters;
    GP_KERNELS(GP_MEMBER)
#undef GP_MEMBER
};

/* Floats of scratch that attention_forward or attention_backward needs for heads of size D over T positions. */
static inline int64_t gp_attention_scratch(int64_t T, int64_t D, bool backward)
{
    int64_t Tp = (int64_t)gp_round_up((size_t)T, GP_PAD), Dp = (int64_t)gp_round_up((size_t)D, GP_PAD);
    int64_t head = Tp * Dp, block = GP_TILE_Q * Dp, tile = GP_TILE_Q * GP_TILE_K;
    return backward ? 7 * head + block + 2 * tile + GP_TILE_K : 2 * head + 2 * block + tile + GP_TILE_K;
}

#ifdef GP_SIMD
#define GP_JOIN2(a, b)                         a##b
#define GP_JOIN(a, b)                          GP_JOIN2(a, b)
#define KERNEL(name)                           GP_JOIN(gp_##name##_, GP_SIMD)
#define GP_PROTOTYPE(result, name, parameters) result KERNEL(name) parameters;
GP_KERNELS(GP_PROTOTYPE)
#undef GP_PROTOTYPE
#endif

#ifdef GP_NEON
extern const gp_kernels gp_kernels_neon;
#else
extern const gp_kernels gp_kernels_baseline;
#endif
#ifdef GP_X86
extern const gp_kernels gp_kernels_avx2, gp_kernels_avx512;
#endif
#ifdef GP_AMX
gp_product_kernel gp_amx_product; /* amx_product.c */
#endif

#endif

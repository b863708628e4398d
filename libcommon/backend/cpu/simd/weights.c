/* weights.c: weights from their formats to the dtype of products. */
#include "backend/cpu/kernels.h"
#include "backend/cpu/simd/weight_block.h"

#include <string.h>

/* Inputs [first, first + count) of a row to x; first is a multiple of GP_WEIGHT_BLOCK. */
static inline __attribute__((always_inline)) void load_inputs(const weight_row *r, int64_t first, int64_t count,
                                                              float *x)
{
    block_scales scale;
    vec w[BLOCK_VECTORS];
    for (int64_t i = 0; i < count; i += GP_WEIGHT_BLOCK) {
        int64_t block = (first + i) / GP_WEIGHT_BLOCK, k = i / GP_WEIGHT_BLOCK % SCALES;
        if (!k)
            load_scales(r, block, gp_min(SCALES, (count - i + GP_WEIGHT_BLOCK - 1) / GP_WEIGHT_BLOCK), &scale);
        load_block(r, block, scale.d[k], scale.m[k], w);
        if (count - i >= GP_WEIGHT_BLOCK)
            for (int v = 0; v < BLOCK_VECTORS; v++)
                vec_store(x + i + v * WIDTH, w[v]);
        else
            memcpy(x + i, w, (size_t)(count - i) * sizeof *x);
    }
}

/* The same, with a loop for each format. */
static void load_part(weight_row r, int64_t first, int64_t count, float *x)
{
#define GP_LOAD(f)                                                                                                     \
    case f:                                                                                                            \
        r.format = f;                                                                                                  \
        load_inputs(&r, first, count, x);                                                                              \
        break;
    switch (r.format) {
        GP_LOAD(GP_WEIGHTS_BF16)
        GP_LOAD(GP_WEIGHTS_FP16)
        GP_LOAD(GP_WEIGHTS_INT8)
        GP_LOAD(GP_WEIGHTS_INT4)
    default:
        BUG_ON(true);
    }
#undef GP_LOAD
}

void KERNEL(decode_weights)(const gp_weight *w, int64_t lo, int64_t hi, float *rows)
{
    int64_t I = gp_weight_inputs(w);
    for (int64_t o = lo; o < hi; o++, rows += I)
        load_part(weight_row_at(w->format, gp_weight_row_at(w, o), I), 0, I, rows);
}

void KERNEL(decode_weights_bf16)(const gp_weight *w, int64_t lo, int64_t hi, uint16_t *rows)
{
    enum { STRIP = 512 };
    int64_t I = gp_weight_inputs(w);
    float part[STRIP];
    for (int64_t o = lo; o < hi; o++, rows += I)
        for (int64_t i = 0; i < I; i += STRIP) {
            int64_t n = gp_min(STRIP, I - i);
            load_part(weight_row_at(w->format, gp_weight_row_at(w, o), I), i, n, part);
            KERNEL(to_bf16)(rows + i, part, n);
        }
}

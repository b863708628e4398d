/* weights.c: weights from their formats to the dtype of products. */
#include "backend/cpu/kernels.h"

#include <string.h>

void KERNEL(decode_weights)(const gp_weight *w, int64_t lo, int64_t hi, float *rows)
{
    int64_t I = gp_weight_inputs(w);
    for (int64_t o = lo; o < hi; o++, rows += I)
        gp_weight_decode(w->format, gp_weight_row_at(w, o), I, rows);
}

void KERNEL(decode_weights_bf16)(const gp_weight *w, int64_t lo, int64_t hi, uint16_t *rows)
{
    int64_t I = gp_weight_inputs(w);
    float part[GP_WEIGHT_BLOCK];
    for (int64_t o = lo; o < hi; o++, rows += I)
        for (int64_t i = 0; i < I; i += GP_WEIGHT_BLOCK) {
            int64_t n = gp_min(GP_WEIGHT_BLOCK, I - i);
            gp_weight_decode_part(w->format, gp_weight_row_at(w, o), I, i, n, part);
            KERNEL(to_bf16)(rows + i, part, n);
        }
}

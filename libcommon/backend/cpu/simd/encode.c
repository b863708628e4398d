/* encode.c: rows of a weight format from fp32. */
#include "backend/cpu/kernels.h"
#include "backend/cpu/simd/vector.h"

#define GP_ENCODE_LANES WIDTH
#include "backend/weight_encode.h"

void KERNEL(encode_rows)(gp_weight_format f, const float *w, int64_t rows, int64_t stride, int64_t I, int64_t first,
                         int64_t count, void *dst)
{
    encode_rows(f, w, rows, stride, I, first, count, dst);
}

/* decode_rows.c: products of a few rows of x with a weight whose rows are outputs: stored (O,I) in fp32, or in a format
 * of 16 bits, whose numbers are those of gp_weight_decode. (int8, int4: decode_rounded.c.) A row of W is read once for
 * up to SAMPLES rows of x.
 *
 * The order of a sum depends on I alone: input i is added to lane i % WIDTH, and the lanes as vec_total does. */
#include "backend/cpu/kernels.h"
#include "backend/cpu/simd/weight_block.h"

/* Sums of a tile stay in registers. One row of x alone takes several outputs, since each is one chain of additions. */
enum { SAMPLES = 8, OUTPUTS = ROWS == 8 ? 2 : 1, OUTPUTS_ALONE = 4 };

/* WIDTH inputs of a row from input i on. Rows in a format are padded with zeros and can be read past the last input. */
static inline vec load_weights(gp_weight_format format, const char *row, int64_t i)
{
    if (format == GP_WEIGHTS_FP32)
        return vec_load((const float *)(const void *)row + i);
    return format == GP_WEIGHTS_FP16 ? vec_from_fp16(u16_at(row + 2 * i)) : vec_from_bf16(u16_at(row + 2 * i));
}

/* n < WIDTH numbers, then zeros. */
static inline vec load_first(const float *x, int64_t n)
{
    vec v = {0};
    memcpy(&v, x, (size_t)n * sizeof *x);
    return v;
}

/* `outputs` outputs from o on, `apart` from each other, of rows b .. b + samples of x; those past `end` are output
 * end - 1 again. The outputs after them, `ahead` of each, are fetched a line at a time. */
static inline __attribute__((always_inline)) void tile(gp_weight_format format, const gp_decode *d, int64_t o,
                                                       int64_t end, int outputs, int64_t apart, int64_t b, int samples)
{
    const int64_t number = format == GP_WEIGHTS_FP32 ? sizeof(float) : sizeof(uint16_t);
    const float *x = d->x + b * d->I;
    const char *row[OUTPUTS_ALONE];
    vec sum[OUTPUTS_ALONE][SAMPLES] = {0};
    bool fetch = d->fetch && !b;
    int64_t ahead = apart == 1 ? outputs : 1;
    int64_t i = 0;
    for (int k = 0; k < outputs; k++)
        row[k] = (const char *)d->w + (size_t)gp_min(o + k * apart, end - 1) * d->row_bytes;
    for (; i + WIDTH <= d->I; i += WIDTH) {
        vec w[OUTPUTS_ALONE];
        for (int k = 0; k < outputs; k++)
            w[k] = load_weights(format, row[k], i);
        if (fetch && i * number % LINE == 0)
            for (int k = 0; k < outputs; k++)
                fetch_line(row[k] + i * number + (size_t)ahead * d->row_bytes);
        for (int s = 0; s < samples; s++)
            for (int k = 0; k < outputs; k++)
                sum[k][s] += w[k] * vec_load(x + s * d->I + i);
    }
    if (i < d->I)
        for (int k = 0; k < outputs; k++) {
            vec w = format == GP_WEIGHTS_FP32 ? load_first((const float *)(const void *)row[k] + i, d->I - i)
                                              : load_weights(format, row[k], i);
            for (int s = 0; s < samples; s++)
                sum[k][s] += w * load_first(x + s * d->I + i, d->I - i);
        }
    for (int k = 0; k < outputs; k++)
        for (int s = 0; s < samples; s++)
            d->y[(b + s) * d->O + gp_min(o + k * apart, end - 1)] = vec_total(sum[k][s]);
}

/* The rows of x that are computed at once stay in the first cache, and those of W in the second. For one row of x, the
 * outputs are OUTPUTS_ALONE streams of `each`: memory gives more of several at once. */
static inline __attribute__((always_inline)) void rows_in(gp_weight_format format, const gp_decode *d, int64_t lo,
                                                          int64_t hi)
{
    enum { OUTPUTS_CACHED = 16 };
    int64_t each = (hi - lo + OUTPUTS_ALONE - 1) / OUTPUTS_ALONE;
    for (int64_t o = lo; d->B == 1 && o < lo + each; o++)
        tile(format, d, o, hi, OUTPUTS_ALONE, each, 0, 1);
    for (int64_t first = lo; d->B > 1 && first < hi; first += OUTPUTS_CACHED) {
        int64_t end = gp_min(first + OUTPUTS_CACHED, hi), samples;
        for (int64_t b = 0; b < d->B; b += samples) {
            int64_t left = d->B - b;
            samples = left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
            for (int64_t o = first; o < end; o += OUTPUTS) {
                if (samples == 8)
                    tile(format, d, o, end, OUTPUTS, 1, b, 8);
                else if (samples == 4)
                    tile(format, d, o, end, OUTPUTS, 1, b, 4);
                else if (samples == 2)
                    tile(format, d, o, end, OUTPUTS, 1, b, 2);
                else
                    tile(format, d, o, end, OUTPUTS, 1, b, 1);
            }
        }
    }
}

/* The format outside of the loops, so that each knows its own. */
void KERNEL(decode_rows)(const gp_decode *d, int64_t lo, int64_t hi)
{
    if (d->format == GP_WEIGHTS_FP32)
        rows_in(GP_WEIGHTS_FP32, d, lo, hi);
    else if (d->format == GP_WEIGHTS_BF16)
        rows_in(GP_WEIGHTS_BF16, d, lo, hi);
    else if (d->format == GP_WEIGHTS_FP16)
        rows_in(GP_WEIGHTS_FP16, d, lo, hi);
    else
        BUG_ON(true);
}

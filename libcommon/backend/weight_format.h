/* weight_format.h: how a matrix that products read is stored in a model that does not train.
 *
 *     size_t bytes = gp_weight_row_bytes(GP_WEIGHTS_INT8, I);         // of each of the O rows
 *     gp_weight_encode(GP_WEIGHTS_INT8, row, I, slot + o * bytes);    // row: the I inputs of output o
 *     gp_weight_decode(GP_WEIGHTS_INT8, slot + o * bytes, I, row);    // what products then compute with
 *
 * fp32 is read where the model has its parameters, in the parameter's own layout. Every other format stores O rows of I
 * inputs, whatever the layout of the parameter, so that a product is a dot product of a row with x. Formats exist in
 * memory alone, in no file. The parts of a row begin at multiples of 64 bytes and are padded with zeros:
 *
 *   bf16, fp16  I numbers, rounded to nearest even
 *   int8        blocks of 32 inputs, w = d q: an fp16 d for each block; then I int8 q.
 *               d = max |w| / 127, q = w / d to nearest: ggml's Q8_0 in another order
 *   int4        blocks of 32 inputs, w = d q + m, 0 <= q <= 15: an fp16 d for each block, directly after them an fp16
 *               m for each; then 16 bytes a block: byte j has the block's input j in its low half, input j + 16 in its
 *               high half: ggml's Q4_1 in another order, d and m of the least squared error among a few candidates
 *
 * The q of 8 whole blocks, a group, are interleaved by 4 bytes: block 0's first four, block 1's first four, ..., block
 * 7's, block 0's next four. So a vector of them has the same inputs of all blocks, and each of its lanes adds products
 * of one block. Blocks after the last whole group follow one another.
 *
 * The last block may have fewer than 32 inputs. The q of missing ones are 0, which in int4 is not the number 0: kernels
 * must not read x past input I - 1.
 *
 * Products of many rows of x compute with gp_weight_decode's numbers. Those of decoding in int8 and int4 round x too
 * (gp_weight_round_input), so that products are of integers. */
#ifndef GP_BACKEND_WEIGHT_FORMAT_H
#define GP_BACKEND_WEIGHT_FORMAT_H

#include "base/base.h"
#include "gptpipe/choice.h"

#ifdef __cplusplus
extern "C" {
#endif

#define GP_WEIGHT_FORMATS(X)                                                                                           \
    X(GP_WEIGHTS_FP32, "fp32")                                                                                         \
    X(GP_WEIGHTS_BF16, "bf16")                                                                                         \
    X(GP_WEIGHTS_FP16, "fp16")                                                                                         \
    X(GP_WEIGHTS_INT8, "int8")                                                                                         \
    X(GP_WEIGHTS_INT4, "int4")
typedef enum gp_weight_format { GP_WEIGHT_FORMATS(GP_CHOICE_VALUE) } gp_weight_format;

enum { GP_WEIGHT_BLOCK = 32, GP_WEIGHT_ALIGN = 64, GP_WEIGHT_PIECE = 4, GP_WEIGHT_GROUP = 8 * GP_WEIGHT_BLOCK };

/* Where the parts of a row stand, in bytes from its beginning. */
typedef struct gp_weight_row {
    size_t minimums; /* int4: the m of the blocks; the d begin at 0 */
    size_t numbers;  /* the numbers, or q */
    size_t bytes;    /* of the row */
} gp_weight_row;

/* For each format but fp32; the distance from row to row is `bytes`. */
static inline gp_weight_row gp_weight_row_of(gp_weight_format f, int64_t I)
{
    size_t blocks = ((size_t)I + GP_WEIGHT_BLOCK - 1) / GP_WEIGHT_BLOCK, scales = 2 * blocks;
    gp_weight_row row = {0, 0, 0};
    size_t bytes = 2 * (size_t)I;
    if (f == GP_WEIGHTS_INT8) {
        row.numbers = gp_round_up(scales, GP_WEIGHT_ALIGN);
        bytes = (size_t)I;
    } else if (f == GP_WEIGHTS_INT4) {
        row.minimums = scales;
        row.numbers = gp_round_up(2 * scales, GP_WEIGHT_ALIGN);
        bytes = blocks * (GP_WEIGHT_BLOCK / 2);
    }
    row.bytes = row.numbers + gp_round_up(bytes, GP_WEIGHT_ALIGN);
    return row;
}

static inline size_t gp_weight_row_bytes(gp_weight_format f, int64_t I)
{
    return gp_weight_row_of(f, I).bytes;
}

/* The I inputs of one output from fp32, and to fp32; f is not fp32. Every |w| must be at most gp_weight_format_max. */
void gp_weight_encode(gp_weight_format f, const float *row, int64_t I, void *dst);
void gp_weight_decode(gp_weight_format f, const void *src, int64_t I, float *row);

/* Inputs [first, first + count) alone, which are at w; first is a multiple of GP_WEIGHT_BLOCK, and so is count but at
 * the row's end. Threads may encode different parts of one row. */
void gp_weight_encode_part(gp_weight_format f, const float *w, int64_t I, int64_t first, int64_t count, void *dst);
void gp_weight_decode_part(gp_weight_format f, const void *src, int64_t I, int64_t first, int64_t count, float *w);

/* The same of `rows` rows one after the other: those of row r are at w + r * stride. */
typedef void gp_weight_encoder(gp_weight_format f, const float *w, int64_t rows, int64_t stride, int64_t I,
                               int64_t first, int64_t count, void *dst);
gp_weight_encoder gp_weight_encode_rows;

/* Whether products of decoding round x. */
static inline bool gp_weight_rounds_input(gp_weight_format f)
{
    return f == GP_WEIGHTS_INT8 || f == GP_WEIGHTS_INT4;
}

/* x to d q with one d for all n numbers, d = max |x| / 32767, q to nearest even: errors of at most d / 2, together at
 * most sqrt(n) / 65534 of x's norm, where bf16's may be 1 / 512. Returns d: 0 where max |x| < GP_WEIGHT_LEAST_INPUT,
 * and NaN where a number is not finite, so that products with it are NaN. */
float gp_weight_round_input(const float *x, int64_t n, int16_t *q);
#define GP_WEIGHT_INPUT_STEPS 32767.0F
#define GP_WEIGHT_LEAST_INPUT 0x1p-100F

/* The largest magnitude that a format stores: 65504 in fp16 and int4, 127 times that in int8. */
float gp_weight_format_max(gp_weight_format f);

const char *gp_weight_format_name(gp_weight_format f); /* "int8" */

#ifdef __cplusplus
}
#endif
#endif

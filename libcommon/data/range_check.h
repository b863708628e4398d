/* range_check.h: reads bytes of a tensor once: their CRC-32C, and whether its numbers are finite. Block by block, each
 * of which fits a processor's cache. Called by several threads for the ranges of a tensor. */
#ifndef GP_DATA_RANGE_CHECK_H
#define GP_DATA_RANGE_CHECK_H

#include "base/base.h"
#include "gptpipe/tensor.h"

typedef struct gp_range_check {
    uint32_t crc; /* 0 where it was not asked for */
    bool finite;  /* likewise true */
} gp_range_check;

/* Whether a tensor of this dtype can have numbers that are not finite, and they are looked for: F32, F16, BF16. */
bool gp_range_has_floats(gp_dtype dtype);

/* Of whole numbers of the dtype. */
gp_range_check gp_range_check_bytes(const void *data, int64_t bytes, gp_dtype dtype, bool crc, bool finite);

/* The CRC of the whole from those of its ranges, each of `each` bytes, the last one of the rest of `bytes`. */
uint32_t gp_range_join(const gp_range_check *ranges, int64_t count, int64_t each, int64_t bytes);

#endif

/* writer.h: what a format implements to be written: tensors are declared, then their numbers come in the order of the
 * declarations, as fp32, in as many calls as it takes. */
#ifndef GP_CHECKPOINT_WRITER_H
#define GP_CHECKPOINT_WRITER_H

#include "base/base.h"
#include "gptpipe/checkpoint.h"

typedef struct gp_tensor_writer {
    void *self;
    /* A tensor of this shape. 0 or -1. */
    int (*declare)(void *self, const char *name, int ndim, const int64_t *dim);
    /* The next `count` numbers, rounded to nearest even; calls never cross the end of a tensor, and all of a tensor's
     * calls but the last come in multiples of 256 numbers or of whole rows (so that blocks of 32 can be formed: a row
     * of a quantized tensor is a multiple of 32). 0 or -1. */
    int (*write)(void *self, const float *x, int64_t count);
    float largest; /* a number beyond this has no finite form in the output */
} gp_tensor_writer;

/* writer.c: how fp32, bf16 and fp16 are stored; the largest number that stays finite when it is rounded. */
gp_dtype gp_store_dtype(gp_store store);
float gp_store_largest(gp_store store);

/* Hands x on as numbers of a float dtype, through a small buffer where they are converted. 0, or what put returned. */
typedef int gp_put_fn(void *self, const void *data, size_t bytes);
int gp_put_numbers(gp_dtype dtype, const float *x, int64_t count, gp_put_fn *put, void *self);

#endif

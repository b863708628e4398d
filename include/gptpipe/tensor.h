/* tensor.h: a view of an array: data pointer, dtype and dims. It is row-major, without strides, graph or ownership.
 *
 *     float x[6] = {0};
 *     gp_tensor t = gp_tensor_view(x, GP_F32, 2, 2, 3);      // (2,3)
 *     gp_tensor_count(&t);                                    // 6
 */
#ifndef GPTPIPE_TENSOR_H
#define GPTPIPE_TENSOR_H

#include <stdint.h>

#include "gptpipe/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum gp_dtype { GP_F32, GP_BF16, GP_F16, GP_F64, GP_I32, GP_I64, GP_U8, GP_DTYPES } gp_dtype;

enum { GP_MAX_DIMS = 5 };

typedef struct gp_tensor {
    void *data; /* host memory or the backend's; its owner is documented where the tensor is created */
    gp_dtype dtype;
    int ndim;
    int64_t dim[GP_MAX_DIMS]; /* dim[0] is the slowest */
} gp_tensor;

/* A view of data with ndim dims, given as ints. */
GP_API gp_tensor gp_tensor_view(void *data, gp_dtype dtype, int ndim, ...);

GP_API int64_t gp_tensor_count(const gp_tensor *t); /* elements; 1 for a scalar (ndim 0) */
GP_API int64_t gp_tensor_bytes(const gp_tensor *t);

GP_API int gp_dtype_size(gp_dtype dtype);         /* bytes per element */
GP_API const char *gp_dtype_name(gp_dtype dtype); /* its name in safetensors: "F32", ... */

/* Writes dtype and dims, "F32 [2,3]", into text (of `size` bytes) for messages. Returns text. */
GP_API const char *gp_tensor_format(const gp_tensor *t, char *text, int size);

/* Converts count elements at src (any float dtype) to fp32 at dst; src may be misaligned. */
GP_API void gp_to_f32(float *dst, const void *src, gp_dtype dtype, int64_t count);

/* Converts fp32 to F32, BF16 (round to nearest even, NaN stays NaN) or F16. */
GP_API void gp_from_f32(void *dst, gp_dtype dtype, const float *src, int64_t count);

#ifdef __cplusplus
}
#endif
#endif

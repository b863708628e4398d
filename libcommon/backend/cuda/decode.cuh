/* decode.cuh: matrix products with few rows, as in decoding:
 *
 *     y = act(x W + bias)      x (rows,I), W (I,O) or stored (O,I), bias (O) or null; y, pre (rows,O)
 *
 * Batch-invariant: the order in which a row's sums are added depends on I alone, so a row has the same bits alone and
 * among others. */
#ifndef GP_CUDA_DECODE_CUH
#define GP_CUDA_DECODE_CUH

#include "backend/cuda/activation.cuh"
#include "backend/cuda/device.cuh"
#include "backend/cuda/kernel.cuh"

struct Decode {
    const void *x, *w; /* in the dtype of the products */
    bool by_output;    /* W is stored (O,I) */
    const float *bias;
    void *y, *pre; /* pre may be null */
    bool fp32_out; /* y and pre are fp32, whatever the type of x */
    gp_act act;
    int64_t rows, I, O;
    /* x = norm(residual + branch), computed by each block that needs it; block x = 0 writes sum. residual null: x is
     * given. */
    /* (rows,I) in the dtype of the products; branch may be null, and then sum may be too */
    const void *residual, *branch;
    const float *gamma, *beta; /* (I); beta may be null */
    void *sum;
    float eps;
};

/* Whether the tensor-core kernel supports it: bf16, rows of whole packs, 16-byte alignment; and its launch
 * (decode_tensor.cu). */
bool decode_fits_tensor(const gp_backend *be, const Decode *d);
void decode_tensor(gp_backend *be, const Decode *d);

/* Whether that kernel can also compute the norm that gives x. */
bool decode_fits_norm(const gp_backend *be, const Decode *d);

template <class T> __device__ __forceinline__ void decode_store(void *y, bool fp32_out, int64_t i, float value)
{
    if (fp32_out)
        static_cast<float *>(y)[i] = value;
    else
        static_cast<T *>(y)[i] = from_float<T>(value);
}

/* Epilogue: one sum becomes one element of y. bias: of output o, or 0. */
template <class T>
__device__ __forceinline__ void decode_finish(const Decode &d, int64_t row, int64_t o, float sum, float bias)
{
    if (d.bias)
        sum += bias;
    if (d.pre)
        decode_store<T>(d.pre, d.fp32_out, row * d.O + o, sum);
    decode_store<T>(d.y, d.fp32_out, row * d.O + o, act_value(d.act, sum));
}

#endif

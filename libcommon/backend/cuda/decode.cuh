/* decode.cuh: products of few rows, as decoding asks for them:
 *
 *     y = act(x W + bias)      x (rows,I), W (I,O) or stored (O,I), bias (O) or null; y, pre (rows,O)
 *
 * A row's sums are added in an order that I alone decides, so it has the same bits alone and among others. */
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
    bool wide;     /* y and pre are fp32, whatever x is */
    gp_act act;
    int64_t rows, I, O;
    /* x = norm(residual + branch), made by each block that needs it; residual null: x is there. One of them writes
     * sum. */
    const void *residual, *branch; /* (rows,I) in the dtype of the products; branch may be null, and then sum is */
    const float *gamma, *beta;     /* (I); beta may be null */
    void *sum;
    float eps;
};

/* Whether the tensor cores can do it, which needs bf16 and rows of whole packs; and doing it (decode_tensor.cu). */
bool decode_fits_tensor(const gp_backend *be, const Decode *d);
void decode_tensor(gp_backend *be, const Decode *d);

/* Whether it can make x of what a norm reads, too. */
bool decode_fits_norm(const gp_backend *be, const Decode *d);

template <class T> __device__ __forceinline__ void decode_store(void *y, bool wide, int64_t i, float value)
{
    if (wide)
        static_cast<float *>(y)[i] = value;
    else
        static_cast<T *>(y)[i] = from_float<T>(value);
}

/* The end of every product: one sum becomes one number of y. bias: output o's, or 0. */
template <class T>
__device__ __forceinline__ void decode_finish(const Decode &d, int64_t row, int64_t o, float sum, float bias)
{
    if (d.bias)
        sum += bias;
    if (d.pre)
        decode_store<T>(d.pre, d.wide, row * d.O + o, sum);
    decode_store<T>(d.y, d.wide, row * d.O + o, act_value(d.act, sum));
}

#endif

/* order.cuh: sorts rows by their ids, for gradients that are accumulated by id. */
#ifndef GP_CUDA_ORDER_CUH
#define GP_CUDA_ORDER_CUH

#include "backend/cuda/device.cuh"

constexpr int LISTS = 3;

/* Up to three lists of N ids each, sorted by the same launches. */
struct Lists {
    int count;
    int64_t N;
    int32_t max_id;            /* max of all ids */
    const int32_t *ids[LISTS]; /* (N); null: all 0 */
    int32_t *rows[LISTS];      /* (N) = 0..N-1 by ascending id, equal ids by ascending row */
};

/* workspace: order_workspace(N) bytes. */
void order_rows(gp_backend *be, const Lists *lists, void *workspace);
size_t order_workspace(int64_t N);

static __device__ __forceinline__ int32_t id_of(const int32_t *ids, int32_t row)
{
    return ids ? ids[row] : 0;
}

#endif

/* cuda.c: the table of the CUDA backend, and the size of its workspace. */
#include "backend/cuda/cuda.h"

#ifndef GP_CUDA_BUILT_FOR /* set by cuda.cmake */
#define GP_CUDA_BUILT_FOR "the simulator"
#endif
const char gp_cuda_built_for[] = GP_CUDA_BUILT_FOR;

static size_t plan(gp_backend *be, const gp_shape *shape)
{
    static size_t (*const workspaces[])(const gp_backend *, const gp_shape *) = {
        gp_cuda_norm_workspace, gp_cuda_embed_workspace,  gp_cuda_linear_workspace, gp_cuda_attention_workspace,
        gp_cuda_head_workspace, gp_cuda_update_workspace, gp_cuda_decode_workspace, gp_cuda_sample_workspace,
    };
    size_t max_bytes = 0;
    for (size_t i = 0; i < ARRAY_LEN(workspaces); i++) {
        size_t bytes = workspaces[i](be, shape);
        max_bytes = bytes > max_bytes ? bytes : max_bytes;
    }
    return max_bytes;
}

#define GP_ENTRY(name, parameters) , .name = gp_cuda_##name
static const gp_backend_ops cuda_ops = {
    .name = "cuda",
    .close = gp_cuda_device_close,
    .alloc = gp_cuda_alloc,
    .free = gp_cuda_free,
    .zero = gp_cuda_zero,
    .upload = gp_cuda_upload,
    .upload_as = gp_cuda_upload_as,
    .download = gp_cuda_download,
    .copy = gp_cuda_copy,
    .sync = gp_cuda_sync,
    .available_memory = gp_cuda_available_memory,
    .alloc_host = gp_cuda_alloc_host,
    .free_host = gp_cuda_free_host,
    .download_later = gp_cuda_download_later,
    .mark_set = gp_cuda_mark_set,
    .mark_wait = gp_cuda_mark_wait,
    .mark_free = gp_cuda_mark_free,
    .mark_seconds = gp_cuda_mark_seconds,
    .record_begin = gp_cuda_record_begin,
    .record_end = gp_cuda_record_end,
    .record_free = gp_cuda_record_free,
    .plan = plan,
    .attention_by = gp_cuda_attention_by,
    .choose_product = gp_cuda_choose_product,
    .weight_open = gp_cuda_weight_open,
    .weight_bytes = gp_cuda_weight_bytes,
    .weights_changed = gp_cuda_weights_changed,
    .weight_close = gp_cuda_weight_close GP_OPS(GP_ENTRY),
};

/* dtype auto is bf16 where the device supports it (sm_80 and later); activations have the dtype of the matrix
 * products. */
int gp_cuda_open(gp_backend *be)
{
    be->ops = &cuda_ops;
    return gp_cuda_device_open(be);
}

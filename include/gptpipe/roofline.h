/* roofline.h: the expected speed of a model on a GPU, computed from the GPU's data sheet. Nothing is measured.
 *
 *     gp_mfu_plan plan = {.batch_size = 16, .seq_len = 1024, .decode_batch = 1, .passes = GP_PASS_ALL};
 *     gp_roofline *p = gp_roofline_compute(&config, GP_ROOFLINE_H200, &plan);
 *     if (!p) ...gp_error()...
 *     gp_roofline_print(p, stdout, true);
 *     gp_roofline_free(p);
 *
 * The model's code runs on a backend that counts FLOPs and bytes of each kernel instead of computing. The limit of a
 * kernel is FLOPs / peak or bytes / bandwidth, whichever is longer (the roofline). The share of it that a kernel is
 * expected to reach depends on its kind, and is printed with the reason. Each launch has a latency.
 */
#ifndef GPTPIPE_ROOFLINE_H
#define GPTPIPE_ROOFLINE_H

#include "gptpipe/mfu.h"

#ifdef __cplusplus
extern "C" {
#endif

/* a100 is the A100 of 40 GB (SXM4), a100-80gb that of 80 GB, h100 and h200 are the SXM modules. */
#define GP_ROOFLINE_GPUS(X)                                                                                            \
    X(GP_ROOFLINE_NONE, "")                                                                                            \
    X(GP_ROOFLINE_A100, "a100")                                                                                        \
    X(GP_ROOFLINE_A100_80GB, "a100-80gb")                                                                              \
    X(GP_ROOFLINE_H100, "h100")                                                                                        \
    X(GP_ROOFLINE_H200, "h200")
typedef enum gp_roofline_gpu { GP_ROOFLINE_GPUS(GP_CHOICE_VALUE) } gp_roofline_gpu;

/* The plan's passes in bf16, with or without master weights; its peak, seconds and ops are ignored. The caller frees
 * it. */
typedef struct gp_roofline gp_roofline;
GP_API gp_roofline *gp_roofline_compute(const gp_config *c, gp_roofline_gpu gpu, const gp_mfu_plan *plan);
GP_API void gp_roofline_free(gp_roofline *p);

/* The GPU of a vendor's entry, or GP_ROOFLINE_NONE. */
GP_API gp_roofline_gpu gp_roofline_gpu_of(const gp_vendor *vendor);

/* Expected tokens a second of a pass; 0 if it was not in the plan. */
GP_API double gp_roofline_tok_s(const gp_roofline *p, gp_pass pass);

/* A table by kernel for each pass, with each factor's reason if `reasons`; or one JSON object without a newline. */
GP_API void gp_roofline_print(const gp_roofline *p, FILE *out, bool reasons);
GP_API void gp_roofline_json(const gp_roofline *p, FILE *out);

#ifdef __cplusplus
}
#endif
#endif

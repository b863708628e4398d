/* mfu.h: how fast a model runs, beside what the machine can do.
 *
 * Model FLOP utilization (Chowdhery et al. 2022, appendix B) = FLOPs the model needs a second / peak FLOP/s.
 * The peak is measured here, by the backend's own matrix multiply on square matrices; no vendor figure is
 * assumed. FLOPs a token: gp_config_flops, x 3 when training (forward, and two products backward).
 */
#ifndef GPTPIPE_MFU_H
#define GPTPIPE_MFU_H

#include "gptpipe/model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Best FLOP/s of an (n,n) x (n,n) product on this backend within `seconds`. */
GP_API double gp_measure_peak(gp_backend *be, int64_t n, double seconds);

/* Best bytes a second of a copy that does not fit the caches, reads and writes counted, on its threads. */
GP_API double gp_measure_bandwidth(gp_backend *be, double seconds);

typedef struct gp_speed {
    int64_t runs;
    double tok_s, tok_s_least, tok_s_most; /* median and spread over the runs */
    double flops_token;                    /* FLOPs of one token */
} gp_speed;

/* Repeats a pass for about `seconds` after a warm-up, on random ids. */
GP_API int gp_measure_forward(gp_model *m, int64_t B, int64_t T, double seconds, gp_speed *speed);
GP_API int gp_measure_train(gp_model *m, int64_t B, int64_t T, double seconds, gp_speed *speed);
GP_API int gp_measure_decode(gp_model *m, int64_t B, int64_t T, double seconds, gp_speed *speed);

#ifdef __cplusplus
}
#endif
#endif

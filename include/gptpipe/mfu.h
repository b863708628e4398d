/* mfu.h: how fast a model runs, compared with the machine's peak.
 *
 *     gp_mfu_plan plan = {.batch_size = 8, .seq_len = 256, .decode_batch = 1, .seconds = 2, .passes = GP_PASS_ALL};
 *     gp_mfu *r = gp_mfu_measure(m, &plan);      // m was created to train, if passes has GP_PASS_TRAIN
 *     if (!r) ...gp_error()...
 *     gp_mfu_print(r, stdout, true);
 *     gp_mfu_free(r);
 *
 * Model FLOP utilization (Chowdhery et al. 2022, appendix B) = FLOP/s that the model needs / peak FLOP/s. FLOPs a
 * token: gp_config_flops, x 3 when training (forward, and two products backward). The peak is measured by the backend's
 * own matrix multiply on square matrices, before and after the passes; the vendor's figure is printed too if it is
 * known.
 */
#ifndef GPTPIPE_MFU_H
#define GPTPIPE_MFU_H

#include <stdio.h>

#include "gptpipe/measure.h"
#include "gptpipe/model.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum gp_pass {
    GP_PASS_FORWARD = 1, /* the loss of a batch */
    GP_PASS_TRAIN = 2,   /* a whole optimizer step */
    GP_PASS_PREFILL = 4, /* one prompt into the cache */
    GP_PASS_DECODE = 8,  /* one token a sample, at all positions in turn */
    GP_PASS_ALL = 15
} gp_pass;
GP_API const char *gp_pass_name(gp_pass pass);

/* Of "forward,train,decode", a set of passes; 0 with an error for an unknown pass. */
GP_API int gp_passes_parse(const char *text);

typedef struct gp_mfu_plan {
    int64_t batch_size, seq_len; /* of forward and train; seq_len of prefill too, and decode's last position */
    int64_t decode_batch;
    double seconds; /* for each measurement */
    double peak;    /* FLOP/s; 0: measure it */
    int passes;     /* a set of gp_pass */
    bool ops;       /* also time each op */
    gp_attention_by attention;
    bool measure_products; /* use the fastest of a library's algorithms instead of its heuristic's first choice */
    bool no_masters;       /* roofline: as after gp_backend_drop_masters; a measurement uses the backend's setting */
} gp_mfu_plan;

typedef struct gp_speed {
    int64_t runs;
    double tok_s;                    /* median */
    double tok_s_10, tok_s_90;       /* 10th and 90th percentile */
    double tok_s_min, tok_s_max;     /* slowest and fastest run */
    double flops_token, bytes_token; /* of one token; bytes: read by decode, 0 for other passes */
    double flops_causal;             /* flops_token counts attention in full (PaLM, appendix B); this, only what the
                                      * causal mask leaves */
} gp_speed;

/* Repeats a pass on random ids for about `seconds`, after a warm-up. B is decode_batch when decoding, 1 for a prefill.
 * Plans the memory that the pass needs. */
GP_API int gp_measure(gp_model *m, gp_pass pass, int64_t B, int64_t T, double seconds, gp_speed *speed);

/* All measurements. The caller frees it. */
typedef struct gp_mfu gp_mfu;

/* The i-th thing that turned out while it measured: gp_backend_remark. NULL after the last. */
GP_API const char *gp_mfu_remark(const gp_mfu *r, int i);
GP_API gp_mfu *gp_mfu_measure(gp_model *m, const gp_mfu_plan *plan);
GP_API void gp_mfu_free(gp_mfu *r);

/* For runs on the same machine and threads: gives all of them the best peak and bandwidth that any measured. */
GP_API void gp_mfu_share_peak(gp_mfu *const *run, int count);

/* Prints text, with the formulas and their numbers if `formulas`; or one JSON object without a newline. */
GP_API void gp_mfu_print(const gp_mfu *r, FILE *out, bool formulas);
GP_API void gp_mfu_json(const gp_mfu *r, FILE *out);

/* One parameter varied: value values[i] of `what` ("batch", "context", "threads") gave run[i]. Printed as a table, as
 * JSON, or as a chart of tokens a second. */
typedef struct gp_mfu_sweep {
    const char *what;
    const int64_t *values;
    gp_mfu *const *run;
    int count;
} gp_mfu_sweep;
GP_API void gp_mfu_sweep_print(const gp_mfu_sweep *s, FILE *out);
GP_API void gp_mfu_sweep_json(const gp_mfu_sweep *s, FILE *out);
GP_API void gp_mfu_sweep_svg(const gp_mfu_sweep *s, FILE *out);

#ifdef __cplusplus
}
#endif
#endif

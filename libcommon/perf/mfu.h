/* mfu.h: the result of a speed measurement, for the files that measure and print it. */
#ifndef GP_PERF_MFU_H
#define GP_PERF_MFU_H

#include "backend/measure.h"
#include "backend/profile.h"
#include "perf/bench.h"

typedef struct gp_pass_result {
    gp_pass pass;
    int64_t B, T;
    gp_speed speed;
    double roofline;     /* tokens a second expected by roofline.h; 0: not known for this device */
    double pass_seconds; /* with ops: of one pass while its ops were timed */
    int64_t passes;      /* with ops: number of passes in the profile */
    gp_profile profile;
} gp_pass_result;

struct gp_mfu {
    gp_config config;
    char backend[16], dtype[8], cache_dtype[8], device[128];
    char attention[48]; /* the library that computes it; "": the backend itself */
    int threads;
    double peak, bandwidth;     /* FLOP/s and bytes/s that the results are compared with */
    double copy;                /* bytes/s of a copy on a GPU; 0: not measured */
    double start;               /* seconds of a minimal kernel in a CUDA graph; 0: not measured */
    char products[32];          /* the library of matrix products; "": the backend itself */
    gp_product_choice *choices; /* (choice_count) algorithms chosen by measurement */
    int choice_count;
    double products_seconds; /* spent on measuring them */
    char **remarks;          /* (remark_count) gp_backend_remark's */
    int remark_count;
    bool peak_given, has_vendor;
    gp_vendor vendor;
    double vendor_peak; /* FLOP/s of the dtype; 0: not known */
    gp_memory_use memory;
    int64_t optimizer, resident; /* bytes of the moments; peak resident memory of the process */
    int count;
    gp_pass_result result[GP_PASSES];
};

/* model FLOP/s / peak */
static inline double gp_mfu_of(const gp_speed *s, double peak)
{
    return s->tok_s * s->flops_token / peak;
}

/* The same without what the causal mask hides. */
static inline double gp_mfu_causal(const gp_speed *s, double peak)
{
    return s->tok_s * s->flops_causal / peak;
}

/* Whether the FLOPs of an op bound it, at the peak, or its bytes, at the bandwidth: the roofline (Williams, Waterman &
 * Patterson 2009). */
static inline bool gp_mfu_compute_bound(const gp_mfu *r, const gp_profile_row *op)
{
    return op->cost.flops / r->peak > op->cost.bytes / r->bandwidth;
}

/* The time of that bound / the time that the op took. */
static inline double gp_mfu_of_bound(const gp_mfu *r, const gp_profile_row *op)
{
    return (gp_mfu_compute_bound(r, op) ? op->cost.flops / r->peak : op->cost.bytes / r->bandwidth) / op->seconds;
}

/* mfu_json.c: "vendor": {"name": ..., "flops": ..., "bandwidth": ...}; and the members of "memory" but for
 * workspace. */
void gp_mfu_put_vendor(gp_buf *b, const gp_vendor *vendor, double flops);
void gp_mfu_put_memory(gp_buf *b, const gp_memory_use *u, int64_t optimizer);

/* mfu_print.c: the line about the model; and "weights 1.0, ...: 5.0", in units of so many bytes. */
void gp_mfu_print_model(const gp_config *c, FILE *out);
void gp_mfu_print_memory(const gp_memory_use *u, int64_t optimizer, double unit, FILE *out);

/* mfu_print.c. The reference of a share, and an explanation if such a share of the pass is above 100%, or NULL. */
typedef enum gp_mfu_share {
    GP_SHARE_PEAK,
    GP_SHARE_VENDOR,
    GP_SHARE_BANDWIDTH,
    GP_SHARE_BOUND, /* gp_mfu_of_bound of any op */
    GP_SHARES
} gp_mfu_share;
const char *gp_mfu_note(const gp_mfu *r, const gp_pass_result *p, gp_mfu_share share);

#endif

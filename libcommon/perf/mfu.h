/* mfu.h: what a measurement of speed keeps, for the files that make and print it. */
#ifndef GP_PERF_MFU_H
#define GP_PERF_MFU_H

#include "backend/measure.h"
#include "backend/profile.h"
#include "perf/bench.h"

/* One pass: the median run, and what an average one consists of. */
typedef struct gp_pass_result {
    gp_pass pass;
    int64_t B, T;
    gp_speed speed;
    double roofline;     /* tokens a second that roofline.h expects here; 0: nothing is known */
    double pass_seconds; /* with ops: of one pass while they were timed */
    int64_t passes;      /* with ops: how many the profile holds */
    gp_profile profile;
} gp_pass_result;

struct gp_mfu {
    gp_config config;
    char backend[16], dtype[8], device[128];
    char attention[48]; /* the library that computes it; "" where that is the backend */
    int threads;
    double peak, bandwidth;     /* FLOP/s and bytes/s that everything is set beside */
    double copy;                /* bytes/s of a GPU's copy; 0: none was measured */
    double start;               /* seconds of a GPU's kernel that does nothing, in a recording; 0: not measured */
    char products[32];          /* the library that multiplies; "": the backend's own */
    gp_product_choice *choices; /* (choice_count) where ways to multiply were measured */
    int choice_count;
    double products_seconds; /* that this took */
    bool peak_given, has_vendor;
    gp_vendor vendor;
    double vendor_peak; /* of the dtype; 0: not known */
    gp_memory_use memory;
    int64_t optimizer, resident; /* bytes: of the moments; of the process at most */
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

/* The least time that an op's FLOPs take at the peak, or its bytes at the memory's rate, over the time it took: the
 * roofline (Williams, Waterman & Patterson 2009). */
static inline double gp_mfu_of_bound(const gp_mfu *r, const gp_profile_row *op)
{
    double compute = op->cost.flops / r->peak, memory = op->cost.bytes / r->bandwidth;
    return (compute > memory ? compute : memory) / op->seconds;
}

/* mfu_json.c: "vendor": {"name": ..., "flops": ..., "bandwidth": ...} */
void gp_mfu_put_vendor(gp_buf *b, const gp_vendor *vendor, double flops);

/* mfu_print.c. What a pass's shares are of; and NULL, or what is to be said where one is above 100%. */
typedef enum gp_mfu_share {
    GP_SHARE_PEAK,
    GP_SHARE_VENDOR,
    GP_SHARE_BANDWIDTH,
    GP_SHARE_BOUND, /* any op's of its bound */
    GP_SHARES
} gp_mfu_share;
const char *gp_mfu_note(const gp_mfu *r, const gp_pass_result *p, gp_mfu_share share);

#endif

/* roofline.h: a computed roofline, for the files that compute and print it. */
#ifndef GP_PERF_ROOFLINE_H
#define GP_PERF_ROOFLINE_H

#include "backend/profile.h"
#include "gptpipe/roofline.h"
#include "perf/bench.h"

/* Kinds of kernels, by what keeps them below their limit. */
typedef enum gp_kernel_kind {
    GP_KIND_PRODUCT,
    GP_KIND_ATTENTION,
    GP_KIND_ATTENTION_BACK,
    GP_KIND_DECODE,
    GP_KIND_STREAM,
    GP_KIND_GATHER,
    GP_KINDS
} gp_kernel_kind;

/* The efficiency of kernels on GPUs of one architecture. */
typedef struct gp_chip {
    double compute[GP_KINDS]; /* share of the peak; 0: always memory-bound */
    double memory[GP_KINDS];  /* share of the bandwidth */
    double start;             /* seconds that a kernel of a CUDA graph takes to start and to drain */
    bool fuses_gelu;          /* gp_count_open */
} gp_chip;

typedef struct gp_gpu {
    const char *name, *vendor; /* its name for --roofline, and for gp_vendor_find */
    const gp_chip *chip;
} gp_gpu;

/* All calls of one kernel in one pass. */
typedef struct gp_roofline_row {
    const char *op;
    char shape[24];
    gp_kernel_kind kind;
    double calls, launches, flops, bytes;
    double limit, seconds; /* at the data sheet's figures; at the expected efficiency, without launch latency */
    bool compute;          /* compute-bound, not memory-bound */
} gp_roofline_row;

typedef struct gp_roofline_pass {
    gp_pass pass;
    int64_t B, T;
    gp_speed speed; /* tok_s, flops_token and bytes_token */
    gp_memory_use memory;
    int64_t optimizer;               /* bytes of the moments */
    double limit, seconds, launches; /* of the pass; seconds includes launch latencies */
    int count;
    gp_roofline_row row[GP_PROFILE_ROWS]; /* longest first */
} gp_roofline_pass;

struct gp_roofline {
    gp_config config;
    const gp_gpu *gpu;
    gp_vendor vendor;
    int count;
    gp_roofline_pass result[GP_PASSES];
};

/* "products", ...; and the reason for their efficiency. */
extern const char *const gp_kind_names[GP_KINDS], *const gp_kind_reasons[GP_KINDS];

#endif

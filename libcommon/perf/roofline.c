/* roofline.c: computes the expected speed of a model on a GPU from its data sheet, without the GPU. */
#include "perf/roofline.h"
#include "backend/count.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- assumptions ----------------------------------------------------------------------------------------- */

const char *const gp_kind_names[GP_KINDS] = {
    [GP_KIND_PRODUCT] = "products", [GP_KIND_ATTENTION] = "attention", [GP_KIND_ATTENTION_BACK] = "its backward",
    [GP_KIND_DECODE] = "decoding",  [GP_KIND_STREAM] = "row by row",   [GP_KIND_GATHER] = "by id",
};

const char *const gp_kind_reasons[GP_KINDS] = {
    [GP_KIND_PRODUCT] =
        "tiles have a prologue and an epilogue, the last wave is partial, and the power limit lowers Hopper's clock",
    [GP_KIND_ATTENTION] = "FlashAttention 2 (Dao 2023): exponentials, half-hidden tiles, mma.sync on Hopper",
    [GP_KIND_ATTENTION_BACK] = "the same; seven products where four are counted, so that nothing is added atomically",
    [GP_KIND_DECODE] = "kernels of a few microseconds wait for their first bytes, and fill few tensor cores",
    [GP_KIND_STREAM] = "16 bytes a thread, in order; on Hopper the norms' arithmetic adds to that",
    [GP_KIND_GATHER] = "rows at random addresses, by id",
};

/* In the order of gp_kernel_kind. Hopper's figures were measured on an H200 (docs/gpu.md): products at B = 64, T = 1024
 * with their epilogues; attention at 238 TFLOP/s, its backward at 141 if four products are counted; norms at 58 to 76%,
 * cross-entropy at 71%, the update at 80 to 86% of the bandwidth; each kernel of a decoded token takes 2.8 us besides
 * its bytes, of which an empty kernel of a graph takes 1.0. Ampere's figures are estimates. */
static const gp_chip ampere = {{0.75, 0.40, 0.22, 0.30, 0, 0}, {0.90, 0.90, 0.90, 0.80, 0.90, 0.60}, 2e-6, false};
static const gp_chip hopper = {{0.63, 0.24, 0.14, 0.25, 0, 0}, {0.90, 0.90, 0.90, 0.80, 0.72, 0.60}, 2.8e-6, true};

static const gp_gpu gpus[] = {
    [GP_ROOFLINE_A100] = {"a100", "A100-SXM4-40GB", &ampere},
    [GP_ROOFLINE_A100_80GB] = {"a100-80gb", "A100-SXM4-80GB", &ampere},
    [GP_ROOFLINE_H100] = {"h100", "H100 80GB HBM3", &hopper},
    [GP_ROOFLINE_H200] = {"h200", "H200", &hopper},
};

/* The ops that backend/count.c counts, and the CUDA backend's kernel launches for one call. */
static const struct kernel {
    const char *op;
    gp_kernel_kind kind;
    int launches;
} kernels[] = {
    {"embed", GP_KIND_GATHER, 1},
    {"embed backward", GP_KIND_GATHER, 10}, /* two passes of a sort, two sums for each of two tables */
    {"select", GP_KIND_GATHER, 1},
    {"select backward", GP_KIND_GATHER, 2}, /* zeros, then the selected rows */
    {"norm", GP_KIND_STREAM, 1},
    {"norm backward", GP_KIND_STREAM, 2},
    {"dropout", GP_KIND_STREAM, 1},
    {"act", GP_KIND_STREAM, 1},
    {"act backward", GP_KIND_STREAM, 1},
    {"linear", GP_KIND_PRODUCT, 1},
    {"linear dX", GP_KIND_PRODUCT, 1},
    {"linear dW", GP_KIND_PRODUCT, 1},
    {"bias gradients", GP_KIND_STREAM, 2},
    {"attention", GP_KIND_ATTENTION, 1},
    {"attention backward", GP_KIND_ATTENTION_BACK, 3},
    {"head", GP_KIND_PRODUCT, 1},
    {"cross-entropy", GP_KIND_STREAM, 1},
    {"head dX", GP_KIND_PRODUCT, 1},
    {"head dW", GP_KIND_PRODUCT, 1},
    {"zero gradients", GP_KIND_STREAM, 1},
    {"gradient norm", GP_KIND_STREAM, 2},
    {"adamw", GP_KIND_STREAM, 1},
    {"weights to bf16", GP_KIND_STREAM, 1},
    {"linear, decode", GP_KIND_DECODE, 1},
    {"head, decode", GP_KIND_DECODE, 1},
    {"attention, decode", GP_KIND_DECODE, 1},
    {"sample", GP_KIND_STREAM, 2},
};

static const struct kernel *kernel_of(const char *op)
{
    for (size_t i = 0; i < ARRAY_LEN(kernels); i++)
        if (!strcmp(kernels[i].op, op))
            return &kernels[i];
    BUG_ON(true);
    return NULL;
}

gp_roofline_gpu gp_roofline_gpu_of(const gp_vendor *vendor)
{
    for (size_t i = GP_ROOFLINE_NONE + 1; i < ARRAY_LEN(gpus); i++)
        if (!strcmp(gpus[i].vendor, vendor->name))
            return (gp_roofline_gpu)i;
    return GP_ROOFLINE_NONE;
}

/* ---- a pass ---------------------------------------------------------------------------------------------- */

/* The cost of one kernel in one pass, of the `runs` that were counted. */
static gp_roofline_row price(const gp_roofline *p, const gp_profile_row *counted, double runs)
{
    const struct kernel *k = kernel_of(counted->op);
    gp_roofline_row row = {.op = counted->op,
                           .kind = k->kind,
                           .calls = (double)counted->calls / runs,
                           .flops = counted->cost.flops / runs,
                           .bytes = counted->cost.bytes / runs};
    snprintf(row.shape, sizeof row.shape, "%s", counted->shape);
    double compute = row.flops / p->vendor.bf16, memory = row.bytes / p->vendor.bandwidth;
    double efficiency = p->gpu->chip->compute[k->kind];
    BUG_ON(row.flops > 0 && efficiency <= 0);
    row.launches = row.calls * k->launches;
    row.limit = fmax(compute, memory);
    row.compute = compute > memory;
    row.seconds = fmax(row.flops > 0 ? compute / efficiency : 0, memory / p->gpu->chip->memory[k->kind]);
    return row;
}

static int longest_first(const void *a, const void *b)
{
    double x = ((const gp_roofline_row *)a)->seconds, y = ((const gp_roofline_row *)b)->seconds;
    return (x < y) - (x > y);
}

static void price_all(gp_roofline *p, gp_roofline_pass *r, const gp_profile *counted, int runs, double tokens)
{
    for (int i = 0; i < counted->count; i++) {
        gp_roofline_row row = price(p, &counted->row[i], runs);
        r->limit += row.limit;
        r->seconds += row.seconds + row.launches * p->gpu->chip->start;
        r->launches += row.launches;
        r->row[r->count++] = row;
    }
    qsort(r->row, (size_t)r->count, sizeof *r->row, longest_first);
    r->speed.tok_s = tokens / r->seconds;
}

/* Decoding's bytes depend on the position: this many runs represent all positions. */
enum { DECODE_RUNS = 16 };

static int count_pass(gp_roofline *p, gp_roofline_pass *r, bool no_masters)
{
    gp_profile counted = {0};
    int rc, runs = r->pass == GP_PASS_DECODE ? DECODE_RUNS : 1;
    gp_backend *be = gp_count_open(&counted, p->gpu->chip->fuses_gelu);
    BUG_ON(no_masters && gp_backend_drop_masters(be));
    gp_model *m = gp_model_create(&p->config, be, r->pass == GP_PASS_TRAIN);
    gp_bench b;
    rc = gp_bench_open(&b, m, r->pass, r->B, r->T);
    counted = (gp_profile){0}; /* drops initialization */
    for (int i = 0; i < runs && !rc; i++)
        rc = b.run(&b);
    int size = gp_dtype_size(be->act_dtype);
    gp_bench_describe(&p->config, r->pass, r->B, r->T, size, size, &r->speed);
    gp_model_memory(m, &r->memory);
    r->optimizer = r->pass == GP_PASS_TRAIN ? 2 * m->params.total * (int64_t)sizeof(float) : 0;
    if (!rc)
        price_all(p, r, &counted, runs * b.steps, b.tokens / b.steps);
    gp_bench_close(&b);
    gp_model_free(m);
    gp_backend_close(be);
    return rc;
}

gp_roofline *gp_roofline_compute(const gp_config *c, gp_roofline_gpu gpu, const gp_mfu_plan *plan)
{
    gp_roofline *p = gp_calloc(1, sizeof *p);
    int rc = 0;
    p->gpu = &gpus[gpu];
    BUG_ON(!gp_vendor_find(p->gpu->vendor, 1, &p->vendor));
    p->config = *c;
    for (int i = 0; i < GP_PASSES && !rc; i++) {
        gp_roofline_pass *r = &p->result[p->count];
        if (!gp_bench_plan(plan, c, i, &r->pass, &r->B, &r->T))
            continue;
        p->count++;
        rc = count_pass(p, r, plan->no_masters);
    }
    if (!rc)
        return p;
    gp_roofline_free(p);
    return NULL;
}

double gp_roofline_tok_s(const gp_roofline *p, gp_pass pass)
{
    for (int i = 0; i < p->count; i++)
        if (p->result[i].pass == pass)
            return p->result[i].speed.tok_s;
    return 0;
}

void gp_roofline_free(gp_roofline *p)
{
    free(p);
}

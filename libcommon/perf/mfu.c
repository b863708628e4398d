/* mfu.c: measures passes of a model, as a whole and op by op. */
#include "gptpipe/roofline.h"
#include "train/attention.h"
#include "perf/mfu.h"
#include "train/products.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

/* ---- timing ---------------------------------------------------------------------------------------------- */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* At least 3 runs. */
static int repeat(gp_bench *b, double seconds, gp_speed *speed)
{
    enum { MAX = 100000 };
    double *rate = gp_malloc(MAX * sizeof *rate);
    int64_t n = 0;
    int rc = b->run(b); /* warm-up */
    if (!rc && b->m->be->later)
        rc = b->run(b);            /* the second pass is recorded as a CUDA graph */
    b->m->be->ops->sync(b->m->be); /* the first timed run must not wait for these */
    double end = gp_now() + seconds;
    while (!rc && n < MAX && (n < 3 || gp_now() < end)) {
        double begin = gp_now();
        rc = b->run(b);
        b->m->be->ops->sync(b->m->be);
        rate[n++] = b->tokens / (gp_now() - begin);
    }
    if (!rc) {
        qsort(rate, (size_t)n, sizeof *rate, ascending);
        speed->runs = n;
        speed->tok_s_min = rate[0];
        speed->tok_s_10 = rate[n / 10];
        speed->tok_s = rate[n / 2];
        speed->tok_s_90 = rate[n - 1 - n / 10];
        speed->tok_s_max = rate[n - 1];
    }
    free(rate);
    return rc;
}

/* Bytes of a weight's number as decoding reads it: a row's, of the width that most have. */
static double weight_size(const gp_model *m)
{
    const gp_param *row = gp_params_row(&m->params, GP_FC_W, 0);
    if (!row || row->format == GP_WEIGHTS_FP32)
        return gp_dtype_size(m->be->act_dtype);
    return (double)gp_weight_row_bytes(row->format, row->dim[0]) / (double)row->dim[0];
}

int gp_measure(gp_model *m, gp_pass pass, int64_t B, int64_t T, double seconds, gp_speed *speed)
{
    gp_bench b;
    int rc = gp_bench_open(&b, m, pass, B, T);
    gp_bench_describe(&m->config, pass, B, T, weight_size(m), gp_dtype_size(m->be->cache_dtype), speed);
    if (!rc)
        rc = repeat(&b, seconds, speed);
    gp_bench_close(&b);
    return rc;
}

/* ---- the report ------------------------------------------------------------------------------------------ */

/* Runs the pass again, with every op timed. */
static int measure_ops(gp_model *m, gp_pass_result *r, double seconds)
{
    gp_bench b;
    int rc = gp_bench_open(&b, m, r->pass, r->B, r->T);
    if (!rc)
        rc = b.run(&b); /* warm-up */
    if (!rc) {
        m->be->ops->sync(m->be);
        gp_profile_begin(&r->profile, m->be);
        double begin = gp_now();
        while (!rc && (r->passes < 2 || gp_now() < begin + seconds)) {
            rc = b.run(&b);
            r->passes += b.steps;
        }
        m->be->ops->sync(m->be);
        r->pass_seconds = (gp_now() - begin) / (double)gp_max(1, r->passes);
        gp_profile_end(&r->profile, m->be);
    }
    gp_bench_close(&b);
    return rc;
}

static double measure_peak(gp_backend *be, double seconds)
{
    return gp_peak_best(be, seconds / 4, seconds / 32, NULL);
}

static void describe_machine(gp_mfu *r, gp_backend *be, const gp_mfu_plan *plan)
{
    snprintf(r->backend, sizeof r->backend, "%s", gp_backend_name(be));
    snprintf(r->dtype, sizeof r->dtype, "%s", gp_backend_dtype(be));
    snprintf(r->cache_dtype, sizeof r->cache_dtype, "%s", gp_backend_cache(be));
    snprintf(r->device, sizeof r->device, "%s", gp_backend_device(be));
    snprintf(r->products, sizeof r->products, "%s", be->products_library);
    r->threads = gp_backend_threads(be);
    r->peak_given = plan->peak > 0;
    r->peak = r->peak_given ? plan->peak : measure_peak(be, plan->seconds);
    r->has_vendor = gp_vendor_find(r->device, r->threads, &r->vendor);
    if (r->has_vendor)
        r->vendor_peak = be->dtype == GP_BF16 ? r->vendor.bf16 : r->vendor.fp32;
    if (r->has_vendor && be->tf32) /* half as fast as bf16 in all data sheets */
        r->vendor_peak = r->vendor.bf16 / 2;
}

static void describe_memory(gp_mfu *r, gp_model *m, int set)
{
    struct rusage use;
    gp_model_memory(m, &r->memory);
    r->optimizer = set & GP_PASS_TRAIN ? 2 * m->params.total * (int64_t)sizeof(float) : 0;
    r->resident = getrusage(RUSAGE_SELF, &use) ? 0 : (int64_t)use.ru_maxrss * 1024;
}

/* Sets the speed that roofline.h expects of each pass, if it knows the device. */
static int describe_roofline(gp_mfu *r, const gp_mfu_plan *plan)
{
    gp_roofline_gpu gpu =
        r->has_vendor && !strcmp(r->dtype, "bf16") ? gp_roofline_gpu_of(&r->vendor) : GP_ROOFLINE_NONE;
    gp_roofline *roofline = gpu ? gp_roofline_compute(&r->config, gpu, plan) : NULL;
    for (int i = 0; roofline && i < r->count; i++)
        r->result[i].roofline = gp_roofline_tok_s(roofline, r->result[i].pass);
    gp_roofline_free(roofline);
    return gpu && !roofline ? -1 : 0;
}

/* Selects the requested library for attention. Decoding uses a separate op. */
static int select_attention(gp_mfu *r, gp_model *m, const gp_mfu_plan *plan, const gp_pass_result *p)
{
    if (p->pass == GP_PASS_DECODE)
        return 0;
    int rc = gp_model_use_attention(m, plan->attention, p->B, p->T, p->pass == GP_PASS_TRAIN);
    gp_attention_describe(m->be, r->attention, sizeof r->attention);
    return rc;
}

static int run_bench(void *self)
{
    gp_bench *b = self;
    return b->run(b);
}

/* Measures the algorithms of matrix products in one run of the pass. */
static int measure_products(gp_mfu *r, gp_model *m, const gp_mfu_plan *plan, const gp_pass_result *p)
{
    gp_bench b;
    if (!plan->measure_products)
        return 0;
    if (!m->be->ops->choose_product)
        return fail("products: backend %s has only one algorithm, so there is no choice to measure",
                    gp_backend_name(m->be));
    int rc = gp_bench_open(&b, m, p->pass, p->B, p->T);
    double seconds = rc ? -1 : gp_products_measure(m->be, run_bench, &b);
    gp_bench_close(&b);
    r->products_seconds += seconds;
    return seconds < 0 ? -1 : 0;
}

static void collect_remarks(gp_mfu *r, gp_backend *be)
{
    for (const char *remark; (remark = gp_backend_remark(be));) {
        r->remarks = gp_realloc(r->remarks, (size_t)r->remark_count + 1, sizeof *r->remarks);
        r->remarks[r->remark_count++] = gp_strdup(remark);
    }
}

const char *gp_mfu_remark(const gp_mfu *r, int i)
{
    return i < r->remark_count ? r->remarks[i] : NULL;
}

gp_mfu *gp_mfu_measure(gp_model *m, const gp_mfu_plan *plan)
{
    gp_mfu *r = gp_calloc(1, sizeof *r);
    int rc = 0;
    r->config = m->config;
    describe_machine(r, m->be, plan);
    for (int i = 0; i < GP_PASSES && !rc; i++) {
        gp_pass_result *p = &r->result[r->count];
        if (!gp_bench_plan(plan, &m->config, i, &p->pass, &p->B, &p->T))
            continue;
        r->count++;
        rc = select_attention(r, m, plan, p) || measure_products(r, m, plan, p) ||
             gp_measure(m, p->pass, p->B, p->T, plan->seconds, &p->speed) ||
             (plan->ops && measure_ops(m, p, plan->seconds / 2));
    }
    r->choice_count = m->be->choice_count;
    r->choices = gp_calloc((size_t)r->choice_count + 1, sizeof *r->choices);
    for (int i = 0; i < r->choice_count; i++)
        r->choices[i] = m->be->choices[i];
    if (rc || describe_roofline(r, plan)) {
        gp_mfu_free(r);
        return NULL;
    }
    if (!r->peak_given)
        r->peak = fmax(r->peak, measure_peak(m->be, plan->seconds));
    describe_memory(r, m, plan->passes);
    r->bandwidth = gp_measure_bandwidth(m->be, plan->seconds / 2); /* last, because it allocates its own memory */
    if (m->be->later) {                                            /* only on a GPU: a CPU copies on one thread */
        r->copy = gp_measure_copy(m->be, plan->seconds / 4);
        r->start = gp_measure_start(m->be, plan->seconds / 8);
    }
    collect_remarks(r, m->be);
    return r;
}

void gp_mfu_share_peak(gp_mfu *const *run, int count)
{
    double peak = 0, bandwidth = 0;
    for (int i = 0; i < count; i++) {
        peak = fmax(peak, run[i]->peak);
        bandwidth = fmax(bandwidth, run[i]->bandwidth);
    }
    for (int i = 0; i < count; i++) {
        run[i]->peak = peak;
        run[i]->bandwidth = bandwidth;
    }
}

void gp_mfu_free(gp_mfu *r)
{
    if (!r)
        return;
    for (int i = 0; i < r->remark_count; i++)
        free(r->remarks[i]);
    free(r->remarks);
    free(r->choices);
    free(r);
}

/* roofline_print.c: prints a roofline as tables and as JSON. */
#include "base/json_write.h"
#include "perf/mfu.h"
#include "perf/roofline.h"

static void print_pass(const gp_roofline *p, const gp_roofline_pass *r, FILE *out)
{
    double starts = r->launches * p->gpu->chip->start;
    fprintf(out, "\n%s %lld x %lld on %s: %.3f ms, %.0f tok/s, MFU %.1f%%, causal %.1f%% (the limits alone: %.3f ms)\n",
            gp_pass_name(r->pass), (long long)r->B, (long long)(r->pass == GP_PASS_DECODE ? 1 : r->T), p->gpu->name,
            1e3 * r->seconds, r->speed.tok_s, 100 * gp_mfu_of(&r->speed, p->vendor.bf16),
            100 * gp_mfu_causal(&r->speed, p->vendor.bf16), 1e3 * r->limit);
    fprintf(out, "memory: ");
    gp_mfu_print_memory(&r->memory, r->optimizer, 1e9, out);
    fprintf(out, " GB, and the workspace\n");
    fprintf(out, "%-19s %-13s %5s %10s %10s %9s %-8s %6s %9s %6s\n", "kernel", "weight", "calls", "GFLOP", "MB",
            "limit ms", "bound by", "reach", "ms", "share");
    for (int i = 0; i < r->count; i++) {
        const gp_roofline_row *row = &r->row[i];
        fprintf(out, "%-19s %-13s %5.0f %10.1f %10.1f %9.3f %-8s %5.0f%% %9.3f %5.1f%%\n", row->op, row->shape,
                row->calls, row->flops / 1e9, row->bytes / 1e6, 1e3 * row->limit, row->compute ? "compute" : "memory",
                100 * row->limit / row->seconds, 1e3 * row->seconds, 100 * row->seconds / r->seconds);
    }
    fprintf(out, "%-19s %-13s %5.0f %10s %10s %9s %-8s %6s %9.3f %5.1f%%\n", "starts of kernels", "", r->launches, "",
            "", "", "", "", 1e3 * starts, 100 * starts / r->seconds);
}

static void print_reasons(const gp_roofline *p, FILE *out)
{
    const gp_chip *d = p->gpu->chip;
    fprintf(out, "\nA kernel's limit: FLOPs / peak or bytes / bandwidth, whichever is longer, each tensor read or "
                 "written once.\nWhat it should reach of peak and of bandwidth, a factor a kind (Hopper's: what "
                 "an H200 did):\n");
    for (int i = 0; i < GP_KINDS; i++) {
        char compute[16] = "-";
        if (d->compute[i] > 0)
            snprintf(compute, sizeof compute, "%.0f%%", 100 * d->compute[i]);
        fprintf(out, "  %-13s %4s %4.0f%%  %s\n", gp_kind_names[i], compute, 100 * d->memory[i], gp_kind_reasons[i]);
    }
    fprintf(out, "A kernel of a CUDA graph takes %.1f us to start and to drain, as many times as one is launched.\n",
            1e6 * d->start);
}

void gp_roofline_print(const gp_roofline *p, FILE *out, bool reasons)
{
    gp_mfu_print_model(&p->config, out);
    fprintf(out, "device     %s: %.1f TFLOP/s in bf16, %.0f GB/s, from NVIDIA's data sheet\n", p->vendor.name,
            p->vendor.bf16 / 1e12, p->vendor.bandwidth / 1e9);
    fprintf(out, "           everything below is computed, not measured\n");
    for (int i = 0; i < p->count; i++)
        print_pass(p, &p->result[i], out);
    if (reasons)
        print_reasons(p, out);
}

/* ---- JSON ------------------------------------------------------------------------------------------------ */

static void put_rows(const gp_roofline_pass *r, gp_buf *b)
{
    gp_json_open(b, "ops", '[');
    for (int i = 0; i < r->count; i++) {
        const gp_roofline_row *row = &r->row[i];
        gp_json_open(b, NULL, '{');
        gp_json_put(b, MEMBER("op", row->op), MEMBER("weight", row->shape), MEMBER("calls", row->calls),
                    MEMBER("launches", row->launches), MEMBER("flops", row->flops), MEMBER("bytes", row->bytes),
                    MEMBER("limit_seconds", row->limit), MEMBER("bound", row->compute ? "compute" : "memory"),
                    MEMBER("seconds", row->seconds));
        gp_json_close(b, '}');
    }
    gp_json_close(b, ']');
}

static void put_pass(const gp_roofline *p, const gp_roofline_pass *r, gp_buf *b)
{
    gp_json_open(b, gp_pass_name(r->pass), '{');
    gp_json_put(b, MEMBER("batch", r->B), MEMBER("context", r->T), MEMBER("seconds", r->seconds),
                MEMBER("limit_seconds", r->limit), MEMBER("tok_s", r->speed.tok_s),
                MEMBER("flops_token", r->speed.flops_token), FIXED("mfu", gp_mfu_of(&r->speed, p->vendor.bf16), 4),
                FIXED("mfu_causal", gp_mfu_causal(&r->speed, p->vendor.bf16), 4), MEMBER("launches", r->launches),
                MEMBER("start_seconds", r->launches * p->gpu->chip->start));
    gp_json_open(b, "memory", '{');
    gp_mfu_put_memory(b, &r->memory, r->optimizer);
    gp_json_close(b, '}');
    put_rows(r, b);
    gp_json_close(b, '}');
}

void gp_roofline_json(const gp_roofline *p, FILE *out)
{
    gp_buf b = {0};
    gp_json_open(&b, NULL, '{');
    gp_json_put(&b, MEMBER("measured", (bool)false), MEMBER("parameters", gp_config_parameters(&p->config)),
                MEMBER("device", p->gpu->name), MEMBER("dtype", "bf16"));
    gp_mfu_put_vendor(&b, &p->vendor, p->vendor.bf16);
    for (int i = 0; i < p->count; i++)
        put_pass(p, &p->result[i], &b);
    gp_json_close(&b, '}');
    gp_json_write(&b, out, "\n");
}

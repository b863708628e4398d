/* roofline_print.c: a computation on paper as tables, and as JSON. */
#include "gptpipe/output.h"
#include "perf/roofline.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Once, the longer name of what a model needs in memory. The backend's workspace is not known here. */
static void print_memory(const gp_paper_pass *r, FILE *out)
{
    const gp_memory_use *u = &r->memory;
    const struct {
        const char *name;
        int64_t bytes;
    } arena[] = {{"weights", u->weights},     {"in bf16", u->slots},           {"gradients", u->gradients},
                 {"optimizer", r->optimizer}, {"activations", u->activations}, {"cache", u->cache}};
    double all = 0;
    fprintf(out, "memory: ");
    for (size_t i = 0; i < ARRAY_LEN(arena); i++)
        if (arena[i].bytes) {
            fprintf(out, "%s%s %.2f", all > 0 ? ", " : "", arena[i].name, (double)arena[i].bytes / 1e9);
            all += (double)arena[i].bytes;
        }
    fprintf(out, ": %.2f GB, and the workspace\n", all / 1e9);
}

static double mfu_of(const gp_paper *p, const gp_paper_pass *r)
{
    return r->speed.tok_s * r->speed.flops_token / p->vendor.bf16;
}

static void print_pass(const gp_paper *p, const gp_paper_pass *r, FILE *out)
{
    double starts = r->launches * p->gpu->chip->start;
    fprintf(out, "\n%s %lld x %lld on %s: %.3f ms, %.0f tok/s, MFU %.1f%% (the limits alone: %.3f ms)\n",
            gp_pass_name(r->pass), (long long)r->B, (long long)(r->pass == GP_PASS_DECODE ? 1 : r->T), p->gpu->name,
            1e3 * r->seconds, r->speed.tok_s, 100 * mfu_of(p, r), 1e3 * r->limit);
    print_memory(r, out);
    fprintf(out, "%-19s %-13s %5s %10s %10s %9s %-8s %6s %9s %6s\n", "kernel", "weight", "calls", "GFLOP", "MB",
            "limit ms", "bound by", "reach", "ms", "share");
    for (int i = 0; i < r->count; i++) {
        const gp_paper_row *row = &r->row[i];
        fprintf(out, "%-19s %-13s %5.0f %10.1f %10.1f %9.3f %-8s %5.0f%% %9.3f %5.1f%%\n", row->op, row->shape,
                row->calls, row->flops / 1e9, row->bytes / 1e6, 1e3 * row->limit, row->compute ? "compute" : "memory",
                100 * row->limit / row->seconds, 1e3 * row->seconds, 100 * row->seconds / r->seconds);
    }
    fprintf(out, "%-19s %-13s %5.0f %10s %10s %9s %-8s %6s %9.3f %5.1f%%\n", "starts of kernels", "", r->launches, "",
            "", "", "", "", 1e3 * starts, 100 * starts / r->seconds);
}

static void print_reasons(const gp_paper *p, FILE *out)
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

void gp_paper_print(const gp_paper *p, FILE *out, bool reasons)
{
    const gp_config *c = &p->config;
    fprintf(out, "model      %lld layers, %lld heads, %lld channels, vocabulary %lld: %.2f M parameters\n",
            (long long)c->layers, (long long)c->heads, (long long)c->channels, (long long)c->vocab_size,
            (double)gp_config_parameters(c) / 1e6);
    fprintf(out, "device     %s: %.1f TFLOP/s in bf16, %.0f GB/s, from NVIDIA's data sheet\n", p->vendor.name,
            p->vendor.bf16 / 1e12, p->vendor.bandwidth / 1e9);
    fprintf(out, "           everything below is computed, nothing measured\n");
    for (int i = 0; i < p->count; i++)
        print_pass(p, &p->result[i], out);
    if (reasons)
        print_reasons(p, out);
}

/* ---- JSON ------------------------------------------------------------------------------------------------ */

static void put_rows(const gp_paper_pass *r, FILE *out)
{
    for (int i = 0; i < r->count; i++) {
        const gp_paper_row *row = &r->row[i];
        fprintf(out,
                "%s{\"op\": \"%s\", \"weight\": \"%s\", \"calls\": %.6g, \"launches\": %.6g, \"flops\": %.6g, "
                "\"bytes\": %.6g, \"limit_seconds\": %.6g, \"bound\": \"%s\", \"seconds\": %.6g}",
                i ? ", " : "", row->op, row->shape, row->calls, row->launches, row->flops, row->bytes, row->limit,
                row->compute ? "compute" : "memory", row->seconds);
    }
}

static void put_pass(const gp_paper *p, const gp_paper_pass *r, FILE *out)
{
    const gp_memory_use *u = &r->memory;
    fprintf(out,
            ", \"%s\": {\"batch\": %lld, \"context\": %lld, \"seconds\": %.6g, \"limit_seconds\": %.6g, "
            "\"tok_s\": %.6g, \"flops_token\": %.6g, \"mfu\": %.4f, \"launches\": %.6g, \"start_seconds\": %.6g",
            gp_pass_name(r->pass), (long long)r->B, (long long)r->T, r->seconds, r->limit, r->speed.tok_s,
            r->speed.flops_token, mfu_of(p, r), r->launches, r->launches * p->gpu->chip->start);
    fprintf(out,
            ", \"memory\": {\"weights\": %lld, \"slots\": %lld, \"gradients\": %lld, \"optimizer\": %lld, "
            "\"activations\": %lld, \"cache\": %lld}, \"ops\": [",
            (long long)u->weights, (long long)u->slots, (long long)u->gradients, (long long)r->optimizer,
            (long long)u->activations, (long long)u->cache);
    put_rows(r, out);
    fprintf(out, "]}");
}

void gp_paper_json(const gp_paper *p, FILE *out)
{
    fprintf(out, "{\"measured\": false, \"parameters\": %lld, \"device\": \"%s\", \"dtype\": \"bf16\"",
            (long long)gp_config_parameters(&p->config), p->gpu->name);
    fprintf(out, ", \"vendor\": {\"name\": \"%s\", \"flops\": %.6g, \"bandwidth\": %.6g}", p->vendor.name,
            p->vendor.bf16, p->vendor.bandwidth);
    for (int i = 0; i < p->count; i++)
        put_pass(p, &p->result[i], out);
    fprintf(out, "}");
}

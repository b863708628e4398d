/* mfu_print.c: prints a speed measurement as text. */
#include "perf/mfu.h"

#include <stdlib.h>
#include <string.h>

/* ---- explanations of shares above 100% ------------------------------------------------------------------- */

static const char *note_of_ops(const gp_mfu *r, const gp_pass_result *p)
{
    for (int i = 0; i < p->profile.count; i++)
        if (gp_mfu_of_bound(r, &p->profile.row[i]) > 1)
            return "`of it` above 100%: caches served the bytes, or the machine was slower while its peak and "
                   "bandwidth were measured";
    return NULL;
}

const char *gp_mfu_note(const gp_mfu *r, const gp_pass_result *p, gp_mfu_share share)
{
    const gp_speed *s = &p->speed;
    switch (share) {
    case GP_SHARE_PEAK:
        return gp_mfu_of(s, r->peak) <= 1 ? NULL
               : r->peak_given            ? "above 100%: the peak is wrong, --peak is too low"
                               : "above 100%: the peak is wrong, the machine was slower while it was measured";
    case GP_SHARE_VENDOR:
        return r->vendor_peak > 0 && gp_mfu_of(s, r->vendor_peak) > 1
                   ? "above 100% of the vendor's: that figure is not this machine's"
                   : NULL;
    case GP_SHARE_BANDWIDTH:
        return s->tok_s * s->bytes_token > r->bandwidth
                   ? "above 100%: caches served the bytes, or memory was slower while it was measured"
                   : NULL;
    case GP_SHARE_BOUND:
        return note_of_ops(r, p);
    case GP_SHARES:
        break;
    }
    return NULL;
}

/* ---- the page -------------------------------------------------------------------------------------------- */

void gp_mfu_print_model(const gp_config *c, FILE *out)
{
    fprintf(out, "model      %lld layers, %lld heads, %lld channels, vocabulary %lld: %.2f M parameters\n",
            (long long)c->layers, (long long)c->heads, (long long)c->channels, (long long)c->vocab_size,
            (double)gp_config_parameters(c) / 1e6);
}

static void print_head(const gp_mfu *r, FILE *out)
{
    gp_mfu_print_model(&r->config, out);
    fprintf(out, "machine    %s, backend %s, %s, %d threads%s%s%s%s\n", r->device, r->backend, r->dtype, r->threads,
            *r->products ? ", products by " : "", r->products, *r->attention ? ", attention by " : "", r->attention);
    fprintf(out, "peak       %.1f GFLOP/s, %s\n", r->peak / 1e9,
            r->peak_given ? "as given by --peak" : "its own matrix multiply, measured now");
    fprintf(out, "bandwidth  %.1f GB/s, its own reading, measured now", r->bandwidth / 1e9);
    if (r->copy > 0)
        fprintf(out, "; a copy: %.1f GB/s read and written", r->copy / 1e9);
    fprintf(out, "\n");
    if (r->start > 0)
        fprintf(out, "starts     %.2f us for a minimal kernel in a CUDA graph\n", 1e6 * r->start);
    if (r->vendor_peak > 0)
        fprintf(out, "vendor     %s: %.1f GFLOP/s in %s, %.1f GB/s\n", r->vendor.name, r->vendor_peak / 1e9, r->dtype,
                r->vendor.bandwidth / 1e9);
    else
        fprintf(out, "vendor     no figure is known for this device\n");
}

static void print_pass(const gp_mfu *r, const gp_pass_result *p, FILE *out)
{
    const gp_speed *s = &p->speed;
    char batch[32], spread[64];
    snprintf(batch, sizeof batch, "%lld x %lld", (long long)p->B, (long long)(p->pass == GP_PASS_DECODE ? 1 : p->T));
    snprintf(spread, sizeof spread, "%.0f .. %.0f", s->tok_s_10, s->tok_s_90);
    fprintf(out, "%-10s %-14s %12.0f %23s %10.1f %6.1f%% %6.1f%%", gp_pass_name(p->pass), batch, s->tok_s, spread,
            s->tok_s * s->flops_token / 1e9, 100 * gp_mfu_of(s, r->peak), 100 * gp_mfu_causal(s, r->peak));
    if (r->vendor_peak > 0)
        fprintf(out, " %8.1f%%", 100 * gp_mfu_of(s, r->vendor_peak));
    fprintf(out, "\n");
    for (gp_mfu_share share = GP_SHARE_PEAK; share <= GP_SHARE_VENDOR; share++)
        if (gp_mfu_note(r, p, share))
            fprintf(out, "           (%s)\n", gp_mfu_note(r, p, share));
}

static void print_bandwidth(const gp_mfu *r, FILE *out)
{
    for (int i = 0; i < r->count; i++) {
        const gp_speed *s = &r->result[i].speed;
        double rate = s->tok_s * s->bytes_token;
        if (s->bytes_token <= 0)
            continue;
        fprintf(out, "\ndecode reads %.2f MB a token, %.1f GB/s: %.1f%% of that bandwidth", s->bytes_token / 1e6,
                rate / 1e9, 100 * rate / r->bandwidth);
        const char *note = gp_mfu_note(r, &r->result[i], GP_SHARE_BANDWIDTH);
        fprintf(out, "%s%s%s\n", note ? " (" : "", note ? note : "", note ? ")" : "");
    }
}

static void print_roofline(const gp_mfu *r, FILE *out)
{
    for (int i = 0; i < r->count; i++) {
        const gp_pass_result *p = &r->result[i];
        if (p->roofline > 0)
            fprintf(out, "%s%s on the roofline: %.0f tok/s; measured: %.1f%% of that\n", i ? "" : "\n",
                    gp_pass_name(p->pass), p->roofline, 100 * p->speed.tok_s / p->roofline);
    }
}

void gp_mfu_print_memory(const gp_memory_use *u, int64_t optimizer, double unit, FILE *out)
{
    const struct {
        const char *name;
        int64_t bytes;
    } arena[] = {{"weights", u->weights},    {"packed weights", u->slots},    {"gradients", u->gradients},
                 {"optimizer", optimizer},   {"activations", u->activations}, {"cache", u->cache},
                 {"workspace", u->workspace}};
    double all = 0;
    int digits = unit < 1e9 ? 1 : 2;
    for (size_t i = 0; i < ARRAY_LEN(arena); i++)
        if (arena[i].bytes) {
            fprintf(out, "%s%s %.*f", all > 0 ? ", " : "", arena[i].name, digits, (double)arena[i].bytes / unit);
            all += (double)arena[i].bytes;
        }
    fprintf(out, ": %.*f", digits, all / unit);
}

static int by_time(const void *a, const void *b)
{
    double x = ((const gp_profile_row *)a)->seconds, y = ((const gp_profile_row *)b)->seconds;
    return (x < y) - (x > y);
}

static void print_op(const gp_mfu *r, const gp_pass_result *p, const gp_profile_row *op, FILE *out)
{
    fprintf(out, "%-24s %-14s %6.0f %10.3f %6.1f%% %9.1f %8.1f  %-8s %5.0f%%\n", op->op, op->shape,
            (double)op->calls / (double)p->passes, 1e3 * op->seconds / (double)p->passes,
            100 * op->seconds / (p->pass_seconds * (double)p->passes), op->cost.flops / op->seconds / 1e9,
            op->cost.bytes / op->seconds / 1e9, gp_mfu_compute_bound(r, op) ? "compute" : "memory",
            100 * gp_mfu_of_bound(r, op));
}

static void print_ops(const gp_mfu *r, const gp_pass_result *p, FILE *out)
{
    gp_profile_row row[GP_PROFILE_ROWS];
    double sum = 0, all = p->pass_seconds * (double)p->passes;
    memcpy(row, p->profile.row, sizeof row);
    qsort(row, (size_t)p->profile.count, sizeof *row, by_time);
    fprintf(out, "\n%s by op, %.3f ms a pass\n", gp_pass_name(p->pass), 1e3 * p->pass_seconds);
    fprintf(out, "%-24s %-14s %6s %10s %7s %9s %8s  %-8s %6s\n", "op", "weight", "calls", "ms", "share", "GFLOP/s",
            "GB/s", "bound by", "of it");
    for (int i = 0; i < p->profile.count; i++) {
        print_op(r, p, &row[i], out);
        sum += row[i].seconds;
    }
    fprintf(out, "%-24s %-14s %6s %10.3f %6.1f%%\n", "between ops", "", "", 1e3 * (all - sum) / (double)p->passes,
            100 * (all - sum) / all);
    if (gp_mfu_note(r, p, GP_SHARE_BOUND))
        fprintf(out, "(%s)\n", gp_mfu_note(r, p, GP_SHARE_BOUND));
}

static void print_formulas(const gp_mfu *r, FILE *out)
{
    const gp_config *c = &r->config;
    double T = 0, B = 1, L = (double)c->layers, C = (double)c->channels, N = (double)gp_config_parameters(c);
    bool masked = c->head == GP_HEAD_MLM;
    for (int i = 0; i < r->count; i++) {
        T = (double)r->result[i].T;
        B = (double)r->result[i].B;
    }
    double exact = 3 * gp_bench_flops(c, (int64_t)B, (int64_t)T), estimate = 6 * N + 12 * L * C * T;
    fprintf(out, "\nMFU = tok/s x FLOPs a token / peak. MFLOPs of a token, training, at T = %.0f:\n", T);
    fprintf(out, "  %10.3f  6N + 12 L H Q T, Q = C/H, N all %.0f parameters (PaLM, appendix B)\n", estimate / 1e6, N);
    fprintf(out, "  %10.3f  of that 6 for each parameter in no matrix product: positions, norms, biases%s%s\n",
            (estimate - exact) / 1e6, c->tied ? "" : ", tokens", masked ? "; and the head of tokens not masked" : "");
    fprintf(out, "  %10.3f  what is left, exactly by op: 3 x (2 (L (4CC + 2CF) + %s) + 4 LCT); MFU counts this\n",
            exact / 1e6, masked ? "0.15 (CC + CV)" : "CV");
    if (c->causal)
        fprintf(out, "  %10.3f  without what the causal mask hides, 6 LC(T-1): what the ops do; `causal` counts this\n",
                (exact - 6 * L * C * (T - 1)) / 1e6);
    fprintf(out, "A forward pass is a third of it. An op's bound is the larger of FLOPs / peak and bytes / bandwidth,\n"
                 "each tensor read or written once.\n");
}

/* The algorithm chosen for each product, and whether the library refused another. */
static void print_choices(const gp_mfu *r, FILE *out)
{
    if (!r->choice_count)
        return;
    bool measured = r->products_seconds > 0;
    char times[48] = "ms  first ms";
    if (measured)
        fprintf(out, "\nproducts by %s, measured in %.2f s; `first` is what its heuristic names\n", r->products,
                r->products_seconds);
    else
        fprintf(out, "\nproducts by %s, which refused the algorithm of its heuristic for these\n", r->products);
    fprintf(out, "%-52s %6s %19s  %-6s %s\n", "product", "calls", measured ? times : "", "with", "by");
    for (int i = 0; i < r->choice_count; i++) {
        const gp_product_choice *c = &r->choices[i];
        snprintf(times, sizeof times, "%9.4f %9.4f", 1e3 * c->seconds, 1e3 * c->first_seconds);
        fprintf(out, "%-52s %6lld %19s  %-6s %s%s\n", c->product, (long long)c->calls, measured ? times : "", c->way,
                c->details, measured && c->refused ? "another was refused" : "");
    }
}

void gp_mfu_print(const gp_mfu *r, FILE *out, bool formulas)
{
    print_head(r, out);
    fprintf(out, "\n%-10s %-14s %12s %23s %10s %7s %7s%s\n", "pass", "batch", "tok/s", "10% .. 90%", "GFLOP/s", "MFU",
            "causal", r->vendor_peak > 0 ? "    vendor" : "");
    for (int i = 0; i < r->count; i++)
        print_pass(r, &r->result[i], out);
    print_bandwidth(r, out);
    print_roofline(r, out);
    fprintf(out, "memory     ");
    gp_mfu_print_memory(&r->memory, r->optimizer, 1e6, out);
    fprintf(out, " MB; peak resident memory of the process %.1f MB\n", (double)r->resident / 1e6);
    print_choices(r, out);
    for (int i = 0; i < r->count; i++)
        if (r->result[i].passes)
            print_ops(r, &r->result[i], out);
    if (formulas)
        print_formulas(r, out);
}

/* mfu_json.c: a measurement of speed as JSON. */
#include "perf/mfu.h"

#include "gptpipe/output.h"

#include <stdlib.h>
#include <string.h>

static void put_ops(const gp_mfu *r, const gp_pass_result *p, FILE *out)
{
    fprintf(out, ", \"pass_seconds\": %.6g, \"ops\": [", p->pass_seconds);
    for (int i = 0; i < p->profile.count; i++) {
        const gp_profile_row *op = &p->profile.row[i];
        double passes = (double)p->passes, compute = op->cost.flops / r->peak, memory = op->cost.bytes / r->bandwidth;
        fprintf(out,
                "%s{\"op\": \"%s\", \"weight\": \"%s\", \"calls\": %.6g, \"seconds\": %.6g, \"flops\": %.6g, "
                "\"bytes\": %.6g, \"bound\": \"%s\"}",
                i ? ", " : "", op->op, op->shape, (double)op->calls / passes, op->seconds / passes,
                op->cost.flops / passes, op->cost.bytes / passes, compute > memory ? "compute" : "memory");
    }
    fprintf(out, "]");
}

/* Under the name of the member that they are of. */
static void put_notes(const gp_mfu *r, const gp_pass_result *p, FILE *out)
{
    static const char *const member[GP_SHARES] = {"mfu", "mfu_vendor", "of_bandwidth", "ops"};
    const char *between = ", \"notes\": {", *end = "";
    for (int share = 0; share < GP_SHARES; share++) {
        const char *note = gp_mfu_note(r, p, (gp_mfu_share)share);
        if (!note)
            continue;
        fprintf(out, "%s\"%s\": \"%s\"", between, member[share], note);
        between = ", ";
        end = "}";
    }
    fputs(end, out);
}

static void put_pass(const gp_mfu *r, const gp_pass_result *p, FILE *out)
{
    const gp_speed *s = &p->speed;
    fprintf(out,
            ", \"%s\": {\"batch\": %lld, \"context\": %lld, \"runs\": %lld, \"tok_s\": %.6g, \"tok_s_10\": %.6g, "
            "\"tok_s_90\": %.6g, \"tok_s_least\": %.6g, \"tok_s_most\": %.6g, \"flops_token\": %.6g, \"mfu\": "
            "%.4f, \"mfu_causal\": %.4f",
            gp_pass_name(p->pass), (long long)p->B, (long long)p->T, (long long)s->runs, s->tok_s, s->tok_s_10,
            s->tok_s_90, s->tok_s_least, s->tok_s_most, s->flops_token, gp_mfu_of(s, r->peak),
            gp_mfu_causal(s, r->peak));
    if (r->vendor_peak > 0)
        fprintf(out, ", \"mfu_vendor\": %.4f", gp_mfu_of(s, r->vendor_peak));
    if (s->bytes_token > 0)
        fprintf(out, ", \"bytes_token\": %.6g, \"of_bandwidth\": %.4f", s->bytes_token,
                s->tok_s * s->bytes_token / r->bandwidth);
    if (p->paper > 0)
        fprintf(out, ", \"paper_tok_s\": %.6g", p->paper);
    if (p->passes)
        put_ops(r, p, out);
    put_notes(r, p, out);
    fprintf(out, "}");
}

static void put_choices(const gp_mfu *r, FILE *out)
{
    if (!r->choice_count)
        return;
    fprintf(out, ", \"products_seconds\": %.6g, \"product_choices\": [", r->products_seconds);
    for (int i = 0; i < r->choice_count; i++) {
        const gp_product_choice *c = &r->choices[i];
        fprintf(out,
                "%s{\"product\": \"%s\", \"calls\": %lld, \"seconds\": %.6g, \"first_seconds\": %.6g, \"way\": "
                "\"%s\", \"details\": \"%s\", \"refused\": %s}",
                i ? ", " : "", c->product, (long long)c->calls, c->seconds, c->first_seconds, c->way, c->details,
                c->refused ? "true" : "false");
    }
    fprintf(out, "]");
}

void gp_mfu_json(const gp_mfu *r, FILE *out)
{
    const gp_memory_use *u = &r->memory;
    char *device = gp_json_quote(r->device, strlen(r->device));
    fprintf(out,
            "{\"parameters\": %lld, \"device\": %s, \"backend\": \"%s\", \"dtype\": \"%s\", \"threads\": %d, "
            "\"attention\": \"%s\"",
            (long long)gp_config_parameters(&r->config), device, r->backend, r->dtype, r->threads,
            *r->attention ? r->attention : "own");
    if (*r->products)
        fprintf(out, ", \"products\": \"%s\"", r->products);
    put_choices(r, out);
    fprintf(out, ", \"peak_flops\": %.6g, \"peak_measured\": %s, \"bandwidth\": %.6g", r->peak,
            r->peak_given ? "false" : "true", r->bandwidth);
    if (r->copy > 0)
        fprintf(out, ", \"copy_bandwidth\": %.6g", r->copy);
    if (r->start > 0)
        fprintf(out, ", \"kernel_start\": %.6g", r->start);
    if (r->vendor_peak > 0)
        fprintf(out, ", \"vendor\": {\"name\": \"%s\", \"flops\": %.6g, \"bandwidth\": %.6g}", r->vendor.name,
                r->vendor_peak, r->vendor.bandwidth);
    else
        fprintf(out, ", \"vendor\": null");
    fprintf(out,
            ", \"memory\": {\"weights\": %lld, \"slots\": %lld, \"gradients\": %lld, \"optimizer\": %lld, "
            "\"activations\": %lld, \"cache\": %lld, \"workspace\": %lld, \"resident\": %lld}",
            (long long)u->weights, (long long)u->slots, (long long)u->gradients, (long long)r->optimizer,
            (long long)u->activations, (long long)u->cache, (long long)u->workspace, (long long)r->resident);
    for (int i = 0; i < r->count; i++)
        put_pass(r, &r->result[i], out);
    fprintf(out, "}");
    free(device);
}

/* mfu_json.c: measurements of speed as JSON. */
#include "perf/mfu.h"

#include "base/json_write.h"

static void put_ops(const gp_mfu *r, const gp_pass_result *p, gp_buf *b)
{
    gp_json_put(b, MEMBER("pass_seconds", p->pass_seconds));
    gp_json_open(b, "ops", '[');
    for (int i = 0; i < p->profile.count; i++) {
        const gp_profile_row *op = &p->profile.row[i];
        double passes = (double)p->passes;
        gp_json_open(b, NULL, '{');
        gp_json_put(b, MEMBER("op", op->op), MEMBER("weight", op->shape), MEMBER("calls", (double)op->calls / passes),
                    MEMBER("seconds", op->seconds / passes), MEMBER("flops", op->cost.flops / passes),
                    MEMBER("bytes", op->cost.bytes / passes),
                    MEMBER("bound", gp_mfu_compute_bound(r, op) ? "compute" : "memory"));
        gp_json_close(b, '}');
    }
    gp_json_close(b, ']');
}

/* Explanations of shares above 100%, under the names of the members. */
static void put_notes(const gp_mfu *r, const gp_pass_result *p, gp_buf *b)
{
    static const char *const member[GP_SHARES] = {"mfu", "mfu_vendor", "of_bandwidth", "ops"};
    int count = 0;
    for (int share = 0; share < GP_SHARES; share++) {
        const char *note = gp_mfu_note(r, p, (gp_mfu_share)share);
        if (!note)
            continue;
        if (!count++)
            gp_json_open(b, "notes", '{');
        gp_json_put(b, MEMBER(member[share], note));
    }
    if (count)
        gp_json_close(b, '}');
}

static void put_pass(const gp_mfu *r, const gp_pass_result *p, gp_buf *b)
{
    const gp_speed *s = &p->speed;
    gp_json_open(b, gp_pass_name(p->pass), '{');
    gp_json_put(b, MEMBER("batch", p->B), MEMBER("context", p->T), MEMBER("runs", s->runs), MEMBER("tok_s", s->tok_s),
                MEMBER("tok_s_10", s->tok_s_10), MEMBER("tok_s_90", s->tok_s_90), MEMBER("tok_s_least", s->tok_s_min),
                MEMBER("tok_s_most", s->tok_s_max), MEMBER("flops_token", s->flops_token),
                FIXED("mfu", gp_mfu_of(s, r->peak), 4), FIXED("mfu_causal", gp_mfu_causal(s, r->peak), 4));
    if (r->vendor_peak > 0)
        gp_json_put(b, FIXED("mfu_vendor", gp_mfu_of(s, r->vendor_peak), 4));
    if (s->bytes_token > 0)
        gp_json_put(b, MEMBER("bytes_token", s->bytes_token),
                    FIXED("of_bandwidth", s->tok_s * s->bytes_token / r->bandwidth, 4));
    if (p->roofline > 0)
        gp_json_put(b, MEMBER("paper_tok_s", p->roofline));
    if (p->passes)
        put_ops(r, p, b);
    put_notes(r, p, b);
    gp_json_close(b, '}');
}

static void put_choices(const gp_mfu *r, gp_buf *b)
{
    if (!r->choice_count)
        return;
    if (r->products_seconds > 0)
        gp_json_put(b, MEMBER("products_seconds", r->products_seconds));
    gp_json_open(b, "product_choices", '[');
    for (int i = 0; i < r->choice_count; i++) {
        const gp_product_choice *c = &r->choices[i];
        gp_json_open(b, NULL, '{');
        gp_json_put(b, MEMBER("product", c->product), MEMBER("calls", c->calls));
        if (c->seconds > 0)
            gp_json_put(b, MEMBER("seconds", c->seconds), MEMBER("first_seconds", c->first_seconds));
        gp_json_put(b, MEMBER("way", c->way), MEMBER("details", c->details), MEMBER("refused", c->refused));
        gp_json_close(b, '}');
    }
    gp_json_close(b, ']');
}

void gp_mfu_put_vendor(gp_buf *b, const gp_vendor *vendor, double flops)
{
    gp_json_open(b, "vendor", '{');
    gp_json_put(b, MEMBER("name", vendor->name), MEMBER("flops", flops), MEMBER("bandwidth", vendor->bandwidth));
    gp_json_close(b, '}');
}

void gp_mfu_put_memory(gp_buf *b, const gp_memory_use *u, int64_t optimizer)
{
    gp_json_put(b, MEMBER("weights", u->weights), MEMBER("slots", u->slots), MEMBER("gradients", u->gradients),
                MEMBER("optimizer", optimizer), MEMBER("activations", u->activations), MEMBER("cache", u->cache));
}

static void put_report(gp_buf *b, const char *key, const gp_mfu *r)
{
    gp_json_open(b, key, '{');
    gp_json_put(b, MEMBER("parameters", gp_config_parameters(&r->config)), MEMBER("device", r->device),
                MEMBER("backend", r->backend), MEMBER("dtype", r->dtype), MEMBER("cache_dtype", r->cache_dtype),
                MEMBER("threads", r->threads), MEMBER("attention", *r->attention ? r->attention : "own"));
    if (*r->products)
        gp_json_put(b, MEMBER("products", r->products));
    put_choices(r, b);
    if (r->remark_count) {
        gp_json_open(b, "remarks", '[');
        for (int i = 0; i < r->remark_count; i++)
            gp_json_put(b, MEMBER(NULL, r->remarks[i]));
        gp_json_close(b, ']');
    }
    gp_json_put(b, MEMBER("peak_flops", r->peak), MEMBER("peak_measured", (bool)!r->peak_given),
                MEMBER("bandwidth", r->bandwidth));
    if (r->copy > 0)
        gp_json_put(b, MEMBER("copy_bandwidth", r->copy));
    if (r->start > 0)
        gp_json_put(b, MEMBER("kernel_start", r->start));
    if (r->vendor_peak > 0)
        gp_mfu_put_vendor(b, &r->vendor, r->vendor_peak);
    else
        gp_json_put(b, RAW("vendor", "null"));
    gp_json_open(b, "memory", '{');
    gp_mfu_put_memory(b, &r->memory, r->optimizer);
    gp_json_put(b, MEMBER("workspace", r->memory.workspace), MEMBER("resident", r->resident));
    gp_json_close(b, '}');
    for (int i = 0; i < r->count; i++)
        put_pass(r, &r->result[i], b);
    gp_json_close(b, '}');
}

void gp_mfu_json(const gp_mfu *r, FILE *out)
{
    gp_buf b = {0};
    put_report(&b, NULL, r);
    gp_json_write(&b, out, "\n");
}

void gp_mfu_sweep_json(const gp_mfu_sweep *s, FILE *out)
{
    gp_buf b = {0};
    gp_json_open(&b, NULL, '{');
    gp_json_put(&b, MEMBER("sweep", s->what));
    gp_json_open(&b, "runs", '[');
    for (int i = 0; i < s->count; i++) {
        gp_json_open(&b, NULL, '{');
        gp_json_put(&b, MEMBER("value", s->values[i]));
        put_report(&b, "report", s->run[i]);
        gp_json_close(&b, '}');
    }
    gp_json_close(&b, ']');
    gp_json_close(&b, '}');
    gp_json_write(&b, out, "\n");
}

/* diff.c: in what two checkpoints differ: configuration, tokenizer, tensors. */
#include "base/file.h"
#include "base/json_write.h"
#include "checkpoint/compare.h"
#include "checkpoint/names.h"
#include "model/config.h"

#include <stdlib.h>
#include <string.h>

typedef struct report {
    const gp_checkpoint *a, *b;
    gp_buf *out;
    bool json;
    int64_t tensors, differing; /* in both; of them with other numbers or another shape */
    int64_t only[2];
    double largest;
} report;

static void only_in(report *r, int side, const char *name)
{
    r->only[side]++;
    if (r->json)
        gp_json_put(r->out, MEMBER(NULL, name));
    else
        gp_buf_printf(r->out, "only in %s: %s\n", gp_printable(side ? r->b->path : r->a->path), name);
}

/* Names of tensors that the other does not have. */
static void list_only(report *r, int side)
{
    const gp_checkpoint *c = side ? r->b : r->a, *other = side ? r->a : r->b;
    gp_piece piece[GP_PIECES];
    for (int i = 0; i < c->params.count; i++) {
        const gp_param *row = &c->params.rows[i];
        if (gp_params_row(&other->params, row->role, row->index))
            continue;
        int pieces = gp_naming_pieces(gp_hf_naming(&c->config), row, piece);
        for (int k = 0; k < pieces; k++)
            only_in(r, side, piece[k].name);
    }
    for (int i = 0; i < c->carried_count; i++)
        if (!gp_find_carried(other, &c->carried[i]))
            only_in(r, side, c->carried[i].name);
}

static void add_difference(report *r, const char *name, const gp_number_difference *d)
{
    r->differing++;
    r->largest = d->largest > r->largest ? d->largest : r->largest;
    if (r->json) {
        gp_json_open(r->out, NULL, '{');
        gp_json_put(r->out, MEMBER("name", name), MEMBER("numbers", d->numbers), MEMBER("differing", d->differing),
                    MEMBER("largest", d->largest));
        gp_json_close(r->out, '}');
    } else {
        gp_buf_printf(r->out, "%s: %lld of %lld numbers differ, the largest difference is %.4g (largest number %.4g)\n",
                      name, (long long)d->differing, (long long)d->numbers, d->largest, d->magnitude);
    }
}

static void add_shapes(report *r, const char *name, const gp_param *row, const gp_param *other)
{
    char text[96];
    r->differing++;
    if (row->ndim == 1)
        snprintf(text, sizeof text, "[%lld] and [%lld]", (long long)row->dim[0], (long long)other->dim[0]);
    else
        snprintf(text, sizeof text, "[%lld,%lld] and [%lld,%lld]", (long long)row->dim[0], (long long)row->dim[1],
                 (long long)other->dim[0], (long long)other->dim[1]);
    if (r->json) {
        gp_json_open(r->out, NULL, '{');
        gp_json_put(r->out, MEMBER("name", name), MEMBER("shapes", (const char *)text));
        gp_json_close(r->out, '}');
    } else {
        gp_buf_printf(r->out, "%s: its shapes are %s\n", name, text);
    }
}

static int compare_row(report *r, const gp_param *row, const gp_param *other)
{
    gp_piece piece[GP_PIECES];
    int pieces = gp_naming_pieces(gp_hf_naming(&r->a->config), row, piece);
    bool same_shape = row->dim[0] == other->dim[0] && row->dim[1] == other->dim[1];
    for (int k = 0; k < pieces; k++) {
        gp_number_difference d = {0};
        r->tensors++;
        if (!same_shape) {
            add_shapes(r, piece[k].name, row, other);
            continue;
        }
        if (gp_compare_columns(r->a, row, r->b, other, piece[k].first, piece[k].columns, GP_STORE_F32, &d))
            return -1;
        if (d.differing)
            add_difference(r, piece[k].name, &d);
    }
    return 0;
}

static int compare_tensors(report *r)
{
    for (int i = 0; i < r->a->carried_count; i++) {
        gp_number_difference d = {0};
        const gp_carried *t = &r->a->carried[i], *other = gp_find_carried(r->b, t);
        if (other && gp_compare_carried(t, other, GP_STORE_F32, &d))
            return -1;
        r->tensors += other != NULL;
        if (d.differing)
            add_difference(r, t->name, &d);
    }
    for (int i = 0; i < r->a->params.count; i++) {
        const gp_param *row = &r->a->params.rows[i], *other = gp_params_row(&r->b->params, row->role, row->index);
        if (other && compare_row(r, row, other))
            return -1;
    }
    return 0;
}

/* In what the tokenizers differ, appended to text; false: in nothing, as far as ids are concerned. */
static bool tokenizers_differ(const gp_checkpoint *a, const gp_checkpoint *b, gp_buf *text)
{
    if (!a->tokenizer && !b->tokenizer)
        return false;
    if (!a->tokenizer || !b->tokenizer) {
        gp_buf_printf(text, "only %s has one", a->tokenizer ? a->path : b->path);
        return true;
    }
    if (!a->has_fingerprint || !b->has_fingerprint) {
        bool same =
            a->tokenizer_length == b->tokenizer_length && !memcmp(a->tokenizer, b->tokenizer, a->tokenizer_length);
        if (!same)
            gp_buf_puts(text, "of an unsupported type, as text they differ");
        return !same;
    }
    if (!memcmp(a->fingerprint, b->fingerprint, sizeof a->fingerprint))
        return false;
    char one[33], two[33];
    gp_hex(one, a->fingerprint, sizeof a->fingerprint);
    gp_hex(two, b->fingerprint, sizeof b->fingerprint);
    gp_buf_printf(text, "%lld and %lld ids, fingerprints %s and %s", (long long)a->tokenizer_ids,
                  (long long)b->tokenizer_ids, one, two);
    return true;
}

static int print_text(report *r, FILE *out)
{
    gp_buf config = {0}, tokenizer = {0};
    bool sizes, settings = gp_config_differ(&r->a->config, &r->b->config, &sizes, &config),
                tokens = tokenizers_differ(r->a, r->b, &tokenizer);
    if (settings)
        gp_buf_printf(r->out, "configuration: %s\n", config.data);
    if (tokens)
        gp_buf_printf(r->out, "tokenizers: %s\n", tokenizer.data);
    list_only(r, 0);
    list_only(r, 1);
    int rc = compare_tensors(r);
    if (!rc && (settings || tokens || r->differing || r->only[0] || r->only[1]))
        gp_buf_printf(r->out, "%lld of %lld tensors differ\n", (long long)r->differing, (long long)r->tensors);
    else if (!rc)
        gp_buf_printf(r->out, "the same configuration, tokenizer and %lld tensors\n", (long long)r->tensors);
    if (!rc)
        fwrite(r->out->data, 1, r->out->len, out);
    r->only[0] += settings || tokens;
    gp_buf_release(&config);
    gp_buf_release(&tokenizer);
    return rc;
}

static int print_json(report *r, FILE *out)
{
    static const char *const sides[] = {"only_in_first", "only_in_second"};
    gp_buf config = {0}, tokenizer = {0};
    bool sizes, settings = gp_config_differ(&r->a->config, &r->b->config, &sizes, &config),
                tokens = tokenizers_differ(r->a, r->b, &tokenizer);
    gp_json_open(r->out, NULL, '{');
    gp_json_put(r->out, MEMBER("configuration", settings ? (const char *)config.data : ""),
                MEMBER("tokenizer", tokens ? (const char *)tokenizer.data : ""));
    for (int side = 0; side < 2; side++) {
        gp_json_open(r->out, sides[side], '[');
        list_only(r, side);
        gp_json_close(r->out, ']');
    }
    gp_json_open(r->out, "differing", '[');
    int rc = compare_tensors(r);
    gp_json_close(r->out, ']');
    gp_json_put(r->out, MEMBER("tensors", r->tensors), MEMBER("largest", r->largest));
    gp_json_close(r->out, '}');
    if (!rc)
        fprintf(out, "%s\n", r->out->data);
    r->only[0] += settings || tokens;
    gp_buf_release(&config);
    gp_buf_release(&tokenizer);
    return rc;
}

int gp_checkpoint_diff(const gp_checkpoint *a, const gp_checkpoint *b, bool json, FILE *out)
{
    gp_buf text = {0};
    report r = {.a = a, .b = b, .out = &text, .json = json};
    int rc = json ? print_json(&r, out) : print_text(&r, out);
    gp_buf_release(&text);
    return rc ? rc : r.differing || r.only[0] || r.only[1];
}

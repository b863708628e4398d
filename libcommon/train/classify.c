/* classify.c: see classify.h. */
#include "train/classify.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/config.h"

/* ---- labels ------------------------------------------------------------------------------------------------ */

static int check_labels(const gp_config *c, const gp_tokens *stream, const char *where)
{
    const gp_tokens_info *info = gp_tokens_get_info(stream);
    char unnamed[GP_LABEL_UNNAMED];
    if (c->labels != info->labels)
        return fail("%s: has %lld labels, %s has %lld", where, (long long)c->labels, info->name,
                    (long long)info->labels);
    for (int64_t i = 0; i < c->labels; i++) {
        const char *own = gp_config_label(c, i), *name = gp_tokens_label_name(stream, i);
        if (strcmp(own, name) && strcmp(own, gp_label_unnamed(i, unnamed)))
            return fail("%s: its label %lld is %s, that of %s is %s; tokenize with --labels in the model's order",
                        where, (long long)i, own, info->name, name);
    }
    return 0;
}

int gp_classify_configure(gp_config *c, const gp_tokens *stream, const char *where)
{
    const gp_tokens_info *info = gp_tokens_get_info(stream);
    if (!info->items)
        return fail("%s: has no labels, which --objective classify needs; make it with tokenize --jsonl FIELD --label "
                    "FIELD",
                    info->name);
    if (c->head == GP_HEAD_CLASSIFY && check_labels(c, stream, where))
        return -1;
    const char **names = gp_calloc((size_t)info->labels, sizeof *names);
    for (int64_t i = 0; i < info->labels; i++)
        names[i] = gp_tokens_label_name(stream, i);
    int rc = gp_config_classify(c, info->labels, names, info->name);
    free(names);
    return rc;
}

/* ---- items ------------------------------------------------------------------------------------------------- */

int gp_classify_items_open(gp_classify_items *i, const gp_train_options *o, const gp_mixture *train,
                           const gp_mixture *val)
{
    gp_labelled_item *more = NULL;
    *i = (gp_classify_items){0};
    if (train->sets[0].weight > 0)
        return fail("%s: has a weight; items of --objective classify come once an epoch: give no weights",
                    train->sets[0].name);
    i->count = gp_labelled_find(train->sets, train->count, &i->train);
    if (i->count < 0)
        return -1;
    if (o->val.count || !val->count)
        return 0;
    int64_t n = gp_labelled_find(val->sets, val->count, &more), all = i->count + n;
    if (n < 0)
        return -1;
    i->train = gp_realloc(i->train, (size_t)all, sizeof *i->train);
    memcpy(i->train + i->count, more, (size_t)n * sizeof *more);
    free(more);
    i->held_out = gp_calloc((size_t)all, sizeof *i->held_out);
    i->count = gp_labelled_hold_out(i->train, all, o->val_fraction, i->held_out);
    i->held_out_count = all - i->count;
    return i->count < 0 ? -1 : 0;
}

void gp_classify_items_release(gp_classify_items *i)
{
    free(i->train);
    free(i->held_out);
    *i = (gp_classify_items){0};
}

/* ---- class weights ----------------------------------------------------------------------------------------- */

static int parse_weights(const char *text, int64_t labels, float *weights)
{
    const char *at = text;
    for (int64_t i = 0; i < labels; i++) {
        char *end;
        double x = strtod(at, &end);
        bool last = i == labels - 1;
        if (end == at || !(x > 0 && x <= 1e6) || *end != (last ? 0 : ','))
            return fail("--class-weights %s: expected %lld numbers above 0 with commas between them, or balanced", text,
                        (long long)labels);
        weights[i] = (float)x;
        at = end + 1;
    }
    return 0;
}

/* scikit-learn's class_weight="balanced": items / (labels * items of the label). */
static int balance(const gp_labelled_item *items, int64_t count, int64_t labels, float *weights)
{
    int64_t *counts = gp_calloc((size_t)labels, sizeof *counts);
    int rc = 0;
    for (int64_t i = 0; i < count; i++)
        counts[gp_tokens_item(items[i].tokens, items[i].index).label]++;
    for (int64_t i = 0; i < labels && !rc; i++) {
        weights[i] = counts[i] ? (float)((double)count / ((double)labels * (double)counts[i])) : 1;
        if (!counts[i])
            rc = fail("--class-weights balanced: no item is trained on that has the label %s",
                      gp_tokens_label_name(items[0].tokens, i));
    }
    free(counts);
    return rc;
}

int gp_classify_weights(const char *text, const gp_labelled_item *items, int64_t count, float **weights)
{
    int64_t labels = gp_tokens_get_info(items[0].tokens)->labels;
    *weights = NULL;
    if (!text)
        return 0;
    *weights = gp_calloc((size_t)labels, sizeof **weights);
    return strcmp(text, "balanced") ? parse_weights(text, labels, *weights) : balance(items, count, labels, *weights);
}

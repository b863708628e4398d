/* objective.c: see objective.h. */
#include "train/objective.h"

#include <stdio.h>

#include "base/base.h"

gp_objective gp_objective_of(const gp_config *c)
{
    const gp_objective objectives[] = {[GP_HEAD_LM] = GP_OBJECTIVE_LM,
                                       [GP_HEAD_MLM] = GP_OBJECTIVE_MLM,
                                       [GP_HEAD_NONE] = GP_OBJECTIVE_BY_HEAD,
                                       [GP_HEAD_CLASSIFY] = GP_OBJECTIVE_CLASSIFY};
    return objectives[c->head];
}

static const char *name_of(gp_objective objective)
{
    static const char *const names[] = {GP_OBJECTIVES(GP_CHOICE_NAME)};
    return names[objective];
}

static int check_tokenizer(const gp_tokenizer *t, const char *stream)
{
    if (!t)
        return fail("%s: has no tokenizer in it, whose mask token --objective mlm needs", stream);
    if (gp_tokenizer_mask(t) < 0)
        return fail("%s: its tokenizer (%s) has no mask token, [MASK] or <mask>, which --objective mlm needs", stream,
                    gp_tokenizer_kind(t));
    return 0;
}

/* Options of another objective than the model's, which must have their defaults. */
static int check_unused(const gp_train_options *o, gp_objective objective, const gp_config *c)
{
    gp_train_options d = gp_train_defaults();
    const struct {
        gp_objective objective;
        const char *name;
        bool given;
    } options[] = {{GP_OBJECTIVE_MLM, "mlm-probability", o->mlm_probability != d.mlm_probability},
                   {GP_OBJECTIVE_MLM, "mask-replace-prob", o->mask_replace_prob != d.mask_replace_prob},
                   {GP_OBJECTIVE_MLM, "random-replace-prob", o->random_replace_prob != d.random_replace_prob},
                   {GP_OBJECTIVE_MLM, "whole-words", o->whole_words},
                   {GP_OBJECTIVE_CLASSIFY, "truncate", o->truncate != d.truncate},
                   {GP_OBJECTIVE_CLASSIFY, "class-weights", o->class_weights},
                   {GP_OBJECTIVE_CLASSIFY, "label-smoothing", o->label_smoothing != d.label_smoothing}};
    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        if (options[i].given && options[i].objective != objective)
            return fail("--%s is of --objective %s, and the head of the model, a %s, is for %s", options[i].name,
                        name_of(options[i].objective), gp_family_name(c->family), name_of(objective));
    return 0;
}

int gp_reading_choose(gp_reading *r, const gp_train_options *o, const gp_config *c, const gp_tokenizer *t,
                      const char *stream)
{
    *r = (gp_reading){.objective = gp_objective_of(c), .tokenizer = t};
    if (o->objective && o->objective != r->objective)
        return fail("--objective %s does not fit the model, a %s whose head is for %s", name_of(o->objective),
                    gp_family_name(c->family), name_of(r->objective));
    if (check_unused(o, r->objective, c))
        return -1;
    r->masking = (gp_masking){.seed = (uint64_t)o->seed,
                              .probability = o->mlm_probability,
                              .mask_replace = o->mask_replace_prob,
                              .random_replace = o->random_replace_prob,
                              .whole_words = o->whole_words};
    r->labelled =
        (gp_labelled_options){.truncate = o->truncate, .pad = (int32_t)gp_max(0, c->pad_id), .types = c->types};
    if (o->sample_every && r->objective != GP_OBJECTIVE_LM)
        return fail("--sample-every needs a model that predicts next tokens, and the head of this %s is for %s",
                    gp_family_name(c->family), name_of(r->objective));
    if (r->objective == GP_OBJECTIVE_CLASSIFY && o->order != gp_train_defaults().order)
        return fail("--order is for windows of tokens; --objective classify has each item once an epoch, shuffled");
    if (r->objective == GP_OBJECTIVE_CLASSIFY && !t)
        return fail("%s: has no tokenizer in it, which --objective classify needs", stream);
    return r->objective == GP_OBJECTIVE_MLM ? check_tokenizer(t, stream) : 0;
}

int64_t gp_reading_window(const gp_reading *r, int64_t T)
{
    return r->objective == GP_OBJECTIVE_MLM ? T - gp_masked_affixes(r->tokenizer) : T;
}

double gp_reading_targets(const gp_reading *r, int64_t T)
{
    return r->objective == GP_OBJECTIVE_MLM ? r->masking.probability * (double)gp_reading_window(r, T) / (double)T : 1;
}

void gp_reading_describe(const gp_reading *r, char *text, size_t size)
{
    const gp_masking *m = &r->masking;
    *text = 0;
    if (r->objective == GP_OBJECTIVE_MLM)
        snprintf(text, size, ", masked %g%s (%g, %g)", m->probability, m->whole_words ? " in whole words" : "",
                 m->mask_replace, m->random_replace);
    if (r->objective == GP_OBJECTIVE_CLASSIFY)
        snprintf(text, size, ", labelled items%s",
                 r->labelled.truncate == GP_TRUNCATE_HEAD_TAIL ? ", truncated to head+tail" : "");
}

int gp_row_reader_open(gp_row_reader *reader, const gp_reading *r, const gp_stream_set *sets, int count,
                       const gp_loader_options *o)
{
    gp_loader_options windows = *o;
    windows.T = gp_reading_window(r, o->T);
    *reader = (gp_row_reader){0};
    if (windows.T < 1)
        return fail("--seq-len %lld leaves no place for a token beside the %lld that the tokenizer puts around a text",
                    (long long)o->T, (long long)(o->T - windows.T));
    reader->loader = gp_loader_open(sets, count, &windows);
    if (!reader->loader)
        return -1;
    reader->source = gp_loader_source(reader->loader);
    if (r->objective != GP_OBJECTIVE_MLM)
        return 0;
    reader->source = reader->masked = gp_masked_open(reader->source, r->tokenizer, &r->masking);
    return reader->masked ? 0 : -1;
}

int gp_row_reader_open_items(gp_row_reader *reader, const gp_reading *r, const gp_labelled_item *items, int64_t count,
                             const float *class_weights, const gp_loader_options *o)
{
    gp_labelled_options how = r->labelled;
    how.B = o->B;
    how.T = o->T;
    how.seed = o->seed;
    how.class_weights = class_weights;
    *reader = (gp_row_reader){.labelled = gp_labelled_open(r->tokenizer, items, count, &how), .B = o->B};
    reader->source = reader->labelled;
    return reader->source ? 0 : -1;
}

int64_t gp_row_reader_epoch(const gp_row_reader *reader)
{
    return reader->loader ? gp_loader_epoch(reader->loader) : reader->source->batches * reader->B;
}

void gp_row_reader_close(gp_row_reader *reader)
{
    gp_source_close(reader->labelled);
    gp_source_close(reader->masked);
    gp_loader_close(reader->loader);
    *reader = (gp_row_reader){0};
}

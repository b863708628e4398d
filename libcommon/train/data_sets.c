/* data_sets.c: see data_sets.h. */
#include "train/data_sets.h"
#include "data/tokens_metadata.h"
#include "gptpipe/corpus.h"
#include "train/classify.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The tokenizer that the stream carries, if any: it must be the one that its ids are of. */
static int open_tokenizer(gp_train_data *d)
{
    d->tokenizer_json = gp_tokens_member(d->stream, "tokenizer");
    if (!d->tokenizer_json) { /* a failure only where the metadata cannot be read */
        json_t *metadata = gp_tokens_metadata(d->stream);
        json_decref(metadata);
        return metadata ? 0 : -1;
    }
    d->tokenizer = gp_corpus_tokenizer(d->stream, gp_tokens_get_info(d->stream)->name);
    return d->tokenizer ? 0 : -1;
}

static int open_validation(gp_train_data *d, const gp_train_options *o)
{
    if (o->val.count)
        return gp_mixture_open(
            &d->val, &o->val,
            &(gp_mixture_how){.format = o->format, .vocab_size = o->vocab_size, .names = true, .like = d->stream});
    if (o->val_fraction > 0 && o->eval_batches)
        return gp_mixture_hold_out(&d->train, o->val_fraction, &d->val);
    return 0;
}

int gp_train_data_open(gp_train_data *d, const gp_train_options *o, const char *spool)
{
    gp_mixture_how how = {.format = o->format, .vocab_size = o->vocab_size, .spool = spool, .weights = true};
    *d = (gp_train_data){0};
    if (gp_mixture_open(&d->train, &o->data, &how))
        return -1;
    d->stream = gp_mixture_stream(&d->train);
    return open_validation(d, o) || open_tokenizer(d) ? -1 : 0;
}

static int plan_training(gp_train_data *d, const gp_train_options *o, int64_t B, int64_t T)
{
    int64_t tokens = 0;
    if (gp_row_reader_open(&d->reader, &d->reading, d->train.sets, d->train.count,
                           &(gp_loader_options){.B = B, .T = T, .order = o->order, .seed = (uint64_t)o->seed}))
        return -1;
    d->source = d->reader.source;
    for (int i = 0; i < d->train.count; i++)
        tokens += gp_stream_set_tokens(&d->train.sets[i]);
    if (!o->resume && tokens <= B * T)
        return fail("a micro-batch of %lld x %lld tokens is larger than the training data, %lld tokens; give "
                    "more text or a smaller --batch-size or --seq-len",
                    (long long)B, (long long)T, (long long)tokens);
    if (d->reading.objective == GP_OBJECTIVE_MLM)
        return gp_masked_entropy(d->source, d->train.sets, d->train.count, &d->unigram_entropy);
    return 0;
}

/* A set of --val must hold a batch, unless the run was begun without this check. What --val-fraction takes from a small
 * text is evaluated in smaller batches. */
static int plan_evaluation(const gp_train_data *d, gp_evaluation *e, const gp_stream_set *set,
                           const gp_train_options *o, int64_t B, int64_t T)
{
    if (o->val.count && !o->resume && gp_stream_set_tokens(set) <= B * T)
        return fail("%s: the validation set has %lld tokens, less than a batch of %lld x %lld and its last "
                    "target; give more text or a smaller --batch-size",
                    set->name, (long long)gp_stream_set_tokens(set), (long long)B, (long long)T);
    if (!gp_evaluation_open(e, set, B, T, o->eval_batches, o->order, &d->reading))
        return 0;
    return gp_fail_in("%s", o->val.count ? set->name : "--val-fraction (0 switches evaluation off)");
}

/* Labelled items: those to train on, and the evaluations. */
static int plan_classify(gp_train_data *d, const gp_train_options *o, int64_t B, int64_t T)
{
    gp_classify_items items;
    gp_loader_options how = {.B = B, .T = T, .seed = (uint64_t)o->seed};
    int rc = gp_classify_items_open(&items, o, &d->train, &d->val);
    if (!rc && !items.count)
        rc = fail("%s: has no labelled item", gp_tokens_get_info(d->stream)->name);
    if (!rc)
        rc = gp_classify_weights(o->class_weights, items.train, items.count, &d->class_weights);
    if (!rc)
        rc = gp_row_reader_open_items(&d->reader, &d->reading, items.train, items.count, d->class_weights, &how);
    d->source = d->reader.source;
    d->evaluations = gp_calloc((size_t)d->val.count + 1, sizeof *d->evaluations);
    while (!rc && d->count < d->val.count && o->eval_batches > 0) {
        gp_evaluation *e = &d->evaluations[d->count++];
        const gp_stream_set *set = &d->val.sets[d->count - 1];
        gp_labelled_item *own = NULL;
        int64_t count = items.held_out ? items.held_out_count : gp_labelled_find(set, 1, &own);
        rc = count < 0 || (own && gp_labelled_match(own[0].tokens, items.train[0].tokens)) ? -1 : 0;
        if (!rc)
            rc = gp_evaluation_open_items(e, set->name, items.held_out ? items.held_out : own, count, B, T,
                                          o->eval_batches, &d->reading);
        free(own);
        if (items.held_out)
            break; /* one set, of all training sets */
    }
    gp_classify_items_release(&items);
    return rc;
}

int gp_train_data_plan(gp_train_data *d, const gp_train_options *o, const gp_config *c, int64_t B, int64_t T)
{
    if (gp_reading_choose(&d->reading, o, c, d->tokenizer, gp_tokens_get_info(d->stream)->name))
        return -1;
    if (d->reading.objective == GP_OBJECTIVE_CLASSIFY)
        return plan_classify(d, o, B, T);
    if (plan_training(d, o, B, T))
        return -1;
    d->evaluations = gp_calloc((size_t)d->val.count, sizeof *d->evaluations);
    while (d->count < d->val.count && o->eval_batches > 0) {
        gp_evaluation *e = &d->evaluations[d->count];
        if (plan_evaluation(d, e, &d->val.sets[d->count], o, B, T)) {
            gp_evaluation_close(e);
            return -1;
        }
        d->count++;
    }
    return 0;
}

int64_t gp_train_data_steps(const gp_train_data *d, const gp_train_options *o, int64_t B, int64_t T)
{
    double rows = (double)(B * o->grad_accum), steps, max = 1e12;
    if (o->epochs > 0)
        steps = o->epochs * (double)gp_row_reader_epoch(&d->reader) / rows;
    else if (o->tokens > 0)
        steps = (double)o->tokens / (rows * (double)T);
    else
        return o->steps;
    return (int64_t)fmin(max, fmax(1, ceil(steps * (1 - 1e-12)))); /* 0.1 * 30 must not round up to 4 */
}

void gp_train_data_weights(const gp_train_data *d, char *text, size_t size)
{
    size_t n = 0;
    *text = 0;
    for (int i = 0; d->train.count > 1 && i < d->train.count && n < size; i++)
        n += (size_t)snprintf(text + n, size - n, "%s%g", i ? " : " : ", weights ", d->train.sets[i].weight);
}

bool gp_train_data_documents(const gp_train_data *d, const gp_tokens **tokens, int64_t *first)
{
    if (!d->val.count)
        return false;
    const gp_span *span = &d->val.sets[0].spans[0];
    int64_t documents = gp_tokens_get_info(span->tokens)->documents;
    *tokens = span->tokens;
    *first = 0;
    while (*first < documents && gp_tokens_document(span->tokens, *first) < span->first)
        ++*first;
    return *first < documents && gp_documents_known(span->tokens);
}

void gp_train_data_close(gp_train_data *d)
{
    for (int i = 0; i < d->count; i++)
        gp_evaluation_close(&d->evaluations[i]);
    free(d->evaluations);
    free(d->class_weights);
    gp_row_reader_close(&d->reader);
    gp_tokenizer_close(d->tokenizer);
    free(d->tokenizer_json);
    gp_mixture_close(&d->val);
    gp_mixture_close(&d->train);
    *d = (gp_train_data){0};
}

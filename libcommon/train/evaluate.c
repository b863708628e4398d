/* evaluate.c: see evaluate.h. */
#include "train/evaluate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/tokens_metadata.h"
#include "data/whole_documents.h"

/* ---- windows --------------------------------------------------------------------------------------------- */

int gp_evaluation_open(gp_evaluation *e, const gp_stream_set *set, int64_t B, int64_t T, int64_t batches,
                       gp_data_order order, const gp_reading *reading)
{
    bool documents = order == GP_ORDER_DOCUMENTS;
    int64_t windows = 0, most = 0, window = gp_reading_window(reading, T);
    gp_reading fixed = *reading;
    *e = (gp_evaluation){.name = set->name, .batches = batches};
    for (int i = 0; i < set->count; i++) {
        int64_t tokens = set->spans[i].last - set->spans[i].first;
        windows += (tokens - 1) / window;
        most = gp_max(most, tokens);
    }
    if (windows < 1)
        return fail("the validation data has %lld tokens; at least %lld (one sequence and its last target) are needed",
                    (long long)most, (long long)window + 1);
    if (!documents)
        B = gp_min(B, windows);
    fixed.masking.seed = 0; /* whatever the run's seed is */
    if (gp_row_reader_open(&e->reader, &fixed, set, 1,
                           &(gp_loader_options){.B = B, .T = T, .order = documents ? order : GP_ORDER_SEQUENTIAL}))
        return -1;
    if (!documents) /* no window twice */
        e->batches = gp_min(batches, e->reader.source->batches);
    e->batch = gp_batch_open(e->reader.source);
    return 0;
}

/* The accuracy of the Bayes-optimal classifier of a stream's texts; 0: not known. */
static double accuracy_limit(const gp_tokens *stream)
{
    json_t *root = gp_tokens_metadata(stream);
    double limit = json_number_value(json_object_get(json_object_get(root, "bayes"), "accuracy"));
    json_decref(root);
    return limit;
}

int gp_evaluation_open_items(gp_evaluation *e, const char *name, const gp_labelled_item *items, int64_t count,
                             int64_t B, int64_t T, int64_t batches, const gp_reading *reading)
{
    *e = (gp_evaluation){.name = name};
    if (gp_row_reader_open_items(&e->reader, reading, items, count, NULL, &(gp_loader_options){.B = B, .T = T}))
        return gp_fail_in("%s", name);
    int64_t labels = gp_tokens_get_info(items[0].tokens)->labels;
    e->stream = items[0].tokens;
    if (items[count - 1].tokens == e->stream)
        e->accuracy_limit = accuracy_limit(e->stream);
    e->batches = gp_min(batches, e->reader.source->batches);
    e->batch = gp_batch_open(e->reader.source);
    e->logits = gp_malloc((size_t)(e->reader.source->rows * labels) * sizeof *e->logits);
    gp_metrics_init(&e->metrics, labels);
    return 0;
}

void gp_evaluation_close(gp_evaluation *e)
{
    gp_metrics_release(&e->metrics);
    free(e->logits);
    gp_row_reader_close(&e->reader);
    gp_batch_close(&e->batch);
    *e = (gp_evaluation){0};
}

static int evaluate_items(gp_evaluation *e, gp_model *m, gp_progress *progress)
{
    const gp_source *source = e->reader.source;
    int64_t labels = e->metrics.labels, before = progress ? progress->done : 0;
    gp_metrics_clear(&e->metrics);
    for (int64_t n = 0; n < e->batches; n++) {
        if (gp_source_fill(source, n, &e->batch) || gp_model_logits(m, &e->batch, e->logits))
            return -1;
        for (int64_t b = 0; b < e->batch.B; b++)
            gp_metrics_add(&e->metrics, e->batch.labels[b], e->logits + b * labels);
        if (progress)
            gp_progress_set(progress, before + n + 1, NULL);
    }
    e->loss = e->metrics.nats / (double)e->metrics.count;
    return 0;
}

int gp_evaluation_loss(gp_evaluation *e, gp_model *m, gp_progress *progress)
{
    if (e->metrics.labels)
        return evaluate_items(e, m, progress);
    const gp_source *source = e->reader.source;
    double sum = 0, weights = 0;
    int64_t before = progress ? progress->done : 0;
    for (int64_t n = 0; n < e->batches; n++) {
        double mean, weight = source->weight ? source->weight(source, n) : 1;
        bool counts = weight != 0; /* a batch of separators has nothing to mask */
        if (weight < 0 ||
            (counts && (gp_source_fill(source, n, &e->batch) || gp_model_evaluate(m, &e->batch, &mean, NULL))))
            return -1;
        sum += counts ? mean * weight : 0;
        weights += weight;
        if (progress)
            gp_progress_set(progress, before + n + 1, NULL);
    }
    if (!(weights > 0))
        return fail("%s: none of the tokens to evaluate on can be masked", e->name);
    e->loss = sum / weights;
    return 0;
}

/* ---- documents ------------------------------------------------------------------------------------------- */

typedef struct known {
    json_t *root, *nats, *chars, *separator;
} known;

static bool known_open(known *k, const gp_tokens *tokens)
{
    const gp_tokens_info *info = gp_tokens_get_info(tokens);
    *k = (known){0};
    if (!info->metadata || !info->documents)
        return false;
    k->root = gp_tokens_metadata(tokens);
    json_t *entropy = json_object_get(k->root, "entropy");
    k->nats = json_object_get(entropy, "nats");
    k->chars = json_object_get(entropy, "chars");
    k->separator = json_object_get(json_object_get(k->root, "separator"), "ids");
    size_t n = (size_t)info->documents;
    if (json_array_size(k->nats) == n && json_array_size(k->chars) == n && json_array_size(k->separator))
        return true;
    json_decref(k->root);
    return false;
}

bool gp_documents_known(const gp_tokens *tokens)
{
    known k;
    if (!known_open(&k, tokens))
        return false;
    json_decref(k.root);
    return true;
}

/* Sums over documents of x = a document's -log P by the model, and y = by its generator. */
typedef struct sums {
    double n, model, floor, characters, tokens, difference, difference2;
} sums;

/* The rows' documents, of which the model gave the losses (B,T). */
static void add_documents(sums *s, const gp_batch *batch, const float *losses, const known *k)
{
    for (int64_t b = 0; b < batch->B; b++) {
        size_t document = (size_t)batch->items[b];
        double model = 0, floor = json_number_value(json_array_get(k->nats, document));
        for (int64_t t = 0; t < batch->T; t++) {
            model += (double)losses[b * batch->T + t];
            s->tokens += batch->targets[b * batch->T + t] >= 0;
        }
        s->n++;
        s->model += model;
        s->floor += floor;
        s->characters += json_number_value(json_array_get(k->chars, document));
        s->difference += model - floor;
        s->difference2 += (model - floor) * (model - floor);
    }
}

static int score_all(const gp_source *source, gp_model *m, const known *k, sums *s, gp_progress *progress)
{
    gp_batch batch = gp_batch_open(source);
    float *losses = gp_malloc((size_t)source->tokens * sizeof *losses);
    double mean;
    int rc = 0;
    for (int64_t n = 0; n < source->batches && !rc; n++) {
        rc = gp_source_fill(source, n, &batch) || gp_model_evaluate(m, &batch, &mean, losses) ? -1 : 0;
        if (!rc)
            add_documents(s, &batch, losses, k);
        if (progress)
            gp_progress_set(progress, (int64_t)s->n, NULL);
    }
    gp_batch_close(&batch);
    free(losses);
    return rc;
}

int gp_documents_score(gp_model *m, const gp_tokens *tokens, int64_t first, int64_t last, int64_t max, int64_t B,
                       gp_progress *progress, gp_document_scores *scores)
{
    known k;
    sums s = {0};
    *scores = (gp_document_scores){0};
    if (!known_open(&k, tokens))
        return fail("the token stream does not record the entropy of its documents");
    int64_t before = (int64_t)json_array_size(k.separator);
    int32_t *separator = gp_calloc((size_t)before, sizeof *separator);
    for (int64_t i = 0; i < before; i++)
        separator[i] = (int32_t)json_integer_value(json_array_get(k.separator, (size_t)i));
    gp_source *source = gp_documents_open(tokens,
                                          &(gp_documents_options){.B = B,
                                                                  .T = gp_config_context(&m->config),
                                                                  .first = first,
                                                                  .last = last,
                                                                  .max = max,
                                                                  .separator = separator,
                                                                  .before = before},
                                          &scores->documents, &scores->left_out);
    int rc = score_all(source, m, &k, &s, progress);
    if (!rc && s.n >= 1) {
        double variance = s.n > 1 ? (s.difference2 - s.difference * s.difference / s.n) / (s.n - 1) : 0;
        scores->characters = s.characters;
        scores->tokens = s.tokens;
        scores->loss = s.model / s.characters;
        scores->floor = s.floor / s.characters;
        scores->standard_error = sqrt(s.n * (variance > 0 ? variance : 0)) / s.characters;
    }
    gp_source_close(source);
    free(separator);
    json_decref(k.root);
    return rc;
}

/* evaluate.c: see evaluate.h. */
#include "train/evaluate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/tokens_metadata.h"

/* ---- windows --------------------------------------------------------------------------------------------- */

int gp_evaluation_open(gp_evaluation *e, const gp_stream_set *set, int64_t B, int64_t T, int64_t batches,
                       const char *order)
{
    bool documents = !strcmp(order, "documents");
    int64_t windows = 0, most = 0;
    *e = (gp_evaluation){.name = set->name, .B = B, .T = T, .batches = batches};
    for (int i = 0; i < set->count; i++) {
        int64_t tokens = set->spans[i].last - set->spans[i].first;
        windows += (tokens - 1) / T;
        most = gp_max(most, tokens);
    }
    if (windows < 1)
        return fail("the validation data has %lld tokens; at least %lld (one sequence and its last target) are needed",
                    (long long)most, (long long)T + 1);
    if (!documents)
        e->B = gp_min(B, windows);
    e->loader =
        gp_loader_open_sets(set, 1, &(gp_loader_options){.B = e->B, .T = T, .order = documents ? order : "sequential"});
    if (!e->loader)
        return -1;
    if (!documents) /* no window twice */
        e->batches = gp_min(batches, gp_loader_epoch(e->loader) / e->B);
    e->inputs = gp_malloc((size_t)(e->B * T) * sizeof *e->inputs);
    e->targets = gp_malloc((size_t)(e->B * T) * sizeof *e->targets);
    return 0;
}

void gp_evaluation_close(gp_evaluation *e)
{
    gp_loader_close(e->loader);
    free(e->inputs);
    free(e->targets);
    *e = (gp_evaluation){0};
}

int gp_evaluation_loss(gp_evaluation *e, gp_model *m, gp_progress *progress)
{
    double sum = 0;
    int64_t before = progress ? progress->done : 0;
    for (int64_t n = 0; n < e->batches; n++) {
        gp_batch batch = {.B = e->B, .T = e->T, .inputs = e->inputs, .targets = e->targets};
        double mean;
        if (gp_loader_batch(e->loader, n, e->inputs, e->targets) || gp_model_evaluate(m, &batch, &mean, NULL))
            return -1;
        sum += mean;
        if (progress)
            gp_progress_set(progress, before + n + 1, NULL);
    }
    e->loss = sum / (double)e->batches;
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
    double n, model, floor, characters, difference, difference2;
} sums;

typedef struct group {
    int64_t B, T, rows;
    int32_t *inputs, *targets; /* (B,T) */
    float *losses;
    int64_t *document; /* (B) */
} group;

/* Appends separator + document as one row: inputs all but the last token, targets all but the first, those of
 * the separator not counted. */
static int add_row(group *g, const known *k, const gp_tokens *tokens, int64_t document, int64_t length)
{
    int64_t before = (int64_t)json_array_size(k->separator), start = gp_tokens_document(tokens, document);
    int32_t *in = g->inputs + g->rows * g->T, *out = g->targets + g->rows * g->T;
    int32_t *row = gp_malloc((size_t)(before + length) * sizeof *row);
    for (int64_t i = 0; i < before; i++)
        row[i] = (int32_t)json_integer_value(json_array_get(k->separator, (size_t)i));
    int rc = gp_tokens_read(tokens, start, length, row + before);
    for (int64_t t = 0; t < g->T; t++) {
        bool inside = t < before + length - 1;
        in[t] = inside ? row[t] : 0;
        out[t] = inside && t >= before - 1 ? row[t + 1] : -100;
    }
    g->document[g->rows++] = document;
    free(row);
    return rc;
}

static int score_group(group *g, gp_model *m, const known *k, sums *s)
{
    double mean;
    if (!g->rows)
        return 0;
    if (gp_model_evaluate(m, &(gp_batch){.B = g->rows, .T = g->T, .inputs = g->inputs, .targets = g->targets}, &mean,
                          g->losses))
        return -1;
    for (int64_t b = 0; b < g->rows; b++) {
        double model = 0, floor = json_number_value(json_array_get(k->nats, (size_t)g->document[b]));
        for (int64_t t = 0; t < g->T; t++)
            model += (double)g->losses[b * g->T + t];
        s->n++;
        s->model += model;
        s->floor += floor;
        s->characters += json_number_value(json_array_get(k->chars, (size_t)g->document[b]));
        s->difference += model - floor;
        s->difference2 += (model - floor) * (model - floor);
    }
    g->rows = 0;
    return 0;
}

int gp_documents_score(gp_model *m, const gp_tokens *tokens, int64_t first, int64_t last, int64_t most, int64_t B,
                       gp_progress *progress, gp_document_scores *scores)
{
    known k;
    sums s = {0};
    int rc = -1;
    *scores = (gp_document_scores){0};
    if (!known_open(&k, tokens))
        return fail("the token stream does not tell its documents' entropy");
    int64_t T = gp_config_context(&m->config), before = (int64_t)json_array_size(k.separator);
    group g = {.B = B, .T = T};
    g.inputs = gp_malloc((size_t)(B * T) * sizeof *g.inputs);
    g.targets = gp_malloc((size_t)(B * T) * sizeof *g.targets);
    g.losses = gp_malloc((size_t)(B * T) * sizeof *g.losses);
    g.document = gp_malloc((size_t)B * sizeof *g.document);
    for (int64_t d = first; d < last && scores->documents < most; d++) {
        int64_t length = gp_tokens_document(tokens, d + 1) - gp_tokens_document(tokens, d);
        if (before + length - 1 > T) {
            scores->left_out++;
            continue;
        }
        scores->documents++;
        if (add_row(&g, &k, tokens, d, length) || (g.rows == B && score_group(&g, m, &k, &s)))
            goto out;
        if (progress)
            gp_progress_set(progress, scores->documents, NULL);
    }
    if (score_group(&g, m, &k, &s))
        goto out;
    rc = 0;
    if (s.n < 1)
        goto out;
    double variance = s.n > 1 ? (s.difference2 - s.difference * s.difference / s.n) / (s.n - 1) : 0;
    scores->characters = s.characters;
    scores->loss = s.model / s.characters;
    scores->floor = s.floor / s.characters;
    scores->standard_error = sqrt(s.n * (variance > 0 ? variance : 0)) / s.characters;
out:
    free(g.inputs);
    free(g.targets);
    free(g.losses);
    free(g.document);
    json_decref(k.root);
    return rc;
}

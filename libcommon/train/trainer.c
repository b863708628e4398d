/* trainer.c: see trainer.h. */
#include "train/trainer.h"
#include "base/batch.h"
#include "cli/progress.h"
#include "base/rng.h"
#include "backend/measure.h"
#include "train/attention.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int gp_trainer_open_data(gp_trainer *t, const gp_train_options *o, const char *spool)
{
    *t = (gp_trainer){.o = o};
    t->be = gp_backend_open_kind(o->backend, o->dtype, (int)o->threads);
    if (!t->be || gp_backend_check_training(t->be) || (!o->master_weights && gp_backend_drop_masters(t->be)))
        return -1;
    return gp_train_data_open(&t->sets, o, spool);
}

static int64_t planned_bytes(const gp_trainer *t)
{
    gp_memory_use use;
    gp_model_memory(t->m, &use);
    return use.weights + use.slots + use.gradients + use.activations + use.cache + use.workspace +
           (int64_t)t->optimizer.arena.size;
}

static void layout_staging(gp_trainer *t)
{
    gp_arena *a = &t->staging;
    for (int i = 0; i < GP_IN_FLIGHT; i++) {
        gp_batch_layout(a, t->sets.source, &t->staged[i].batch);
        t->staged[i].sample0 = gp_arena_take(a, sizeof *t->staged[i].sample0);
        t->issued[i].request = gp_arena_take(a, sizeof *t->issued[i].request);
        t->issued[i].result = gp_arena_take(a, sizeof *t->issued[i].result);
    }
}

/* Memory that will be allocated besides the batch: weights and gradients exist already. */
static int64_t pending_bytes(const gp_trainer *t)
{
    const gp_model *m = t->m;
    int64_t moments = 2 * m->params.total * (int64_t)sizeof(float);
    bool copied = t->be->act_dtype != GP_F32 && m->params.matrix_dtype == GP_F32; /* for products */
    return moments + (copied ? m->params.total * gp_dtype_size(t->be->act_dtype) : 0);
}

static int64_t free_bytes(const gp_trainer *t)
{
    size_t free, all;
    t->be->ops->available_memory(t->be, &free, &all);
    return (int64_t)free;
}

/* Whether the batch fits into a device's memory, so that a run fails before it begins. Host memory is not checked: it
 * can be swapped. */
static int check_memory(const gp_trainer *t)
{
    gp_model *m = t->m;
    char needed[32], available[32];
    if (!t->be->later)
        return 0;
    int64_t free = free_bytes(t), others = pending_bytes(t), left = free - others;
    int64_t batch = gp_model_training_bytes(m, m->recompute, t->B, t->T);
    if (batch <= left)
        return 0;
    gp_recompute max = GP_RECOMPUTE_LEVELS - 1;
    return fail("batches of %lld x %lld tokens need %s more, and %s of %s's memory are free: --batch-size %lld "
                "fits, with --recompute %s %lld; --grad-accum makes up for it",
                (long long)t->B, (long long)t->T, gp_format_bytes(needed, batch + others),
                gp_format_bytes(available, free), gp_backend_device(t->be),
                (long long)gp_model_largest_batch(m, m->recompute, t->T, left), gp_recompute_name(max),
                (long long)gp_model_largest_batch(m, max, t->T, left));
}

static int choose_attention(gp_trainer *t, const char *recorded)
{
    char report[320];
    bool measured = t->o->attention == GP_ATTENTION_MEASURE;
    if (measured && !*recorded) {
        t->attention = gp_attention_measure(t->m, t->B, t->T, free_bytes(t) - pending_bytes(t), report, sizeof report);
        gp_report_info(&t->report, "attention: %s", report);
        return 0;
    }
    t->attention = t->o->attention;
    if (measured && !gp_attention_parse(recorded, &t->attention))
        return fail("config.yaml records attention by %s, which is unknown", recorded);
    if (!gp_model_use_attention(t->m, t->attention, t->B, t->T, true))
        return 0;
    return measured ? fail("%s; what this run measured when it began is %s", gp_error(), recorded) : -1;
}

/* Gradients of one batch of random tokens. */
static int random_pass(void *self)
{
    gp_trainer *t = self;
    int64_t n = t->B * t->T;
    int32_t *ids = gp_malloc(2 * (size_t)n * sizeof *ids);
    double loss;
    for (int64_t i = 0; i < 2 * n; i++)
        ids[i] = (int32_t)gp_random_below(1, GP_RNG_DATA, 0, (uint64_t)i, (uint64_t)t->m->config.vocab_size);
    gp_batch batch = {.B = t->B, .T = t->T, .inputs = ids, .targets = ids + n, .labels = ids + n};
    double targets = gp_source_weight(t->sets.source, 0); /* as many as in a batch of the run */
    for (int64_t i = (int64_t)targets; i < n && !t->m->config.labels; i++)
        ids[n + i] = -100;
    for (int64_t i = 0; i < n && t->m->config.labels; i++)
        ids[n + i] %= (int32_t)t->m->config.labels;
    int rc = targets < 0 ? -1 : gp_model_gradients(t->m, &batch, &loss);
    free(ids);
    return rc;
}

static int measure_products(gp_trainer *t)
{
    double chosen, first;
    int measured = -t->be->choice_count, changed = 0;
    double took = gp_products_measure(t->be, random_pass, t);
    if (took < 0)
        return -1;
    for (int i = 0; i < t->be->choice_count; i++) {
        measured += 1 + t->be->choices[i].lost;
        changed += t->be->choices[i].seconds < t->be->choices[i].first_seconds;
    }
    if (!measured) /* all were recorded */
        return 0;
    gp_products_total(t->be, &chosen, &first);
    gp_report_info(&t->report,
                   "products: %d measured in %.2f s, %d made otherwise than by the library's first choice: %.4g "
                   "ms a batch, %.4g ms by that",
                   measured, took, changed, 1e3 * chosen, 1e3 * first);
    return 0;
}

void gp_trainer_report_backend(gp_trainer *t)
{
    const gp_product_choice *c;
    const char *remark;
    while ((c = gp_products_next_lost(t->be)))
        gp_report_info(&t->report,
                       "products: the algorithm that this run recorded for %s is not available here; using another "
                       "(%s%s%s), so bits may differ",
                       c->product, c->way, *c->details ? ", " : "", c->details);
    while ((remark = gp_backend_remark(t->be)))
        gp_report_warn(&t->report, "%s", remark);
}

/* recorded: when the run began, and whenever the library refused an algorithm. */
static int choose_products(gp_trainer *t, const gp_products *recorded)
{
    bool measured = t->o->products == GP_PRODUCTS_MEASURE;
    char why[256];
    if (gp_products_use(t->be, recorded, measured, why, sizeof why))
        return -1;
    if (*why)
        gp_report_info(&t->report, "products: %s; %s", why,
                       measured ? "they are measured again" : "the heuristic decides");
    if (!measured)
        return 0;
    if (!t->be->ops->choose_product) {
        gp_report_info(&t->report, "products: nothing to measure: backend %s has only one algorithm",
                       gp_backend_name(t->be));
        return 0;
    }
    if (measure_products(t))
        return -1;
    gp_trainer_report_backend(t);
    return 0;
}

static void report_items(gp_trainer *t)
{
    const gp_source *s = t->sets.source;
    int64_t truncated = gp_labelled_truncated(s);
    if (truncated)
        gp_report_info(&t->report, "%lld training item%s longer than %lld tokens, truncated to the %s (--truncate)",
                       (long long)truncated, gp_plural(truncated), (long long)t->T,
                       t->o->truncate == GP_TRUNCATE_HEAD ? "head" : "head and tail");
    for (int i = 0; i < t->sets.count; i++)
        if (t->sets.evaluations[i].batches < t->sets.evaluations[i].reader.source->batches)
            gp_report_info(&t->report, "evaluations take %lld of %lld batches of %s (--eval-batches)",
                           (long long)t->sets.evaluations[i].batches,
                           (long long)t->sets.evaluations[i].reader.source->batches, t->sets.evaluations[i].name);
}

int gp_trainer_open_model(gp_trainer *t, gp_model *m, const gp_recorded_choices *recorded)
{
    const gp_train_options *o = t->o;
    t->m = m;
    t->B = o->batch_size;
    t->T = o->seq_len ? o->seq_len : gp_config_context(&m->config);
    gp_model_set_recompute(m, o->recompute);
    if (gp_train_data_plan(&t->sets, o, &m->config, t->B, t->T))
        return -1;
    if (t->sets.reader.labelled) {
        report_items(t);
        gp_model_set_loss(m, t->sets.class_weights, o->label_smoothing);
    }
    if (!(t->report.peak > 0)) /* measured before the batch takes the memory */
        t->report.peak = gp_peak_best(t->be, 0.03, 1e-3, &t->report.lowest_peak);
    t->report.peak_tried = gp_now();
    if (choose_attention(t, recorded->attention) || check_memory(t) || gp_model_plan(m, t->B, t->T))
        return -1;
    t->staging = (gp_arena){.name = "staging"};
    layout_staging(t);
    gp_arena_allocate(&t->staging, gp_backend_host_memory(t->be));
    layout_staging(t);
    gp_optimizer_open(&t->optimizer, m, o->beta1, o->beta2, o->eps, o->weight_decay);
    if (gp_optimizer_scale(&t->optimizer, m, o->layer_decay, o->freeze))
        return -1;
    if (choose_products(t, &recorded->products))
        return -1;
    t->report.flops_token = 3 * gp_config_flops_masked(&m->config, t->T, gp_reading_targets(&t->sets.reading, t->T));
    t->report.unigram_entropy = t->sets.unigram_entropy;
    t->report.tokens_a_step = t->B * t->T * o->grad_accum;
    if (t->sets.reader.labelled) /* on average; padding is not counted */
        t->report.tokens_a_step = gp_labelled_tokens(t->sets.source) * o->grad_accum / t->sets.source->batches;
    t->report.memory = planned_bytes(t);
    return 0;
}

void gp_trainer_close(gp_trainer *t)
{
    gp_report_end(&t->report);
    gp_train_data_close(&t->sets);
    gp_optimizer_close(&t->optimizer);
    gp_arena_release(&t->staging);
    for (int i = 0; t->be && i < GP_IN_FLIGHT; i++) {
        t->be->ops->mark_free(t->be, &t->staged[i].taken);
        t->be->ops->mark_free(t->be, &t->issued[i].done);
    }
    gp_model_free(t->m);
    gp_backend_close(t->be);
    *t = (gp_trainer){0};
}

/* ---- evaluation ------------------------------------------------------------------------------------------ */

/* Another trial, at another time. It takes about 0.04 s, which a run that evaluates after each step would feel. */
static void try_peak(gp_trainer *t)
{
    enum { EVERY = 5 }; /* seconds */
    if (!(t->report.lowest_peak > 0) || t->be->later || gp_now() < t->report.peak_tried + EVERY)
        return;
    t->report.peak = fmax(t->report.peak, gp_measure_peak(t->be, 0.006, 1e-3));
    t->report.peak_tried = gp_now();
}

int gp_trainer_evaluate(gp_trainer *t, double *loss)
{
    gp_progress progress;
    int64_t batches = 0;
    int rc = 0;
    for (int i = 0; i < t->sets.count; i++)
        batches += t->sets.evaluations[i].batches;
    gp_report_progress(&t->report, &progress, "train: evaluation", "batch", batches);
    for (int i = 0; i < t->sets.count && !rc; i++)
        rc = gp_evaluation_loss(&t->sets.evaluations[i], t->m, &progress);
    gp_progress_end(&progress);
    if (rc)
        return -1;
    *loss = t->sets.evaluations[0].loss;
    try_peak(t);
    gp_report_evaluation(&t->report, t->step, t->sets.evaluations, t->sets.count);
    return 0;
}

int gp_trainer_score_documents(gp_trainer *t)
{
    enum { MAX = 1000 };
    gp_document_scores s;
    const gp_tokens *val;
    int64_t first;
    if (!t->o->eval_documents || t->sets.reading.objective != GP_OBJECTIVE_LM ||
        !gp_train_data_documents(&t->sets, &val, &first))
        return 0;
    gp_progress progress;
    int64_t last = gp_tokens_get_info(val)->documents;
    gp_report_progress(&t->report, &progress, "train: validation", "document", gp_min(MAX, last - first));
    int rc = gp_documents_score(t->m, val, first, last, MAX, t->B, &progress, &s);
    gp_progress_end(&progress);
    if (rc)
        return -1;
    gp_report_documents(&t->report, t->step, &s);
    return 0;
}

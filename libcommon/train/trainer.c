/* trainer.c: see trainer.h. */
#include "train/trainer.h"
#include "gptpipe/mfu.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- data -----------------------------------------------------------------------------------------------
 */

/* What training and evaluation read: two streams, or two parts of one, cut between documents. */
static int split(gp_trainer *t)
{
    const gp_train_options *o = t->o;
    const gp_tokens_info *data = gp_tokens_get_info(t->data);
    t->train_last = data->count;
    if (o->val) {
        t->val = gp_tokens_open_as(o->val, o->format, o->vocab_size, NULL);
        if (!t->val)
            return -1;
        const gp_tokens_info *val = gp_tokens_get_info(t->val);
        if (val->vocab_size != data->vocab_size || memcmp(val->fingerprint, data->fingerprint, 16))
            return fail(
                "%s: its tokenizer is not the training data's: tokenize it with --tokenizer and the training "
                "stream",
                o->val);
        t->val_last = val->count;
        return 0;
    }
    t->val = t->data;
    t->val_last = data->count;
    t->val_first = data->count;
    if (o->val_fraction > 0 && o->eval_batches) {
        t->val_first = t->train_last = gp_tokens_split(t->data, o->val_fraction);
        if (t->val_first < 0)
            return -1;
        while (t->val_document < data->documents &&
               gp_tokens_document(t->data, t->val_document) < t->val_first)
            t->val_document++;
    }
    return 0;
}

int gp_trainer_open_data(gp_trainer *t, const gp_train_options *o, const char *spool)
{
    *t = (gp_trainer){.o = o};
    t->be = gp_backend_open(o->backend, o->dtype, (int)o->threads);
    if (!t->be)
        return -1;
    t->data = gp_tokens_open_as(o->data.count ? o->data.items[0] : "-", o->format, o->vocab_size, spool);
    return t->data ? split(t) : -1;
}

/* ---- model ----------------------------------------------------------------------------------------------
 */

static int open_loader(gp_trainer *t)
{
    const gp_train_options *o = t->o;
    t->loader = gp_loader_open(
        t->data,
        &(gp_loader_options){
            .B = t->B, .T = t->T, .last = t->train_last, .order = o->order, .seed = (uint64_t)o->seed});
    if (!t->loader)
        return -1;
    bool val = t->o->eval_batches > 0 && t->val_last > t->val_first;
    if (val && gp_evaluation_open(&t->evaluation, t->val, t->val_first, t->val_last, t->B, t->T,
                                  o->eval_batches, o->order))
        return o->val ? gp_fail_in(o->val) : gp_fail_in("--val-fraction (0 switches evaluation off)");
    t->evaluates = val;
    t->inputs = gp_malloc((size_t)(t->B * t->T) * sizeof *t->inputs);
    t->targets = gp_malloc((size_t)(t->B * t->T) * sizeof *t->targets);
    return 0;
}

static int64_t planned_bytes(const gp_trainer *t)
{
    gp_memory_use use;
    gp_model_memory(t->m, &use);
    return use.weights + use.slots + use.gradients + use.activations + use.cache + use.workspace +
           (int64_t)t->optimizer.arena.size;
}

int gp_trainer_open_model(gp_trainer *t, gp_model *m)
{
    const gp_train_options *o = t->o;
    t->m = m;
    t->B = o->batch_size;
    t->T = o->seq_len ? o->seq_len : gp_config_context(&m->config);
    if (open_loader(t) || gp_model_plan(m, t->B, t->T))
        return -1;
    gp_optimizer_open(&t->optimizer, m, o->beta1, o->beta2, o->eps, o->weight_decay);
    t->report.peak = gp_measure_peak(t->be, 512, 0.1);
    t->report.flops_token = 3 * gp_config_flops(&m->config, t->T);
    t->report.tokens_a_step = t->B * t->T * o->grad_accum;
    t->report.memory = planned_bytes(t);
    return 0;
}

void gp_trainer_close(gp_trainer *t)
{
    gp_report_end(&t->report);
    gp_evaluation_close(&t->evaluation);
    gp_loader_close(t->loader);
    gp_optimizer_close(&t->optimizer);
    gp_model_free(t->m);
    if (t->val != t->data)
        gp_tokens_close(t->val);
    gp_tokens_close(t->data);
    gp_backend_close(t->be);
    free(t->inputs);
    free(t->targets);
    *t = (gp_trainer){0};
}

/* ---- the step -------------------------------------------------------------------------------------------
 */

static int micro_batch(gp_trainer *t, int64_t micro)
{
    gp_model *m = t->m;
    gp_batch batch = {.B = t->B, .T = t->T, .inputs = t->inputs, .targets = t->targets};
    uint32_t sample0 = (uint32_t)(micro * t->B);
    if (gp_loader_batch(t->loader, t->step * t->o->grad_accum + micro, t->inputs, t->targets) ||
        gp_model_load(m, &m->acts, &batch))
        return -1;
    t->be->ops->upload(t->be, &m->step->sample0, &sample0, sizeof sample0);
    gp_model_loss(m, &m->acts, gp_model_forward(m, &m->acts), true);
    gp_model_backward(m, &m->acts);
    return 0;
}

int gp_trainer_step(gp_trainer *t)
{
    const gp_train_options *o = t->o;
    gp_model *m = t->m;
    double begin = gp_now(), tokens = (double)(t->B * t->T * o->grad_accum), n = (double)(t->step + 1);
    m->host_step = (gp_step){.seed = (uint64_t)o->seed,
                             .step = (uint32_t)t->step,
                             .lr = (float)gp_train_lr(o, t->step),
                             .bias1 = (float)(1 - pow(o->beta1, n)),
                             .bias2 = (float)(1 - pow(o->beta2, n)),
                             .scale = (float)(1 / tokens),
                             .max_norm = (float)o->grad_clip};
    gp_step_upload(m);
    m->be->ops->zero(m->be, m->g, (size_t)m->params.total * sizeof *m->g);
    m->dropping = true;
    int rc = 0;
    for (int64_t micro = 0; micro < o->grad_accum && !rc; micro++)
        rc = micro_batch(t, micro);
    m->dropping = false;
    if (rc)
        return -1;
    gp_optimizer_step(&t->optimizer, m);
    gp_step_download(m);
    const gp_step *s = &m->host_step;
    if (s->skip)
        return fail(
            "step %lld: loss %g, gradient norm %g: not finite, nothing was updated; try a lower --lr or "
            "--grad-clip 1",
            (long long)t->step + 1, s->loss, (double)s->grad_norm);
    t->step++;
    gp_report_step(&t->report, t->step, s->loss, (double)s->lr, (double)s->grad_norm, gp_now() - begin);
    return 0;
}

int gp_trainer_evaluate(gp_trainer *t, double *loss)
{
    if (gp_evaluation_loss(&t->evaluation, t->m, loss))
        return -1;
    gp_report_evaluation(&t->report, t->step, *loss);
    return 0;
}

int gp_trainer_score_documents(gp_trainer *t)
{
    enum { MOST = 1000 };
    gp_document_scores s;
    int64_t documents = gp_tokens_get_info(t->val)->documents;
    if (!t->o->eval_documents || t->val_document >= documents || t->val_last == t->val_first ||
        !gp_documents_known(t->val))
        return 0;
    if (gp_documents_score(t->m, t->val, t->val_document, documents, MOST, t->B, &s))
        return -1;
    gp_report_documents(&t->report, t->step, &s);
    return 0;
}

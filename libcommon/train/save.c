/* save.c: what a run saves: checkpoints, the files beside them, samples. */
#include "base/file.h"
#include "gptpipe/sampler.h"
#include "checkpoint/checkpoint.h"
#include "train/job.h"

#include <stdlib.h>
#include <string.h>

static const char samples_name[] = "samples.txt";

gp_checkpoint *gp_job_checkpoint(gp_job *j)
{
    const char *json = j->t.sets.tokenizer_json;
    return gp_checkpoint_of_model(j->t.m, json, json ? strlen(json) : 0);
}

int gp_job_write_top(gp_job *j)
{
    gp_checkpoint *ckpt = gp_job_checkpoint(j);
    int rc = j->o->tool ? gp_job_write_config(j) : 0;
    if (!rc)
        rc = gp_hf_write_beside(ckpt, gp_run_path(j->run), GP_STORE_F32);
    gp_checkpoint_close(ckpt);
    return rc;
}

int gp_job_write_products(gp_job *j)
{
    gp_buf text = {0};
    int rc = 0;
    if (!j->run || !j->t.be->choice_count)
        return 0;
    gp_products_print(j->t.be, &text);
    if (!j->products || strcmp(j->products, text.data)) {
        rc = gp_run_write(j->run, GP_PRODUCTS_NAME, text.data, text.len);
        free(j->products);
        j->products = rc ? NULL : gp_strdup(text.data);
    }
    gp_buf_release(&text);
    return rc;
}

static int fill_checkpoint(void *self, const char *dir)
{
    gp_job *j = self;
    char *model = gp_path_join(dir, "model.safetensors"), *state = gp_path_join(dir, "state.safetensors");
    gp_checkpoint *ckpt = gp_job_checkpoint(j);
    int rc = gp_checkpoint_write(ckpt, model, NULL);
    if (!rc)
        rc = gp_state_weights(j->state.weights, model);
    if (!rc)
        rc = gp_state_save(&j->state, &j->t.optimizer, j->t.m, state);
    gp_checkpoint_close(ckpt);
    free(model);
    free(state);
    return rc;
}

int gp_job_save(gp_job *j)
{
    bool best = j->val_loss < j->state.best_loss;
    char *renamed;
    if (!j->run || j->saved == j->t.step)
        return 0;
    if (gp_run_rename_existing(j->run, j->t.step, &renamed))
        return -1;
    if (renamed)
        gp_report_warn(&j->t.report, "%s: has a checkpoint of step %lld that this run did not write; it was renamed %s",
                       gp_run_path(j->run), (long long)j->t.step, renamed);
    free(renamed);
    j->state.step = j->t.step;
    j->state.losses = j->t.losses;
    j->state.norms = j->t.norms;
    if (gp_run_size(j->run, samples_name, &j->state.samples))
        return -1;
    gp_report_busy(&j->t.report, "saving a checkpoint");
    double loss_before = j->state.best_loss;
    int64_t step_before = j->state.best_step;
    if (best) {
        j->state.best_loss = j->val_loss;
        j->state.best_step = j->t.step;
    }
    /* What a checkpoint counts as logged must survive a power failure, as the checkpoint does. */
    if (gp_job_write_products(j) || gp_run_flush(j->run, GP_LOG_NAME) || gp_run_flush(j->run, samples_name) ||
        gp_run_save(j->run, j->t.step, best, j->o->keep, fill_checkpoint, j)) {
        j->state.best_loss = loss_before;
        j->state.best_step = step_before;
        return -1;
    }
    j->saved = j->t.step;
    return 0;
}

/* ---- samples --------------------------------------------------------------------------------------------- */

static int collect(void *self, int64_t sample, const char *bytes, size_t n, bool done)
{
    (void)sample, (void)done;
    gp_buf_add(self, bytes, n);
    return 0;
}

/* Generates one sample of at most that many tokens. */
static int generate_sample(gp_job *j, int64_t max_tokens, gp_buf *text)
{
    const gp_tokenizer *t = j->t.sets.tokenizer;
    gp_generation how = {.sampling = {.temperature = 0.8, .top_p = 1, .seed = (uint64_t)j->o->seed},
                         .samples = 1,
                         .max_tokens = gp_min(max_tokens, gp_config_context(&j->t.m->config))};
    int32_t *ids = NULL, end = gp_tokenizer_end_of_text(t);
    int64_t n = 0;
    int rc = end >= 0 ? 0 : gp_tokenizer_encode(t, "\n", 1, false, &ids, &n);
    if (!rc)
        rc = gp_generate(j->t.m, t, ids ? ids : &end, 1, &how, collect, text, NULL);
    free(ids);
    return rc;
}

int gp_job_sample(gp_job *j)
{
    gp_buf text = {0};
    gp_buf_printf(&text, "--- step %lld ---\n", (long long)j->t.step);
    int rc = generate_sample(j, 200, &text);
    gp_buf_puts(&text, "\n\n");
    if (!rc)
        rc = gp_run_append(j->run, samples_name, text.data, text.len);
    gp_buf_release(&text);
    return rc;
}

/* ---- rehearsal: results are discarded --------------------------------------------------------------------- */

static int rehearse_checkpoint(gp_job *j)
{
    static const char nowhere[] = "/dev/null";
    gp_checkpoint *ckpt = gp_job_checkpoint(j);
    int rc = gp_checkpoint_write(ckpt, nowhere, NULL);
    if (!rc)
        rc = gp_state_save(&j->state, &j->t.optimizer, j->t.m, nowhere);
    gp_checkpoint_close(ckpt);
    return rc;
}

/* One batch of each set. */
static int rehearse_evaluation(gp_job *j)
{
    gp_train_data *d = &j->t.sets;
    int64_t *batches = gp_calloc((size_t)d->count, sizeof *batches);
    double loss;
    for (int i = 0; i < d->count; i++) {
        batches[i] = d->evaluations[i].batches;
        d->evaluations[i].batches = 1;
    }
    int rc = d->count ? gp_trainer_evaluate(&j->t, &loss) : 0;
    for (int i = 0; i < d->count; i++)
        d->evaluations[i].batches = batches[i];
    free(batches);
    return rc;
}

int gp_job_rehearse(gp_job *j)
{
    gp_buf text = {0};
    int rc = rehearse_evaluation(j) || rehearse_checkpoint(j) ? -1 : 0;
    if (!rc && j->o->sample_every && j->t.sets.tokenizer)
        rc = generate_sample(j, 2, &text);
    gp_buf_release(&text);
    return rc;
}

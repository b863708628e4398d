/* train.c: one run from its first line to its last: where it is kept, where it begins, the loop, what is
 * left. */
#include "base/file.h"
#include "base/options.h"
#include "gptpipe/checkpoint.h"
#include "gptpipe/sampler.h"
#include "io/checkpoint.h"
#include "io/run.h"
#include "train/state.h"
#include "train/trainer.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

typedef struct job {
    gp_train_options *o;
    gp_trainer t;
    gp_run *run; /* NULL: the checkpoint goes to stdout alone */
    gp_state state;
    char *tokenizer; /* tokenizer.json's text, NULL where the stream has none */
    int64_t saved;   /* step of the newest checkpoint, -1: none */
} job;

static volatile sig_atomic_t stop_signal;

static void on_signal(int number)
{
    stop_signal = number;
}

static void catch_signals(void)
{
    struct sigaction stop = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    stop_signal = 0;
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
    signal(SIGPIPE, SIG_IGN); /* a closed reader is a failed write, not the end of a run */
}

/* ---- where it begins ------------------------------------------------------------------------------------
 */

static void describe(job *j, gp_state *s)
{
    const gp_train_options *o = j->o;
    const gp_tokens_info *info = gp_tokens_get_info(j->t.data);
    char tokenizer[33];
    gp_hex(tokenizer, info->fingerprint, 16);
    snprintf(s->data, sizeof s->data, "%lld tokens, vocabulary %lld, tokenizer %s", (long long)info->count,
             (long long)info->vocab_size, tokenizer);
    snprintf(s->batches, sizeof s->batches, "%lld x %lld tokens, %lld a step, order %s, seed %lld",
             (long long)j->t.B, (long long)j->t.T, (long long)o->grad_accum, o->order, (long long)o->seed);
    snprintf(s->machine, sizeof s->machine, "%s, %s, %d threads, %s", gp_backend_name(j->t.be),
             gp_backend_dtype(j->t.be), gp_backend_threads(j->t.be), gp_backend_device(j->t.be));
}

static int config_from_scratch(const job *j, gp_config *c)
{
    const gp_train_options *o = j->o;
    if (gp_config_preset(c, o->preset))
        return -1;
    c->vocab_size = gp_tokens_get_info(j->t.data)->vocab_size;
    if (o->layers)
        c->layers = o->layers;
    if (o->heads)
        c->heads = o->heads;
    if (o->channels)
        c->channels = o->channels;
    if (o->seq_len)
        c->positions = o->seq_len;
    c->inner = 4 * c->channels;
    c->init_std = o->init_std;
    c->bias = o->bias;
    c->tied = o->tied;
    c->dropout_embd = c->dropout_attn = c->dropout_resid = o->dropout;
    return gp_config_check(c, "the model asked for");
}

/* Whether a checkpoint's model can read this stream. */
static int check_stream(const job *j, const gp_checkpoint *ckpt, const char *path)
{
    const gp_tokens_info *info = gp_tokens_get_info(j->t.data);
    static const uint8_t unknown[16];
    uint8_t theirs[16];
    if (info->vocab_size > gp_checkpoint_config(ckpt)->vocab_size)
        return fail("%s: its vocabulary has %lld ids, the token stream's %lld", path,
                    (long long)gp_checkpoint_config(ckpt)->vocab_size, (long long)info->vocab_size);
    if (gp_checkpoint_fingerprint(ckpt, theirs) && memcmp(info->fingerprint, unknown, 16) &&
        memcmp(info->fingerprint, theirs, 16))
        return fail("%s: its tokenizer is not the token stream's: tokenize the text with --tokenizer %s",
                    path, path);
    return 0;
}

static gp_model *model_from(job *j, const char *path)
{
    gp_checkpoint *ckpt = gp_checkpoint_open(path);
    gp_model *m = NULL;
    if (!ckpt)
        return NULL;
    if (gp_checkpoint_remark(ckpt))
        gp_report_say(&j->t.report, "%s", gp_checkpoint_remark(ckpt));
    gp_config c = *gp_checkpoint_config(ckpt);
    c.dropout_embd = c.dropout_attn = c.dropout_resid = j->o->dropout;
    if (!c.causal)
        fail("%s: is not a causal model: train continues GPT-2 alone", path);
    else if (!check_stream(j, ckpt, path)) {
        m = gp_model_create(&c, j->t.be, true);
        if (gp_checkpoint_load(ckpt, m)) {
            gp_model_free(m);
            m = NULL;
        }
    }
    gp_checkpoint_close(ckpt);
    return m;
}

static int begin_fresh(job *j)
{
    gp_config c;
    gp_model *m;
    if (strcmp(j->o->init, "scratch")) {
        m = model_from(j, j->o->init);
        if (!m)
            return -1;
    } else {
        if (config_from_scratch(j, &c))
            return -1;
        m = gp_model_create(&c, j->t.be, true);
        gp_model_init(m, (uint64_t)j->o->seed);
    }
    j->state.best_loss = INFINITY;
    return gp_trainer_open_model(&j->t, m);
}

/* What must not change, and what should be told when it does. */
static int compare(job *j, const gp_state *then)
{
    gp_state now = {0};
    describe(j, &now);
    if (strcmp(then->data, now.data))
        return fail("%s: was trained on other data (%s; now %s)", j->o->resume, then->data, now.data);
    if (strcmp(then->batches, now.batches))
        gp_report_say(&j->t.report, "batches change: %s; they were %s", now.batches, then->batches);
    if (strcmp(then->machine, now.machine))
        gp_report_say(&j->t.report, "the machine changes, so bits may differ: %s; it was %s", now.machine,
                      then->machine);
    return 0;
}

/* Goes on from the newest checkpoint that can be read. */
static int begin_resumed(job *j)
{
    for (int n = 0;; n++) {
        char *dir = gp_run_checkpoint(j->run, n);
        if (!dir)
            return n ? -1 : fail("%s: has no checkpoint to go on with", j->o->resume);
        char *state = gp_path_join(dir, "state.safetensors");
        gp_model *m = model_from(j, dir);
        int rc = m ? gp_trainer_open_model(&j->t, m) : -1;
        if (!rc)
            rc = gp_state_load(&j->state, &j->t.optimizer, m, state);
        free(state);
        free(dir);
        if (!rc && !compare(j, &j->state))
            break;
        if (m)
            return -1; /* it could be read, but does not fit */
        gp_report_say(&j->t.report, "%s; trying the checkpoint before it", gp_error());
    }
    j->t.step = j->saved = j->state.step;
    return gp_run_cut_log(j->run, j->t.step);
}

/* ---- what is kept ---------------------------------------------------------------------------------------
 */

static int write_config_yaml(job *j)
{
    char *text = NULL;
    size_t size = 0;
    char tokenizer[33];
    FILE *f = open_memstream(&text, &size);
    if (!f)
        die("out of memory");
    gp_hex(tokenizer, gp_tokens_get_info(j->t.data)->fingerprint, 16);
    int rc = gp_options_print(j->o->tool, j->o->args, f);
    fprintf(f,
            "\n# not options: --config skips these, --resume compares them\nrecorded:\n  version: %s\n  "
            "machine: \"%s\"\n"
            "  threads: %d\n  data: \"%s\"\n  tokenizer: \"%s\"\n",
            gp_version(), j->state.machine, gp_backend_threads(j->t.be), j->state.data, tokenizer);
    fclose(f);
    if (!rc)
        rc = gp_run_write(j->run, "config.yaml", text, size);
    free(text);
    return rc;
}

/* The files beside the checkpoints, which make the folder one that transformers loads. */
static gp_checkpoint *as_checkpoint(job *j)
{
    return gp_checkpoint_of_model(j->t.m, j->tokenizer, j->tokenizer ? strlen(j->tokenizer) : 0);
}

static int write_top_level(job *j)
{
    gp_checkpoint *ckpt = as_checkpoint(j);
    int rc = gp_hf_write_beside(ckpt, gp_run_path(j->run), GP_F32);
    if (!rc && j->o->tool)
        rc = write_config_yaml(j);
    gp_checkpoint_close(ckpt);
    return rc;
}

static int fill_checkpoint(void *self, const char *dir)
{
    job *j = self;
    char *model = gp_path_join(dir, "model.safetensors"), *state = gp_path_join(dir, "state.safetensors");
    gp_checkpoint *ckpt = as_checkpoint(j);
    int rc = gp_checkpoint_write(ckpt, model, "safetensors", GP_F32);
    if (!rc)
        rc = gp_state_save(&j->state, &j->t.optimizer, j->t.m, state);
    gp_checkpoint_close(ckpt);
    free(model);
    free(state);
    return rc;
}

static int save(job *j, double val_loss)
{
    bool best = val_loss < j->state.best_loss;
    if (!j->run || j->saved == j->t.step)
        return 0;
    j->state.step = j->t.step;
    double before = j->state.best_loss;
    if (best)
        j->state.best_loss = val_loss;
    if (gp_run_save(j->run, j->t.step, best, j->o->keep, fill_checkpoint, j)) {
        j->state.best_loss = before;
        return -1;
    }
    j->saved = j->t.step;
    return 0;
}

/* ---- samples --------------------------------------------------------------------------------------------
 */

static int collect(void *self, int64_t sample, const char *bytes, size_t n, bool done)
{
    (void)sample, (void)done;
    gp_buf_add(self, bytes, n);
    return 0;
}

/* Appends one sample to samples.txt, begun by an end-of-text or a newline. */
static int write_sample(job *j)
{
    gp_tokenizer *t = gp_tokenizer_from_json(j->tokenizer, strlen(j->tokenizer), "the stream's tokenizer");
    gp_generation how = {.sampling = {.temperature = 0.8, .top_p = 1, .seed = (uint64_t)j->o->seed},
                         .samples = 1,
                         .max_tokens = gp_min(200, gp_config_context(&j->t.m->config))};
    char *path = gp_path_join(gp_run_path(j->run), "samples.txt");
    gp_buf text = {0};
    int32_t *ids = NULL, end = t ? gp_tokenizer_end_of_text(t) : -1;
    int64_t n = 0;
    int rc = -1;
    if (!t || (end < 0 && gp_tokenizer_encode(t, "\n", 1, &ids, &n)))
        goto out;
    gp_buf_printf(&text, "--- step %lld ---\n", (long long)j->t.step);
    if (gp_generate(j->t.m, t, ids ? ids : &end, 1, &how, collect, &text, NULL))
        goto out;
    gp_buf_puts(&text, "\n\n");
    FILE *f = fopen(path, "a");
    bool written = f && fwrite(text.data, 1, text.len, f) == text.len;
    if (f && fclose(f))
        written = false;
    rc = written ? 0 : fail("%s: cannot be written", path);
out:
    gp_tokenizer_close(t);
    gp_buf_release(&text);
    free(path);
    free(ids);
    return rc;
}

/* ---- the loop -------------------------------------------------------------------------------------------
 */

static bool every(int64_t n, int64_t step)
{
    return n > 0 && step % n == 0;
}

static int loop(job *j)
{
    const gp_train_options *o = j->o;
    gp_trainer *t = &j->t;
    while (t->step < o->steps && !stop_signal) {
        double val = INFINITY;
        if (gp_trainer_step(t))
            return -1;
        bool last = t->step == o->steps, saves = every(o->save_every, t->step) || last;
        if (t->evaluates && (every(o->eval_every, t->step) || saves) && gp_trainer_evaluate(t, &val))
            return -1;
        if (every(o->sample_every, t->step) && j->run && j->tokenizer && write_sample(j))
            return -1;
        if (saves && !last && save(j, val)) /* the last one must succeed; see finish */
            gp_report_say(&t->report, "%s; training goes on, the last checkpoint stays", gp_error());
    }
    return 0;
}

static int finish(job *j)
{
    gp_trainer *t = &j->t;
    int rc = 0;
    double took = gp_now() - t->report.began;
    bool evaluated = t->evaluates && isfinite(t->report.val_loss) && !stop_signal;
    if (save(j, evaluated ? t->report.val_loss : INFINITY))
        return -1;
    if (!stop_signal && gp_trainer_score_documents(t))
        return -1;
    if (!strcmp(j->o->out ? j->o->out : "", "-")) {
        gp_checkpoint *ckpt = as_checkpoint(j);
        rc = gp_checkpoint_write(ckpt, "-", "safetensors", GP_F32);
        gp_checkpoint_close(ckpt);
    }
    if (rc)
        return -1;
    int64_t steps = t->step - t->report.first_step;
    gp_report_say(&t->report, "%lld steps, %lld tokens in %.1f s, %.0f tok/s", (long long)steps,
                  (long long)(steps * t->report.tokens_a_step), took,
                  (double)(steps * t->report.tokens_a_step) / took);
    if (j->run && stop_signal)
        gp_report_say(&t->report, "stopped; go on with: train --resume %s", gp_run_path(j->run));
    else if (j->run)
        gp_report_say(&t->report, "the run is in %s; try: sample --checkpoint %s", gp_run_path(j->run),
                      gp_run_path(j->run));
    return stop_signal ? 128 + stop_signal : 0;
}

/* ---- one run --------------------------------------------------------------------------------------------
 */

static int open_run(job *j)
{
    const gp_train_options *o = j->o;
    const char *dir = o->out && strcmp(o->out, "-") ? o->out : o->run;
    if (o->resume)
        j->run = gp_run_open(o->resume);
    else if (dir)
        j->run = gp_run_create(dir);
    else
        return 0;
    return j->run ? 0 : -1;
}

static int open_data(job *j)
{
    gp_train_options *o = j->o;
    char *spool = j->run && !o->data.count ? gp_path_join(gp_run_path(j->run), "data.tok") : NULL;
    int rc = gp_trainer_open_data(&j->t, o, spool);
    if (!rc && spool)
        gp_list_append(&o->data, gp_option_keep(spool, strlen(spool)), true);
    free(spool);
    return rc;
}

int gp_train(gp_train_options *o)
{
    job j = {.o = o, .saved = -1};
    int rc = -1;
    if (open_run(&j))
        return -1;
    catch_signals();
    if (open_data(&j))
        goto out;
    gp_report_begin(&j.t.report, o, j.run);
    j.tokenizer = gp_tokens_member(j.t.data, "tokenizer");
    if (o->resume ? begin_resumed(&j) : begin_fresh(&j))
        goto out;
    describe(&j, &j.state);
    if (j.run && write_top_level(&j))
        goto out;
    gp_report_say(&j.t.report, "%.2f M parameters, %lld x %lld x %lld tokens a step, %s",
                  (double)j.t.m->params.parameters / 1e6, (long long)j.t.B, (long long)j.t.T,
                  (long long)o->grad_accum, j.state.machine);
    j.t.report.first_step = j.t.step;
    j.t.report.began = gp_now();
    rc = loop(&j) ? -1 : finish(&j);
out:
    gp_trainer_close(&j.t);
    gp_run_close(j.run);
    free(j.tokenizer);
    return rc;
}

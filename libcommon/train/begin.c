/* begin.c: where a run begins: with fresh weights, with a checkpoint's, or where it stopped. */
#include "base/file.h"
#include "data/safetensors.h"
#include "checkpoint/checkpoint.h"
#include "run/checkpoint_names.h"
#include "train/attention.h"
#include "train/job.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void gp_job_describe(gp_job *j, gp_state *s)
{
    const gp_train_options *o = j->o;
    const gp_tokens_info *info = gp_tokens_get_info(j->t.data);
    char tokenizer[33], streams[64], weights[64], attention[48], products[48];
    gp_hex(tokenizer, info->fingerprint, 16);
    gp_train_data_describe(&j->t.sets, streams, sizeof streams);
    gp_train_data_weights(&j->t.sets, weights, sizeof weights);
    snprintf(s->data, sizeof s->data, "%s, vocabulary %lld, tokenizer %s", streams, (long long)info->vocab_size,
             tokenizer);
    gp_mixture_fingerprint(&j->t.sets.train, s->fingerprint);
    if (o->val.count)
        gp_mixture_fingerprint(&j->t.sets.val, s->validation);
    snprintf(s->batches, sizeof s->batches, "%lld x %lld tokens, %lld a step, order %s, seed %lld%s", (long long)j->t.B,
             (long long)j->t.T, (long long)o->grad_accum, gp_data_order_name(o->order), (long long)o->seed, weights);
    gp_attention_describe(j->t.be, attention, sizeof attention);
    gp_products_describe(j->t.be, products, sizeof products);
    snprintf(s->machine, sizeof s->machine, "%s, %s, %d threads, %s%s%s%s%s", gp_backend_name(j->t.be),
             gp_backend_dtype(j->t.be), gp_backend_threads(j->t.be), gp_backend_device(j->t.be),
             *products ? ", products by " : "", products, *attention ? ", attention by " : "", attention);
}

static int config_from_scratch(const gp_job *j, gp_config *c)
{
    const gp_train_options *o = j->o;
    *c = gp_config_of_preset(o->preset ? o->preset : GP_PRESET_NANO);
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
    return gp_config_check(c, "the requested model");
}

/* Whether a checkpoint's model can read this stream. */
static int check_stream(const gp_job *j, const gp_checkpoint *ckpt, const char *path)
{
    const gp_tokens_info *info = gp_tokens_get_info(j->t.data);
    static const uint8_t unknown[16];
    uint8_t theirs[16];
    if (info->vocab_size > gp_checkpoint_config(ckpt)->vocab_size)
        return fail("%s: its vocabulary has %lld ids, the token stream's %lld", path,
                    (long long)gp_checkpoint_config(ckpt)->vocab_size, (long long)info->vocab_size);
    if (gp_checkpoint_fingerprint(ckpt, theirs) && memcmp(info->fingerprint, unknown, 16) &&
        memcmp(info->fingerprint, theirs, 16))
        return fail("%s: its tokenizer is not the token stream's: tokenize the text with --tokenizer %s", path, path);
    return 0;
}

static int check_size(const char *path, const char *what, int64_t theirs, int64_t asked)
{
    if (!asked || asked == theirs)
        return 0;
    return fail("%s: has %lld %s, %lld requested; a checkpoint's sizes cannot change", path, (long long)theirs, what,
                (long long)asked);
}

/* Biases and the tied head are on unless they are turned off: that a checkpoint lacks them contradicts what was said
 * alone. */
static int check_flag(const gp_job *j, const char *path, const char *flag, bool asked, bool has, const char *what)
{
    const gp_tool *tool = j->o->tool;
    if (has == asked || (asked && !(tool && gp_options_on_command_line(tool, flag))))
        return 0;
    return fail("%s: %s, --%s%s was requested; a checkpoint's layout cannot change", path, what, asked ? "" : "no-",
                flag);
}

/* What was asked for must not contradict a checkpoint's configuration, but for the context, which may be cropped to
 * its first positions, and dropout. */
static int fit_config(gp_job *j, gp_config *c, const char *path)
{
    const gp_train_options *o = j->o;
    int64_t context = gp_config_context(c);
    gp_config preset = {0};
    if (!c->causal)
        return fail("%s: is not a causal model: train continues GPT-2 alone", path);
    if (!o->resume && o->preset)
        preset = gp_config_of_preset(o->preset);
    if (check_size(path, "layers", c->layers, o->layers ? o->layers : preset.layers) ||
        check_size(path, "heads", c->heads, o->heads ? o->heads : preset.heads) ||
        check_size(path, "channels", c->channels, o->channels ? o->channels : preset.channels))
        return -1;
    if (check_flag(j, path, "bias", o->bias, c->bias, c->bias ? "has biases" : "has no biases") ||
        check_flag(j, path, "tied", o->tied, c->tied, c->tied ? "its head is tied" : "its head is not tied"))
        return -1;
    if (o->seq_len > context)
        return fail("%s: its context is %lld tokens, --seq-len %lld is longer", path, (long long)context,
                    (long long)o->seq_len);
    if (!o->resume && o->crop && o->seq_len && o->seq_len < context) {
        c->positions -= context - o->seq_len;
        gp_report_say(&j->t.report, "the context of %s, %lld tokens, is cropped to %lld", path, (long long)context,
                      (long long)o->seq_len);
    } else if (!o->resume && o->seq_len && o->seq_len < context) {
        gp_report_say(&j->t.report,
                      "the model keeps its context of %lld tokens and trains on %lld at a time (--crop "
                      "cuts the context)",
                      (long long)context, (long long)o->seq_len);
    }
    c->dropout_embd = c->dropout_attn = c->dropout_resid = o->dropout;
    j->asked->bias = c->bias;
    j->asked->tied = c->tied;
    return 0;
}

/* NULL on failure; *refused: the checkpoint can be read, but is not what was asked for. */
static gp_model *model_from(gp_job *j, const char *path, bool *refused)
{
    gp_checkpoint *ckpt = gp_checkpoint_open(path);
    gp_model *m = NULL;
    *refused = false;
    if (!ckpt)
        return NULL;
    if (gp_checkpoint_warning(ckpt))
        gp_report_say(&j->t.report, "%s", gp_checkpoint_warning(ckpt));
    if (gp_checkpoint_tokenizer_warning(ckpt))
        gp_report_say(&j->t.report, "%s", gp_checkpoint_tokenizer_warning(ckpt));
    if (gp_checkpoint_tokenizer_problem(ckpt))
        gp_report_say(&j->t.report, "%s; the stream's tokenizer is used", gp_checkpoint_tokenizer_problem(ckpt));
    gp_config c = *gp_checkpoint_config(ckpt);
    *refused = fit_config(j, &c, path) || check_stream(j, ckpt, path);
    if (!*refused) {
        m = gp_model_create(&c, j->t.be, true);
        if (gp_checkpoint_load(ckpt, m)) {
            gp_model_free(m);
            m = NULL;
        }
    }
    gp_checkpoint_close(ckpt);
    return m;
}

int gp_job_begin_fresh(gp_job *j)
{
    gp_config c;
    gp_model *m;
    bool refused;
    if (!gp_is_from_scratch(j->o)) {
        m = model_from(j, j->o->init, &refused);
        if (!m)
            return -1;
    } else {
        if (config_from_scratch(j, &c))
            return -1;
        if (!j->o->preset)
            j->asked->preset = GP_PRESET_NANO;
        m = gp_model_create(&c, j->t.be, true);
        gp_model_init(m, (uint64_t)j->o->seed);
    }
    j->state.best_loss = INFINITY;
    j->state.best_step = -1;
    return gp_trainer_open_model(&j->t, m) ? -1 : gp_job_fill_in(j, &m->config);
}

/* A checkpoint of before this was kept says "unknown". */
static bool differ(const char *then, const char *now)
{
    return strcmp(then, "unknown") && strcmp(then, now);
}

/* What must not change, and what should be told when it does. */
static int compare(gp_job *j, const gp_state *then)
{
    gp_state now = {0};
    gp_job_describe(j, &now);
    if (strcmp(then->data, now.data))
        return fail("%s: was trained on other data (%s; now %s)", j->o->resume, then->data, now.data);
    if (differ(then->fingerprint, now.fingerprint))
        return fail("%s: was trained on other data: %s as well, but others (fingerprint %.8s; now %.8s)", j->o->resume,
                    then->data, then->fingerprint, now.fingerprint);
    if (*now.validation && *then->validation && differ(then->validation, now.validation))
        gp_report_say(&j->t.report,
                      "the validation data changed: losses from here on are not comparable with earlier ones");
    if (strcmp(then->batches, now.batches))
        gp_report_say(&j->t.report, "batches change: %s; they were %s", now.batches, then->batches);
    if (strcmp(then->machine, now.machine))
        gp_report_say(&j->t.report, "the machine changes, so bits may differ: %s; it was %s", now.machine,
                      then->machine);
    return 0;
}

/* The n-th newest checkpoint's folder, or the one that was named; NULL where there are no more. 0 or -1. */
static int checkpoint_folder(const gp_job *j, int n, char **dir)
{
    if (j->from < 0)
        return gp_run_checkpoint(j->run, n, dir);
    char *name = gp_run_name(j->from);
    *dir = n ? NULL : gp_path_join(gp_run_path(j->run), name);
    free(name);
    return 0;
}

/* A state goes with the weights that it was saved with, and with no other step's. */
static int check_weights(const gp_state *s, const char *dir)
{
    char *model = gp_path_join(dir, "model.safetensors"), now[sizeof s->weights];
    int rc = gp_state_weights(now, model);
    if (!rc && differ(s->weights, now))
        rc = fail("%s: is not the model that the training state in the same directory was saved with (CRC-32C of "
                  "its record of CRCs is %s, expected %s)",
                  model, *now ? now : "not there", s->weights);
    free(model);
    return rc;
}

/* Takes model and state out of a checkpoint. -1; *damaged then says whether that is because of what is in it, so that
 * an older one may do, and not because it could not be read just now or is not what was asked for. */
static int begin_with(gp_job *j, const char *dir, int64_t step, bool *damaged)
{
    char *path = gp_path_join(dir, "state.safetensors");
    gp_safetensors *file = gp_safetensors_open_regular(path);
    bool refused = false;
    bool whole = file && !gp_state_read(&j->state, file, step) && !check_weights(&j->state, dir);
    gp_model *m = whole ? model_from(j, dir, &refused) : NULL;
    if (m && gp_state_check(file, m)) {
        gp_model_free(m);
        m = NULL;
    }
    *damaged = !m && !refused && !gp_error_is_io();
    int rc = m ? gp_trainer_open_model(&j->t, m) : -1;
    if (!rc)
        rc = gp_state_load(file, &j->t.optimizer, m);
    if (!rc)
        rc = compare(j, &j->state);
    gp_safetensors_close(file);
    free(path);
    return rc;
}

static void pass_over(gp_job *j, int64_t step)
{
    j->damaged = gp_realloc(j->damaged, (size_t)j->damaged_count + 1, sizeof *j->damaged);
    j->damaged[j->damaged_count++] = (gp_damaged){step, gp_strdup(gp_error())};
}

/* All checkpoints are damaged. */
static int refuse_damaged(const gp_job *j)
{
    return fail("%s: has no checkpoint to continue from: %s%s; nothing was changed", j->o->resume, j->damaged[0].why,
                j->damaged_count > 1 ? ", and older ones are damaged too" : "");
}

/* There is no checkpoint. Where there never was one the run was stopped before it and begins again. */
static int begin_again(gp_job *j)
{
    struct stat st;
    char *trace;
    if (gp_run_trace(j->run, &trace))
        return -1;
    if (trace) {
        fail("%s: has no checkpoint to continue from, though there is %s; nothing was changed. Restore its "
             "checkpoints (ckpt-N), or start another run with --out",
             j->o->resume, trace);
        free(trace);
        return -1;
    }
    if (!gp_is_from_scratch(j->o) && gp_stat(j->o->init, &st) > 0 && !S_ISREG(st.st_mode) &&
        !S_ISDIR(st.st_mode)) /* a pipe or a device, which may never end */
        return fail("%s: is not a regular file, and the config.yaml of %s names it for --init", j->o->init,
                    j->o->resume);
    gp_report_say(&j->t.report, "%s has no checkpoint yet: it begins again", j->o->resume);
    return gp_job_begin_fresh(j);
}

/* ---- what came after the checkpoint ---------------------------------------------------------------------- */

static int put_damaged_aside(gp_job *j)
{
    for (int i = 0; i < j->damaged_count; i++) {
        char *name;
        if (gp_run_set_aside(j->run, j->damaged[i].step, &name))
            return -1;
        gp_report_warn(&j->t.report, "%s; it was renamed %s, and training continues from step %lld", j->damaged[i].why,
                       name, (long long)j->t.step);
        free(name);
    }
    return 0;
}

static int remove_later(gp_job *j)
{
    int64_t removed = gp_run_remove_after(j->run, j->t.step);
    if (removed > 0)
        gp_report_say(&j->t.report, "the checkpoints after step %lld are removed: %lld", (long long)j->t.step,
                      (long long)removed);
    return removed < 0 ? -1 : 0;
}

static int cut_log(gp_job *j)
{
    char *aside;
    int rc = gp_run_cut_log(j->run, j->t.step, &aside);
    if (aside)
        gp_report_warn(&j->t.report, "%s/%s: has a damaged line; it and what follows it are kept as %s",
                       gp_run_path(j->run), GP_LOG_NAME, aside);
    free(aside);
    return rc;
}

int gp_job_forget_later(gp_job *j)
{
    if (j->saved >= 0 && gp_run_continue_from(j->run, j->t.step, j->state.best_step))
        return -1;
    if (j->from >= 0 ? remove_later(j) : put_damaged_aside(j))
        return -1;
    return gp_run_cut(j->run, "samples.txt", j->state.samples) || gp_report_cut_events(&j->t.report, j->run, j->t.step)
               ? -1
               : cut_log(j);
}

/* What the run measured when it began. */
static int recall_attention(gp_job *j)
{
    char *config = gp_path_join(gp_run_path(j->run), "config.yaml");
    int there = j->o->attention != GP_ATTENTION_MEASURE ? 0 : gp_exists(config), rc = there < 0 ? -1 : 0;
    if (there > 0)
        rc = gp_job_recorded(config, "attention", j->t.attention_recorded, sizeof j->t.attention_recorded);
    free(config);
    return rc;
}

static int recall_products(gp_job *j)
{
    char *path = gp_path_join(gp_run_path(j->run), GP_PRODUCTS_NAME);
    int rc = gp_products_read(&j->t.products, path);
    free(path);
    return rc;
}

/* The newest checkpoint that is not damaged, or the one that was named. 0, or -1; *none: there is no checkpoint. */
static int begin_with_newest(gp_job *j, bool *none)
{
    *none = false;
    for (int n = 0;; n++) {
        char *dir;
        bool damaged;
        if (checkpoint_folder(j, n, &dir))
            return -1;
        if (!dir) {
            *none = !n;
            return n ? refuse_damaged(j) : -1;
        }
        int64_t step = gp_run_step(strrchr(dir, '/') + 1);
        int rc = begin_with(j, dir, step, &damaged);
        free(dir);
        if (!rc || !damaged || j->from >= 0)
            return rc;
        pass_over(j, step);
        if (j->o->dry_run)
            gp_report_warn(&j->t.report, "%s; the checkpoint before it would be used", gp_error());
    }
}

int gp_job_begin_resumed(gp_job *j)
{
    bool none;
    if (recall_attention(j) || recall_products(j))
        return -1;
    if (begin_with_newest(j, &none))
        return none ? begin_again(j) : -1;
    if (gp_job_fill_in(j, &j->t.m->config))
        return -1;
    j->saved = j->state.step;
    gp_trainer_begin_at(&j->t, j->state.step);
    if (gp_skips_outliers(j->o)) { /* a window with a gap in it is none */
        j->t.losses = j->state.losses;
        j->t.norms = j->state.norms;
    }
    return 0;
}

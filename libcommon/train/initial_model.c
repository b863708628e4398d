/* initial_model.c: the model that a run begins with: weights from scratch, or those of a checkpoint, which must agree
 * with the options and with the token stream. */
#include "base/file.h"
#include "checkpoint/checkpoint.h"
#include "train/classify.h"
#include "text/text.h"
#include "train/job.h"

#include <string.h>

bool gp_is_from_scratch(const gp_train_options *o)
{
    return !strcmp(o->init, "scratch");
}

gp_preset gp_default_preset(const gp_train_options *o)
{
    return o->objective == GP_OBJECTIVE_MLM ? GP_PRESET_BERT_NANO : GP_PRESET_NANO;
}

/* Padding is the tokenizer's; RoBERTa counts positions from the id after it. */
static int set_padding(gp_config *c, const gp_tokenizer *t)
{
    int32_t pad = t ? gp_tokenizer_pad(t) : -1;
    if (c->causal)
        return 0;
    if (pad < 0 && c->pad_positions)
        return fail("the token stream's tokenizer has no padding token, [PAD] or <pad>, from which the positions of "
                    "%s are counted",
                    gp_family_name(c->family));
    c->pad_id = pad;
    c->position_offset = c->pad_positions ? pad + 1 : 0;
    return 0;
}

/* BertTokenizer adds a [MASK] to a vocab.txt that has none. That is no vocabulary for masked training: its model would
 * have a row more than it has lines. */
static int check_mask(const gp_config *c, const gp_tokenizer *t, const char *stream)
{
    bool masks = t && c->head == GP_HEAD_MLM && !strcmp(gp_tokenizer_kind(t), "wordpiece");
    int32_t mask = masks ? gp_tokenizer_mask(t) : -1;
    size_t length;
    if (mask < 0 || !gp_tokenizer_is_appended(t, mask))
        return 0;
    const char *bytes = gp_tokenizer_bytes(t, mask, &length), *name = gp_printable_bytes(bytes, (int64_t)length);
    return fail("%s: the vocabulary of its tokenizer lacks %s, which --objective mlm needs: it was added after it as "
                "id %d; add a line %s to the vocab.txt",
                stream, name, mask, name);
}

static int config_from_options(const gp_trainer *t, gp_config *c)
{
    const gp_train_options *o = t->o;
    *c = gp_config_of_preset(o->preset ? o->preset : gp_default_preset(o));
    int64_t context = o->seq_len ? o->seq_len : gp_config_context(c);
    c->vocab_size = gp_tokens_get_info(t->sets.stream)->vocab_size;
    if (set_padding(c, t->sets.tokenizer))
        return -1;
    if (o->layers)
        c->layers = o->layers;
    if (o->heads)
        c->heads = o->heads;
    if (o->channels)
        c->channels = o->channels;
    c->positions = context + c->position_offset;
    c->inner = 4 * c->channels;
    c->init_std = o->init_std;
    c->bias = o->bias;
    c->tied = o->tied;
    c->dropout_embd = c->dropout_attn = c->dropout_resid = c->dropout_head = o->dropout;
    if (o->objective == GP_OBJECTIVE_CLASSIFY && gp_classify_configure(c, t->sets.stream, "the requested model"))
        return -1;
    if (check_mask(c, t->sets.tokenizer, gp_tokens_get_info(t->sets.stream)->name))
        return -1;
    return gp_config_check(c, "the requested model");
}

/* Whether a checkpoint's model can read this stream. */
static int check_stream(const gp_checkpoint *ckpt, const gp_tokenizer *t, const gp_tokens_info *info, const char *path)
{
    static const uint8_t unknown[16];
    uint8_t fingerprint[16];
    int64_t V = gp_checkpoint_config(ckpt)->vocab_size;
    if (info->vocab_size > V && t && gp_tokenizer_is_appended(t, (int32_t)V)) {
        gp_tokenizer_no_row(t, (int32_t)V, V);
        return gp_fail_in("%s", path);
    }
    if (info->vocab_size > V)
        return fail("%s: its vocabulary has %lld ids, the token stream's %lld", path, (long long)V,
                    (long long)info->vocab_size);
    if (gp_checkpoint_fingerprint(ckpt, fingerprint) && memcmp(info->fingerprint, unknown, 16) &&
        memcmp(info->fingerprint, fingerprint, 16))
        return fail("%s: its tokenizer is not the token stream's: tokenize the text with --tokenizer %s", path, path);
    return 0;
}

static int check_size(const char *path, const char *what, int64_t found, int64_t requested)
{
    if (!requested || requested == found)
        return 0;
    return fail("%s: has %lld %s, %lld requested; a checkpoint's sizes cannot change", path, (long long)found, what,
                (long long)requested);
}

/* Biases and the tied head are on by default: a checkpoint without them is refused only where they were `required`. */
static int check_flag(const char *path, const char *flag, bool requested, bool required, bool found, const char *what)
{
    if (found == requested || (requested && !required))
        return 0;
    return fail("%s: %s, --%s%s was requested; a checkpoint's layout cannot change", path, what, requested ? "" : "no-",
                flag);
}

/* The options must not contradict a checkpoint's configuration, except for the context, which may be cropped to its
 * first positions, and dropout. */
static int fit_config(const gp_trainer *t, gp_config *c, const char *path, gp_report *report)
{
    const gp_train_options *o = t->o;
    int64_t context = gp_config_context(c);
    gp_config preset = {0};
    if ((o->objective == GP_OBJECTIVE_CLASSIFY || c->head == GP_HEAD_CLASSIFY) &&
        gp_classify_configure(c, t->sets.stream, path))
        return -1;
    if (!gp_objective_of(c))
        return fail("%s: has no head for tokens, which train continues; --objective gives it one", path);
    if (!o->resume && o->preset)
        preset = gp_config_of_preset(o->preset);
    if (check_size(path, "layers", c->layers, o->layers ? o->layers : preset.layers) ||
        check_size(path, "heads", c->heads, o->heads ? o->heads : preset.heads) ||
        check_size(path, "channels", c->channels, o->channels ? o->channels : preset.channels))
        return -1;
    if (check_flag(path, "bias", o->bias, o->bias_required, c->bias, c->bias ? "has biases" : "has no biases") ||
        check_flag(path, "tied", o->tied, o->tied_required, c->tied,
                   c->tied ? "its head is tied" : "its head is not tied"))
        return -1;
    if (o->seq_len > context)
        return fail("%s: its context is %lld tokens, --seq-len %lld is longer", path, (long long)context,
                    (long long)o->seq_len);
    bool shorter = !o->resume && o->seq_len && o->seq_len < context;
    if (shorter && o->crop) {
        c->positions -= context - o->seq_len;
        gp_report_info(report, "the context of %s, %lld tokens, is cropped to %lld", path, (long long)context,
                       (long long)o->seq_len);
    } else if (shorter) {
        gp_report_info(report,
                       "the model keeps its context of %lld tokens and trains on %lld at a time (--crop "
                       "cuts the context)",
                       (long long)context, (long long)o->seq_len);
    }
    c->dropout_embd = c->dropout_attn = c->dropout_resid = c->dropout_head = o->dropout;
    return 0;
}

/* A checkpoint to begin with: with the head that --objective names in the place of its own. But a classifier is taken
 * as it is, for its labels to be compared with the stream's. */
static gp_checkpoint *open_to_begin(const gp_trainer *t, const char *path)
{
    static const gp_head heads[] = {
        [GP_OBJECTIVE_LM] = GP_HEAD_LM, [GP_OBJECTIVE_MLM] = GP_HEAD_MLM, [GP_OBJECTIVE_CLASSIFY] = GP_HEAD_CLASSIFY};
    gp_objective objective = t->o->objective;
    gp_new_head head = {.head = heads[objective],
                        .labels = gp_tokens_get_info(t->sets.stream)->labels,
                        .seed = (uint64_t)t->o->seed,
                        .keep_classifier = true};
    bool own = !objective || (objective == GP_OBJECTIVE_CLASSIFY && head.labels < 2);
    return gp_checkpoint_open_with(path, &(gp_checkpoint_options){.head = own ? NULL : &head});
}

gp_model *gp_model_from_checkpoint(gp_trainer *t, const char *path, bool begins, bool *refused)
{
    gp_report *report = &t->report;
    gp_checkpoint *ckpt = begins ? open_to_begin(t, path) : gp_checkpoint_open(path);
    gp_model *m = NULL;
    *refused = false;
    if (!ckpt)
        return NULL;
    if (gp_checkpoint_warning(ckpt))
        gp_report_info(report, "%s", gp_checkpoint_warning(ckpt));
    if (gp_checkpoint_tokenizer_warning(ckpt))
        gp_report_info(report, "%s", gp_checkpoint_tokenizer_warning(ckpt));
    if (gp_checkpoint_tokenizer_problem(ckpt))
        gp_report_info(report, "%s; the stream's tokenizer is used", gp_checkpoint_tokenizer_problem(ckpt));
    gp_config c = *gp_checkpoint_config(ckpt);
    *refused = fit_config(t, &c, path, report) ||
               check_stream(ckpt, t->sets.tokenizer, gp_tokens_get_info(t->sets.stream), path);
    if (!*refused) {
        m = gp_model_create(&c, t->be, true);
        if (gp_checkpoint_load(ckpt, m)) {
            gp_model_free(m);
            m = NULL;
        }
    }
    gp_checkpoint_close(ckpt);
    return m;
}

gp_model *gp_initial_model(gp_trainer *t)
{
    gp_config c;
    bool refused;
    if (!gp_is_from_scratch(t->o))
        return gp_model_from_checkpoint(t, t->o->init, true, &refused);
    if (config_from_options(t, &c))
        return NULL;
    gp_model *m = gp_model_create(&c, t->be, true);
    gp_model_init(m, (uint64_t)t->o->seed);
    return m;
}

/* checkpoint.c: between a format and a model. */
#include "checkpoint/checkpoint.h"
#include "model/model.h"
#include "text/text.h"

#include <stdlib.h>
#include <string.h>

void gp_checkpoint_close(gp_checkpoint *c)
{
    if (!c || __atomic_fetch_sub(&c->models, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    if (c->close)
        c->close(c->self);
    for (int i = 0; i < c->file_count; i++)
        gp_container_close(c->files[i]);
    for (int i = 0; i < c->carried_count; i++)
        free(c->carried[i].name);
    free(c->files);
    free(c->carried);
    gp_params_release(&c->params);
    gp_tokenizer_close(c->built);
    free(c->tokenizer);
    free(c->tokenizer_problem);
    free(c->tokenizer_warning);
    free(c->warning);
    free(c->problem);
    free(c->path);
    free(c);
}

const gp_config *gp_checkpoint_config(const gp_checkpoint *c)
{
    return &c->config;
}

const char *gp_checkpoint_tokenizer(const gp_checkpoint *c, size_t *length)
{
    if (length)
        *length = c->tokenizer_length;
    return c->tokenizer;
}

const char *gp_checkpoint_tokenizer_problem(const gp_checkpoint *c)
{
    return c->tokenizer_problem;
}

const char *gp_checkpoint_tokenizer_warning(const gp_checkpoint *c)
{
    return c->tokenizer_warning;
}

/* The caller owns it. */
static gp_tokenizer *take_built(gp_checkpoint *c)
{
    gp_tokenizer *t = c->built;
    c->built = NULL;
    return t;
}

int gp_checkpoint_open_tokenizer(const gp_checkpoint *c, gp_tokenizer **t)
{
    *t = NULL;
    if (c->tokenizer_problem)
        return fail("%s", c->tokenizer_problem);
    *t = take_built((gp_checkpoint *)(uintptr_t)c);
    if (c->tokenizer && !*t)
        *t = gp_tokenizer_from_json(c->tokenizer, c->tokenizer_length, c->path);
    return c->tokenizer && !*t ? -1 : 0;
}

bool gp_checkpoint_fingerprint(const gp_checkpoint *c, uint8_t fingerprint[16])
{
    memcpy(fingerprint, c->fingerprint, sizeof c->fingerprint);
    return c->has_fingerprint;
}

const char *gp_checkpoint_problem(const gp_checkpoint *c)
{
    return c->problem;
}

const char *gp_checkpoint_warning(const gp_checkpoint *c)
{
    return c->warning;
}

void gp_checkpoint_warning_add(gp_checkpoint *c, char *text)
{
    gp_warning_add(&c->warning, text);
}

void gp_checkpoint_add_tokenizer_warning(gp_checkpoint *c, char *text)
{
    gp_warning_add(&c->tokenizer_warning, text);
}

void gp_checkpoint_warning_tokenizer(gp_checkpoint *c, const gp_tokenizer *t)
{
    if (gp_tokenizer_warning(t))
        gp_checkpoint_add_tokenizer_warning(c, gp_strdup(gp_tokenizer_warning(t)));
}

/* Ids that the model has no rows for: those of added tokens may be left unused (fewer ids: the other rows are
 * padding). */
static void check_rows(gp_checkpoint *c, const gp_tokenizer *t)
{
    int64_t ids = gp_tokenizer_vocab_size(t), V = c->config.vocab_size;
    bool named = true;
    if (ids <= V)
        return;
    for (int64_t id = V; id < ids; id++)
        named = named && gp_tokenizer_is_added(t, (int32_t)id);
    char *text =
        gp_format("%s: its tokenizer has %lld ids, its model a vocabulary of %lld: they do not belong together",
                  c->path, (long long)ids, (long long)V);
    if (named)
        gp_checkpoint_add_tokenizer_warning(
            c, gp_format("its tokenizer has %lld ids, its model a vocabulary of %lld: added tokens from "
                         "%lld on cannot be used",
                         (long long)ids, (long long)V, (long long)V));
    else
        c->tokenizer_problem = gp_strdup(text);
    free(text);
}

/* Some tokenizers are carried but not understood (BERT's WordPiece): they have no fingerprint. */
void gp_checkpoint_set_tokenizer(gp_checkpoint *c, char *text, size_t length, const char *folder)
{
    gp_tokenizer_close(take_built(c));
    free(c->tokenizer);
    free(c->tokenizer_problem);
    c->tokenizer = text;
    c->tokenizer_length = length;
    c->tokenizer_problem = NULL;
    c->tokenizer_ids = 0;
    char *where = gp_format("%s: its tokenizer", c->path);
    bool changes = false;
    gp_tokenizer *t = folder ? gp_tokenizer_from_json_in(folder, text, length, where, &changes)
                             : gp_tokenizer_from_json(text, length, where);
    free(where);
    c->has_fingerprint = t != NULL;
    if (!t) {
        c->tokenizer_problem = gp_strdup(gp_error());
        return;
    }
    gp_tokenizer_fingerprint(t, c->fingerprint);
    c->tokenizer_ids = gp_tokenizer_vocab_size(t);
    gp_checkpoint_warning_tokenizer(c, t);
    check_rows(c, t);
    c->built = t;
    if (changes) { /* what is carried is whole without the folder */
        free(c->tokenizer);
        c->tokenizer = gp_tokenizer_to_json(t);
        c->tokenizer_length = strlen(c->tokenizer);
        gp_tokenizer_close(take_built(c)); /* it is built from this text, not from the folder's */
    }
}

void gp_checkpoint_drop_tokenizer(gp_checkpoint *c)
{
    gp_tokenizer_close(take_built(c));
    free(c->tokenizer);
    free(c->tokenizer_problem);
    free(c->tokenizer_warning);
    c->tokenizer = c->tokenizer_problem = c->tokenizer_warning = NULL;
    c->tokenizer_length = 0;
    c->tokenizer_ids = 0;
    c->has_fingerprint = false;
}

void gp_checkpoint_end_by_tokenizer(gp_checkpoint *c)
{
    gp_tokenizer *t = NULL;
    if (c->config.end_count || !c->tokenizer_ids || gp_checkpoint_open_tokenizer(c, &t))
        return;
    int32_t end = gp_tokenizer_end_of_text(t);
    c->built = t; /* again */
    if (end < 0 || end >= c->config.vocab_size)
        return;
    c->config.bos_id = end;
    c->config.ends[0] = end;
    c->config.end_count = 1;
}

/* ---- a model as a checkpoint ----------------------------------------------------------------------------- */

static int read_model(void *self, const gp_param *row, int64_t first, int64_t lines, float *data)
{
    gp_model_lines_download(self, row, first, lines, data);
    return 0;
}

gp_checkpoint *gp_checkpoint_of_model(gp_model *m, const char *tokenizer, size_t length)
{
    gp_checkpoint *c = gp_calloc(1, sizeof *c);
    *c = (gp_checkpoint){
        .path = gp_strdup("the model"), .format = "memory", .config = m->config, .self = m, .read = read_model};
    gp_params_list(&c->params, &m->config);
    gp_params_store(&c->params, m->params.matrix_dtype, m->params.table_dtype);
    if (tokenizer)
        gp_checkpoint_set_tokenizer(c, gp_strndup(tokenizer, length), length, NULL);
    return c;
}

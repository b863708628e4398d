/* match.c: which tensor is which parameter, and which ones may be there without being one. */
#include "checkpoint/pieces.h"
#include "checkpoint/weights.h"
#include "model/config.h"

#include <ctype.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

static const char *without_prefix(const char *name, const char *prefix)
{
    size_t n = strlen(prefix);
    return strncmp(name, prefix, n) ? name : name + n;
}

/* safetensors.torch.save_model stores one of the tensors that share their memory; the metadata has the other names. */
static gp_file_tensor *find_alias(const gp_weights *f, const char *name)
{
    gp_file_tensor *t = NULL;
    if (!f->tensor_count)
        return NULL;
    char *full = gp_format("%.*s%s", (int)f->stripped, f->tensors[0].name - f->stripped, name);
    for (int i = 0; i < f->count && !t; i++) {
        const gp_container *k = f->files[i];
        const char *stored = k->ops->alias ? k->ops->alias(k->self, full) : NULL;
        if (stored && strlen(stored) > f->stripped && !strncmp(stored, full, f->stripped))
            t = gp_weights_find(f, stored + f->stripped);
    }
    free(full);
    return t;
}

/* By this very name, or under that of a tensor that it shares its memory with. The oldest BERT files call a norm's
 * weight and bias gamma and beta. */
static gp_file_tensor *find_named(const gp_weights *f, const char *name)
{
    static const struct {
        const char *now, *then;
    } endings[] = {{"LayerNorm.weight", "LayerNorm.gamma"}, {"LayerNorm.bias", "LayerNorm.beta"}};
    gp_file_tensor *t = gp_weights_find(f, name);
    for (size_t k = 0; !t && k < ARRAY_LEN(endings); k++) {
        char old[GP_TENSOR_NAME + 24];
        size_t n = strlen(name), tail = strlen(endings[k].now);
        if (n < tail || strcmp(name + n - tail, endings[k].now))
            continue;
        snprintf(old, sizeof old, "%.*s%s", (int)(n - tail), name, endings[k].then);
        t = gp_weights_find(f, old);
    }
    return t ? t : find_alias(f, name);
}

/* A piece's tensor: by its full name, or as transformers looks for it too: without the prefix, as the bare model
 * (GPT2Model) is stored, or a head's with it. Of a head under both names it takes the first in the alphabet. */
static gp_file_tensor *find_piece(const gp_weights *f, const char *name)
{
    char whole[GP_TENSOR_NAME + 16];
    const char *prefix = f->naming->prefix, *bare = without_prefix(name, prefix), *names[] = {name, bare};
    if (bare == name) {
        snprintf(whole, sizeof whole, "%s%s", prefix, name);
        bool before = strcmp(whole, name) < 0;
        names[before] = name;
        names[!before] = whole;
    }
    gp_file_tensor *t = find_named(f, names[0]);
    return t ? t : find_named(f, names[1]);
}

/* A parameter's second name, or NULL. */
static const char *second_name(const gp_weights *f, gp_role role)
{
    for (const gp_extra_tensor *e = gp_naming_extras(f->naming); e->name; e++)
        if (e->same_as == role)
            return e->name;
    return NULL;
}

/* The tensor that is stored under a parameter's second name, or NULL. */
static gp_file_tensor *find_twin(const gp_weights *f, gp_role role)
{
    const char *second = second_name(f, role);
    return second ? find_piece(f, second) : NULL;
}

/* Whether `is` holds for all of a, with the numbers of b (or a's own) beside them. Numbers that cannot be read make it
 * false; whoever reads the tensor then says why. */
static bool all_numbers(const gp_file_tensor *a, const gp_file_tensor *b,
                        bool (*is)(const float *x, const float *y, int64_t n))
{
    enum { CHUNK = 1 << 12 };
    float x[CHUNK], y[CHUNK];
    const gp_stored *t = gp_file_tensor_stored(a);
    bool all = t->is_float && gp_file_tensor_stored(b)->is_float;
    for (int64_t at = 0, n; all && at < t->elements; at += n) {
        n = gp_min(t->elements - at, CHUNK);
        all = !gp_container_read(a->file, a->index, at, n, x) && !gp_container_read(b->file, b->index, at, n, y) &&
              is(x, y, n);
    }
    return all;
}

static bool equal(const float *x, const float *y, int64_t n)
{
    bool all = true;
    for (int64_t i = 0; i < n; i++)
        all &= x[i] == y[i];
    return all;
}

static bool zero(const float *x, const float *y, int64_t n)
{
    bool all = true;
    (void)y;
    for (int64_t i = 0; i < n; i++)
        all &= x[i] == 0;
    return all;
}

static bool same_numbers(const gp_file_tensor *a, const gp_file_tensor *b)
{
    const gp_stored *x = gp_file_tensor_stored(a), *y = gp_file_tensor_stored(b);
    bool same = x->ndim == y->ndim;
    for (int i = 0; same && i < x->ndim; i++)
        same = x->dim[i] == y->dim[i];
    return same && all_numbers(a, b, equal);
}

static int missing(const gp_weights *f, const char *path, const gp_param *row, const gp_piece *piece)
{
    char text[96];
    gp_tensor expected = {.dtype = GP_F32};
    expected.ndim = gp_piece_shape(row, piece, expected.dim);
    gp_tensor_format(&expected, text, sizeof text);
    size_t n = gp_weights_prefix(f);
    if (n && strncmp(f->tensors[0].name, piece->name, n))
        return fail("%s: tensor %s is missing, expected %s; the name of every tensor there begins with \"%.*s\"", path,
                    piece->name, text, (int)n, f->tensors[0].name);
    return fail("%s: tensor %s is missing, expected %s", path, piece->name, text);
}

/* The tensor of a row's piece, of two names perhaps. A head's weight that is tied has two, or a bias, which is tied
 * always; of two biases that differ transformers adds the one of the decoder, and so it is here. */
static gp_file_tensor *find_tensor(const gp_weights *f, gp_checkpoint *c, const gp_param *row, const char *name)
{
    gp_file_tensor *t = find_piece(f, name), *twin = NULL;
    if (c->config.tied || row->role == GP_HEAD_B)
        twin = find_twin(f, row->role);
    if (t && twin && row->role == GP_HEAD_B && !same_numbers(t, twin)) {
        gp_checkpoint_warning_add(
            c, gp_format("%s: tensor %s differs from %s: the decoder's is used", t->file->path, t->name, twin->name));
        t->used = true;
        return twin;
    }
    return t ? t : twin;
}

/* Whether one of the patterns, as a shell's for file names, is of this name. */
static bool named(const char *const *patterns, int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (!fnmatch(patterns[i], name, 0))
            return true;
    return false;
}

/* Whether a row of a head in the place of the file's has to be initialized. Rows of heads are one piece. */
static bool is_new(const gp_weights *f, gp_checkpoint *c, const gp_param *row)
{
    const char *pattern = gp_naming_pattern(f->naming, row->role);
    char name[GP_TENSOR_NAME];
    if (!f->replaced || !gp_role_is_head(row->role))
        return false;
    if (!pattern || (f->replaced->other_labels && (row->role == GP_CLASS_W || row->role == GP_CLASS_B)))
        return true;
    gp_naming_expand(f->naming, pattern, 0, name);
    return !find_tensor(f, c, row, name);
}

static int match_row(gp_weights *f, gp_checkpoint *c, const gp_param *row, gp_file_tensor **match)
{
    gp_piece piece[GP_PIECES];
    if (is_new(f, c, row)) {
        gp_replaced_head_add(f, row);
        return 0;
    }
    int count = gp_naming_pieces(f->naming, row, piece);
    for (int k = 0; k < count; k++) {
        gp_file_tensor *t = match[k] = find_tensor(f, c, row, piece[k].name);
        if (!t && named(c->options.allow_missing, c->options.allow_missing_count, piece[k].name)) {
            gp_checkpoint_warning_add(
                c, gp_format("tensor %s is missing and filled with %s", piece[k].name, gp_piece_filling(row)));
            continue;
        }
        if (!t)
            return missing(f, c->path, row, &piece[k]);
        if (gp_piece_check(t->file, t->index, row, &piece[k], f->naming->leading_one, c->stored_vocab))
            return -1;
        t->used = true;
    }
    return 0;
}

static bool name_is(const char *name, const char *pattern)
{
    for (; *pattern; pattern++) {
        if (*pattern != '#') {
            if (*name++ != *pattern)
                return false;
            continue;
        }
        if (!isdigit((unsigned char)*name))
            return false;
        while (isdigit((unsigned char)*name))
            name++;
    }
    return !*name;
}

static bool shape_is(const gp_stored *t, const char *shape)
{
    if (!shape)
        return true;
    for (int i = 0; i < t->ndim; i++)
        if (!shape[i] || (shape[i] == '1' && t->dim[i] != 1))
            return false;
    return !shape[t->ndim];
}

/* Takes over name. */
static void carry(gp_checkpoint *c, const gp_file_tensor *t, char *name)
{
    c->carried = gp_realloc(c->carried, (size_t)c->carried_count + 1, sizeof *c->carried);
    c->carried[c->carried_count++] = (gp_carried){name, t->file, t->index};
}

/* Whether a tensor is part of some head of the family. */
static bool is_of_a_head(const gp_weights *f, const gp_file_tensor *t)
{
    char name[GP_TENSOR_NAME];
    for (int role = 0; role < GP_ROLES; role++) {
        const char *pattern = gp_naming_pattern(f->naming, (gp_role)role);
        if (!gp_role_is_head((gp_role)role) || !pattern)
            continue;
        gp_naming_expand(f->naming, pattern, 0, name);
        if (find_piece(f, name) == t)
            return true;
    }
    const char *bare = without_prefix(t->name, f->naming->prefix);
    for (const gp_extra_tensor *e = gp_naming_extras(f->naming); e->name; e++)
        if ((e->carried || e->same_as != GP_ROLES) && name_is(bare, e->name + (*e->name == '@')))
            return true;
    return false;
}

/* A tensor that is no parameter: one of the format's extras, as described there, or ignored by name, or refused. A
 * second name's tensor has been compared with its parameter (gp_weights_fit, find_tensor), unless it is there with the
 * prefix and without. */
static int check_extra(gp_weights *f, gp_file_tensor *t, gp_checkpoint *c)
{
    char text[96];
    const char *name = without_prefix(t->name, f->naming->prefix);
    for (const gp_extra_tensor *e = gp_naming_extras(f->naming); e->name; e++) {
        bool second = e->same_as != GP_ROLES;
        if (!name_is(name, e->name + (*e->name == '@')) || !shape_is(gp_file_tensor_stored(t), e->shape) ||
            (second && !gp_config_predicts_tokens(&c->config)))
            continue;
        const gp_file_tensor *other = second ? find_piece(f, e->name) : t;
        if (other != t && !same_numbers(t, other))
            gp_checkpoint_warning_add(
                c, gp_format("%s: tensor %s differs from %s, which is used", t->file->path, t->name, other->name));
        if (e->carried && named(c->options.ignore, c->options.ignore_count, t->name))
            break;
        if (e->carried && f->replaced)
            break;
        if (e->carried)
            carry(c, t, gp_format("%s%s", *e->name == '@' ? f->naming->prefix : "", name));
        return 0;
    }
    if (named(c->options.ignore, c->options.ignore_count, t->name)) {
        gp_checkpoint_warning_add(c, gp_format("tensor %s is ignored", t->name));
        return 0;
    }
    if (f->replaced && is_of_a_head(f, t)) {
        gp_replaced_head_leave_out(f, t->name);
        return 0;
    }
    return fail("%s: tensor %s is %s, expected no such tensor in a %s of %lld layers", t->file->path, t->name,
                gp_stored_format(gp_file_tensor_stored(t), text, sizeof text), gp_family_name(c->config.family),
                (long long)c->config.layers);
}

int gp_weights_match(gp_weights *f, gp_checkpoint *c)
{
    for (int i = 0; i < c->params.count; i++)
        if (match_row(f, c, &c->params.rows[i], &f->match[GP_PIECES * i]))
            return -1;
    for (int64_t i = 0; i < f->tensor_count; i++)
        if (!f->tensors[i].used && check_extra(f, &f->tensors[i], c))
            return -1;
    if (f->replaced)
        gp_replaced_head_report(f, c);
    return 0;
}

/* ---- before the table of parameters is made -------------------------------------------------------------- */

static gp_file_tensor *find_embedding(const gp_weights *f)
{
    char name[GP_TENSOR_NAME];
    gp_naming_expand(f->naming, gp_naming_pattern(f->naming, GP_WTE), 0, name);
    return find_piece(f, name);
}

/* A model without biases is stored with zeros in their place, since transformers builds them all (hf_write.c). Zeros
 * are no parameters; once something has trained them, they are. */
static void fit_biases(gp_weights *f, gp_checkpoint *c)
{
    gp_config whole = c->config;
    gp_params p;
    gp_piece piece[GP_PIECES];
    gp_file_tensor *trained = NULL;
    int found = 0, rows = 0;
    whole.bias = true;
    gp_params_list(&p, &whole);
    gp_file_tensor **at = gp_calloc((size_t)p.count, sizeof *at);
    for (int i = 0; i < p.count; i++) {
        const gp_param *row = &p.rows[i];
        if (row->ndim != 1 || row->init != GP_INIT_ZERO)
            continue;
        rows++;
        gp_naming_pieces(f->naming, row, piece);
        at[i] = find_piece(f, piece[0].name);
        found += at[i] != NULL;
        if (at[i] && !all_numbers(at[i], at[i], zero))
            trained = at[i];
    }
    for (int i = 0; found == rows && !trained && i < p.count; i++)
        if (at[i])
            at[i]->used = true;
    if (found == rows && trained) {
        c->config.bias = true;
        gp_checkpoint_warning_add(
            c, gp_format("%s: the configuration has no biases, and %s is not zero: its biases are used",
                         trained->file->path, trained->name));
    }
    free(at);
    gp_params_release(&p);
}

static void fit_head(gp_weights *f, gp_checkpoint *c)
{
    gp_file_tensor *wte = find_embedding(f), *head = find_twin(f, GP_WTE);
    if (!gp_config_predicts_tokens(&c->config) || !c->config.tied || !wte || !head || same_numbers(wte, head))
        return;
    c->config.tied = false;
    gp_checkpoint_warning_add(c, gp_format("%s: the configuration ties %s to %s, which differs: the head in the file "
                                           "is used, as with tie_word_embeddings: false",
                                           head->file->path, head->name, wte->name));
}

void gp_weights_fit(gp_weights *f, gp_checkpoint *c)
{
    const char *head = second_name(f, GP_WTE);
    while (!find_embedding(f) && !(head && find_named(f, head)) && gp_weights_strip(f))
        ;
    fit_head(f, c);
    if (!c->config.bias)
        fit_biases(f, c);
}

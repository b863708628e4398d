/* hf_names.c: which tensor is which parameter, and which ones may be there without being one. */
#include "checkpoint/hf/hf.h"
#include "checkpoint/pieces.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Tensors that carry nothing of their own, or belong to heads that are not built here. Names without prefix,
 * '#' is a number. Shape: one letter a dim, P = any, 1 = 1; NULL = any shape. */
static const struct extra {
    gp_family family;
    const char *name, *shape;
    gp_role same_as; /* a second name of this parameter: transformers ties the two; GP_ROLES: of none */
} extras[] = {
    {GP_GPT2, "h.#.attn.bias", "11PP", GP_ROLES}, /* the causal mask, which old versions stored */
    {GP_GPT2, "h.#.attn.masked_bias", NULL, GP_ROLES},
    {GP_GPT2, "lm_head.weight", NULL, GP_WTE},
    {GP_BERT, "embeddings.position_ids", "1P", GP_ROLES},
    {GP_BERT, "cls.predictions.decoder.weight", NULL, GP_WTE},
    {GP_BERT, "cls.predictions.decoder.bias", NULL, GP_HEAD_B},
    {GP_BERT, "pooler.dense.weight", NULL, GP_ROLES}, /* the next-sentence head */
    {GP_BERT, "pooler.dense.bias", NULL, GP_ROLES},
    {GP_BERT, "cls.seq_relationship.weight", NULL, GP_ROLES},
    {GP_BERT, "cls.seq_relationship.bias", NULL, GP_ROLES},
    {GP_ROBERTA, "embeddings.position_ids", "1P", GP_ROLES},
    {GP_ROBERTA, "lm_head.decoder.weight", NULL, GP_WTE},
    {GP_ROBERTA, "lm_head.decoder.bias", NULL, GP_HEAD_B},
    {GP_ROBERTA, "pooler.dense.weight", NULL, GP_ROLES},
    {GP_ROBERTA, "pooler.dense.bias", NULL, GP_ROLES},
};

static const char *without_prefix(const char *name, const char *prefix)
{
    size_t n = strlen(prefix);
    return strncmp(name, prefix, n) ? name : name + n;
}

/* What safetensors.torch.save_model says of tensors that share their memory: of these it stores one, and keeps the
 * other names in the metadata. */
static gp_hf_tensor *find_alias(const gp_hf_files *f, const char *name)
{
    gp_hf_tensor *t = NULL;
    if (!f->tensor_count)
        return NULL;
    char *full = gp_format("%.*s%s", (int)f->stripped, f->tensors[0].name - f->stripped, name);
    for (int i = 0; i < f->count && !t; i++) {
        const char *stored = gp_safetensors_metadata(f->files[i], full, NULL);
        if (stored && strlen(stored) > f->stripped && !strncmp(stored, full, f->stripped))
            t = gp_hf_files_find(f, stored + f->stripped);
    }
    free(full);
    return t;
}

/* By this very name, or under that of a tensor that it shares its memory with. The oldest BERT files call a norm's
 * weight and bias gamma and beta. */
static gp_hf_tensor *find_named(const gp_hf_files *f, const char *name)
{
    static const struct {
        const char *now, *then;
    } endings[] = {{"LayerNorm.weight", "LayerNorm.gamma"}, {"LayerNorm.bias", "LayerNorm.beta"}};
    gp_hf_tensor *t = gp_hf_files_find(f, name);
    for (size_t k = 0; !t && k < ARRAY_LEN(endings); k++) {
        char old[GP_TENSOR_NAME + 24];
        size_t n = strlen(name), tail = strlen(endings[k].now);
        if (n < tail || strcmp(name + n - tail, endings[k].now))
            continue;
        snprintf(old, sizeof old, "%.*s%s", (int)(n - tail), name, endings[k].then);
        t = gp_hf_files_find(f, old);
    }
    return t ? t : find_alias(f, name);
}

/* A piece's tensor: by its full name, or as transformers looks for it too: without the prefix, as the bare model
 * (GPT2Model) is stored, or a head's with it. Of a head under both names it takes the first in the alphabet. */
static gp_hf_tensor *find_piece(const gp_hf_files *f, const char *name, const gp_config *c)
{
    char whole[GP_TENSOR_NAME + 16];
    const char *prefix = gp_hf_naming(c)->prefix, *bare = without_prefix(name, prefix), *names[] = {name, bare};
    if (bare == name) {
        snprintf(whole, sizeof whole, "%s%s", prefix, name);
        bool before = strcmp(whole, name) < 0;
        names[before] = name;
        names[!before] = whole;
    }
    gp_hf_tensor *t = find_named(f, names[0]);
    return t ? t : find_named(f, names[1]);
}

/* A parameter's second name, or NULL. */
static const char *second_name(gp_role role, gp_family family)
{
    for (size_t i = 0; i < ARRAY_LEN(extras); i++)
        if (extras[i].same_as == role && extras[i].family == family)
            return extras[i].name;
    return NULL;
}

/* The tensor that is stored under a parameter's second name, or NULL. */
static gp_hf_tensor *find_twin(const gp_hf_files *f, gp_role role, const gp_config *c)
{
    const char *second = second_name(role, c->family);
    return second ? find_piece(f, second, c) : NULL;
}

/* What is no floating-point number is none of a weight's, and is refused where it is read. */
static bool is_float(const gp_tensor *t)
{
    return t->dtype == GP_F32 || t->dtype == GP_F16 || t->dtype == GP_BF16;
}

static bool same_numbers(const gp_tensor *a, const gp_tensor *b)
{
    enum { CHUNK = 1 << 12 };
    float x[CHUNK], y[CHUNK];
    bool same = a->ndim == b->ndim && is_float(a) && is_float(b);
    for (int i = 0; same && i < a->ndim; i++)
        same = a->dim[i] == b->dim[i];
    int64_t count = gp_tensor_count(a), n;
    for (int64_t at = 0; same && at < count; at += n) {
        n = gp_min(count - at, CHUNK);
        gp_to_f32(x, (const char *)a->data + at * gp_dtype_size(a->dtype), a->dtype, n);
        gp_to_f32(y, (const char *)b->data + at * gp_dtype_size(b->dtype), b->dtype, n);
        for (int64_t i = 0; i < n; i++)
            same &= x[i] == y[i];
    }
    return same;
}

static int missing(const gp_hf_files *f, const char *path, const gp_param *row, const gp_piece *piece)
{
    char text[96];
    gp_tensor expected = {.dtype = GP_F32};
    expected.ndim = gp_piece_shape(row, piece, expected.dim);
    gp_tensor_format(&expected, text, sizeof text);
    size_t n = gp_hf_files_prefix(f);
    if (n && strncmp(f->tensors[0].name, piece->name, n))
        return fail("%s: tensor %s is missing, expected %s; the name of every tensor there begins with \"%.*s\"", path,
                    piece->name, text, (int)n, f->tensors[0].name);
    return fail("%s: tensor %s is missing, expected %s", path, piece->name, text);
}

/* The tensor of a row's piece, of two names perhaps. A head's weight that is tied has two, or a bias, which is tied
 * always; of two biases that differ transformers adds the one of the decoder, and so it is here. */
static gp_hf_tensor *find_tensor(const gp_hf_files *f, gp_checkpoint *c, const gp_param *row, const char *name)
{
    gp_hf_tensor *t = find_piece(f, name, &c->config), *twin = NULL;
    if (c->config.tied || row->role == GP_HEAD_B)
        twin = find_twin(f, row->role, &c->config);
    if (t && twin && row->role == GP_HEAD_B && !same_numbers(&t->t, &twin->t)) {
        gp_checkpoint_warning_add(
            c, gp_format("%s: tensor %s differs from %s: that of the decoder is taken", t->path, t->name, twin->name));
        t->used = true;
        return twin;
    }
    return t ? t : twin;
}

static int match_row(gp_hf_files *f, gp_checkpoint *c, const gp_param *row, gp_hf_tensor **match)
{
    gp_piece piece[GP_PIECES];
    int count = gp_naming_pieces(gp_hf_naming(&c->config), row, piece);
    for (int k = 0; k < count; k++) {
        gp_hf_tensor *t = match[k] = find_tensor(f, c, row, piece[k].name);
        if (!t)
            return missing(f, c->path, row, &piece[k]);
        if (gp_piece_check(t->path, t->name, &t->t, row, &piece[k]))
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

static bool shape_is(const gp_tensor *t, const char *shape)
{
    if (!shape)
        return true;
    for (int i = 0; i < t->ndim; i++)
        if (!shape[i] || (shape[i] == '1' && t->dim[i] != 1))
            return false;
    return !shape[t->ndim];
}

/* A tensor that is no parameter: in the table above and as described there, or refused. A second name's tensor has been
 * compared with its parameter (gp_hf_fit, find_tensor), unless it is there with the prefix and without. */
static int check_extra(const gp_hf_files *f, const gp_hf_tensor *t, gp_checkpoint *c)
{
    char text[96];
    const char *name = without_prefix(t->name, gp_hf_naming(&c->config)->prefix);
    gp_tensor_format(&t->t, text, sizeof text);
    for (size_t i = 0; i < ARRAY_LEN(extras); i++) {
        const struct extra *e = &extras[i];
        if (e->family != c->config.family || !name_is(name, e->name) || !shape_is(&t->t, e->shape))
            continue;
        const gp_hf_tensor *other = e->same_as != GP_ROLES ? find_piece(f, e->name, &c->config) : t;
        if (other != t && !same_numbers(&t->t, &other->t))
            gp_checkpoint_warning_add(
                c, gp_format("%s: tensor %s differs from %s, which is taken", t->path, t->name, other->name));
        return 0;
    }
    return fail("%s: tensor %s is %s, expected no such tensor in a %s of %lld layers", t->path, t->name, text,
                gp_family_name(c->config.family), (long long)c->config.layers);
}

int gp_hf_match(gp_hf_files *f, gp_checkpoint *c, gp_hf_tensor **match)
{
    for (int i = 0; i < c->params.count; i++)
        if (match_row(f, c, &c->params.rows[i], &match[GP_PIECES * i]))
            return -1;
    for (int64_t i = 0; i < f->tensor_count; i++)
        if (!f->tensors[i].used && check_extra(f, &f->tensors[i], c))
            return -1;
    return 0;
}

/* ---- before the table of parameters is made -------------------------------------------------------------- */

static gp_hf_tensor *find_embedding(const gp_hf_files *f, const gp_config *c)
{
    const gp_naming *n = gp_hf_naming(c);
    char name[GP_TENSOR_NAME];
    gp_naming_expand(n, gp_naming_pattern(n, GP_WTE), 0, name);
    return find_piece(f, name, c);
}

static bool is_zero(const gp_tensor *t)
{
    enum { CHUNK = 1 << 12 };
    float x[CHUNK];
    bool zero = is_float(t);
    int64_t count = gp_tensor_count(t), n;
    for (int64_t at = 0; zero && at < count; at += n) {
        n = gp_min(count - at, CHUNK);
        gp_to_f32(x, (const char *)t->data + at * gp_dtype_size(t->dtype), t->dtype, n);
        for (int64_t i = 0; i < n; i++)
            zero &= x[i] == 0;
    }
    return zero;
}

/* A model without biases is stored with zeros in their place, since transformers builds them all (hf_write.c). Zeros
 * are no parameters; once something has trained them, they are. */
static void fit_biases(gp_hf_files *f, gp_checkpoint *c)
{
    gp_config whole = c->config;
    gp_params p;
    gp_piece piece[GP_PIECES];
    gp_hf_tensor *trained = NULL;
    int found = 0, rows = 0;
    whole.bias = true;
    gp_params_list(&p, &whole);
    gp_hf_tensor **at = gp_calloc((size_t)p.count, sizeof *at);
    for (int i = 0; i < p.count; i++) {
        const gp_param *row = &p.rows[i];
        if (row->ndim != 1 || row->init != GP_INIT_ZERO)
            continue;
        rows++;
        gp_naming_pieces(gp_hf_naming(&whole), row, piece);
        at[i] = find_piece(f, piece[0].name, &whole);
        found += at[i] != NULL;
        if (at[i] && !is_zero(&at[i]->t))
            trained = at[i];
    }
    for (int i = 0; found == rows && !trained && i < p.count; i++)
        if (at[i])
            at[i]->used = true;
    if (found == rows && trained) {
        c->config.bias = true;
        gp_checkpoint_warning_add(c, gp_format("%s: the configuration has no biases, and %s is not zero: they are kept",
                                               trained->path, trained->name));
    }
    free(at);
    gp_params_release(&p);
}

static void fit_head(gp_hf_files *f, gp_checkpoint *c)
{
    gp_hf_tensor *wte = find_embedding(f, &c->config), *head = find_twin(f, GP_WTE, &c->config);
    if (!c->config.tied || !wte || !head || same_numbers(&wte->t, &head->t))
        return;
    c->config.tied = false;
    gp_checkpoint_warning_add(c,
                              gp_format("%s: the configuration ties %s to %s, which differs: the file's head is kept, "
                                        "as with tie_word_embeddings: false",
                                        head->path, head->name, wte->name));
}

void gp_hf_fit(gp_hf_files *f, gp_checkpoint *c)
{
    const char *head = second_name(GP_WTE, c->config.family);
    while (!find_embedding(f, &c->config) && !find_named(f, head) && gp_hf_files_strip(f))
        ;
    fit_head(f, c);
    if (!c->config.bias)
        fit_biases(f, c);
}

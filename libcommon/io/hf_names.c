/* hf_names.c: which tensor is which parameter, and which ones may be there without being one. */
#include "io/hf.h"
#include "io/pieces.h"

#include <ctype.h>
#include <string.h>

static const char *const prefixes[] = {
    [GP_GPT2] = "transformer.", [GP_BERT] = "bert.", [GP_ROBERTA] = "roberta."};
static const char *const families[] = {[GP_GPT2] = "gpt2", [GP_BERT] = "bert", [GP_ROBERTA] = "roberta"};

/* Tensors that carry nothing of their own, or belong to heads that are not built here. Names without prefix,
 * '#' is a number. Shape: one letter a dim, P = any, 1 = 1; NULL = any shape. */
static const struct extra {
    gp_family family;
    const char *name, *shape;
    const char *same_as; /* has to be an exact copy of this parameter */
} extras[] = {
    {GP_GPT2, "h.#.attn.bias", "11PP", NULL}, /* the causal mask, which old versions stored */
    {GP_GPT2, "h.#.attn.masked_bias", NULL, NULL},
    {GP_GPT2, "lm_head.weight", NULL, "transformer.wte.weight"},
    {GP_BERT, "embeddings.position_ids", "1P", NULL},
    {GP_BERT, "cls.predictions.decoder.weight", NULL, "bert.embeddings.word_embeddings.weight"},
    {GP_BERT, "cls.predictions.decoder.bias", NULL, "cls.predictions.bias"},
    {GP_BERT, "pooler.dense.weight", NULL, NULL}, /* the next-sentence head */
    {GP_BERT, "pooler.dense.bias", NULL, NULL},
    {GP_BERT, "cls.seq_relationship.weight", NULL, NULL},
    {GP_BERT, "cls.seq_relationship.bias", NULL, NULL},
    {GP_ROBERTA, "embeddings.position_ids", "1P", NULL},
    {GP_ROBERTA, "lm_head.decoder.weight", NULL, "roberta.embeddings.word_embeddings.weight"},
    {GP_ROBERTA, "lm_head.decoder.bias", NULL, "lm_head.bias"},
    {GP_ROBERTA, "pooler.dense.weight", NULL, NULL},
    {GP_ROBERTA, "pooler.dense.bias", NULL, NULL},
};

static const char *without_prefix(const char *name, gp_family family)
{
    size_t n = strlen(prefixes[family]);
    return strncmp(name, prefixes[family], n) ? name : name + n;
}

/* A piece's tensor: by its full name, or without the prefix, as the bare model (GPT2Model) is stored. The
 * oldest BERT files call a norm's weight and bias gamma and beta. */
static gp_hf_tensor *find_piece(const gp_hf_files *f, const char *name, gp_family family)
{
    static const struct {
        const char *now, *then;
    } endings[] = {{"LayerNorm.weight", "LayerNorm.gamma"}, {"LayerNorm.bias", "LayerNorm.beta"}};
    const char *names[] = {name, without_prefix(name, family)};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        gp_hf_tensor *t = gp_hf_files_find(f, names[i]);
        for (size_t k = 0; !t && k < ARRAY_LEN(endings); k++) {
            char old[sizeof(gp_piece){0}.name + 8];
            size_t n = strlen(names[i]), tail = strlen(endings[k].now);
            if (n < tail || strcmp(names[i] + n - tail, endings[k].now))
                continue;
            snprintf(old, sizeof old, "%.*s%s", (int)(n - tail), names[i], endings[k].then);
            t = gp_hf_files_find(f, old);
        }
        if (t)
            return t;
    }
    return NULL;
}

static int match_row(gp_hf_files *f, const char *path, const gp_config *c, const gp_param *row,
                     gp_hf_tensor **match)
{
    for (int k = 0; k < row->pieces; k++) {
        const gp_piece *piece = &row->piece[k];
        gp_hf_tensor *t = match[k] = find_piece(f, piece->name, c->family);
        if (!t) {
            char text[96];
            gp_tensor expected = {.dtype = GP_F32};
            expected.ndim = gp_piece_shape(row, piece, expected.dim);
            return fail("%s: tensor %s is missing, expected %s", path, piece->name,
                        gp_tensor_format(&expected, text, sizeof text));
        }
        if (gp_piece_check(t->path, t->name, &t->t, row, piece))
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

static bool same_tensor(const gp_tensor *a, const gp_tensor *b)
{
    if (a->dtype != b->dtype || a->ndim != b->ndim)
        return false;
    for (int i = 0; i < a->ndim; i++)
        if (a->dim[i] != b->dim[i])
            return false;
    return !memcmp(a->data, b->data, (size_t)gp_tensor_bytes(a));
}

/* A tensor that is no parameter: in the table above and as described there, or refused. */
static int check_extra(const gp_hf_tensor *t, const gp_config *c, const gp_params *p, gp_hf_tensor **match)
{
    char text[96];
    const char *name = without_prefix(t->name, c->family);
    gp_tensor_format(&t->t, text, sizeof text);
    for (size_t i = 0; i < ARRAY_LEN(extras); i++) {
        const struct extra *e = &extras[i];
        if (e->family != c->family || !name_is(name, e->name) || !shape_is(&t->t, e->shape))
            continue;
        if (!e->same_as)
            return 0;
        for (int r = 0; r < p->count; r++)
            for (int k = 0; k < p->rows[r].pieces; k++)
                if (!strcmp(p->rows[r].piece[k].name, e->same_as) && same_tensor(&t->t, &match[3 * r + k]->t))
                    return 0;
        return fail("%s: tensor %s is %s and differs from %s, expected the same: its configuration ties them",
                    t->path, t->name, text, e->same_as);
    }
    return fail("%s: tensor %s is %s, expected no such tensor in a %s of %lld layers", t->path, t->name, text,
                families[c->family], (long long)c->layers);
}

int gp_hf_match(gp_hf_files *f, const char *path, const gp_config *c, const gp_params *p,
                gp_hf_tensor **match)
{
    for (int i = 0; i < p->count; i++)
        if (match_row(f, path, c, &p->rows[i], &match[3 * i]))
            return -1;
    for (int64_t i = 0; i < f->tensor_count; i++)
        if (!f->tensors[i].used && check_extra(&f->tensors[i], c, p, match))
            return -1;
    return 0;
}

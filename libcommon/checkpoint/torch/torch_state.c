/* torch_state.c: which tensors of a saved object are listed, under which names, and what else there is. */
#include "checkpoint/torch/torch_file.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 16, MAX_NAME = 512, MAX_IGNORED = 200 };

typedef struct listing {
    gp_torch_file *f;
    gp_container *k;
    char name[MAX_NAME];
    int64_t visits; /* left: a value may be in several places, not in many more than there are values */
    int64_t bytes;  /* left for what lists tensors: one that is in many places takes memory in each */
} listing;

static int add_tensor(listing *l, const gp_pickle_tensor *t)
{
    gp_torch_file *f = l->f;
    const gp_pickle_storage *s = t->storage;
    char *file = gp_format("%s%.*s", f->prefix, (int)gp_min((int64_t)s->key_size, MAX_NAME), s->key);
    const gp_zip_file *storage = gp_zip_find(&f->zip, file, strlen(file));
    free(file);
    if (!storage || storage->size != (size_t)s->bytes)
        return fail("%s: tensor %s: its storage %.*s has %lld bytes, expected %lld", f->path, l->name,
                    (int)gp_min((int64_t)s->key_size, MAX_NAME), s->key, storage ? (long long)storage->size : 0,
                    (long long)s->bytes);
    gp_stored stored = {.type = t->type->name,
                        .is_float = t->type->is_float,
                        .dtype = t->type->as == GP_F64 ? GP_F32 : t->type->as,
                        .ndim = t->ndim};
    memcpy(stored.dim, t->dim, sizeof stored.dim);
    l->bytes -= (int64_t)(strlen(l->name) + sizeof stored + sizeof *f->places);
    if (l->bytes < 0)
        return fail("%s: it has too many tensors for the size of its pickle", f->path);
    if (gp_container_add(l->k, l->name, strlen(l->name), &stored))
        return -1;
    f->places = gp_grow(f->places, f->place_count, sizeof *f->places);
    f->places[f->place_count] = (gp_torch_place){storage, *t};
    f->places[f->place_count++].t.storage = NULL;
    return 0;
}

static int add_value(listing *l, const gp_value *v, size_t at, int depth);

/* One member of a container, whose own name takes `at` bytes of l->name. key: NULL: it is the i-th. */
static int add_member(listing *l, const gp_value *key, int64_t i, const gp_value *v, size_t at, int depth)
{
    bool nested = v->type == GP_VALUE_DICT || v->type == GP_VALUE_LIST || v->type == GP_VALUE_TUPLE;
    if (v->type != GP_VALUE_TENSOR && !nested)
        return 0; /* a number or a text */
    const char *dot = at ? "." : "";
    size_t room = sizeof l->name - at, n;
    if (key && key->type == GP_VALUE_TEXT && !memchr(key->as.text.data, 0, key->as.text.size))
        n = key->as.text.size < MAX_NAME
                ? (size_t)snprintf(l->name + at, room, "%s%.*s", dot, (int)key->as.text.size, key->as.text.data)
                : MAX_NAME;
    else if (!key || (key->type == GP_VALUE_INT && depth))
        n = (size_t)snprintf(l->name + at, room, "%s%lld", dot, (long long)(key ? key->as.whole : i));
    else
        return fail("%s: has a %s under a key that is a %s, expected text", l->f->path, gp_value_type_name(v),
                    gp_value_type_name(key));
    if (n >= room)
        return fail("%s: the name of a tensor is longer than %d bytes", l->f->path, MAX_NAME - 1);
    return add_value(l, v, at + n, depth + 1);
}

static int add_value(listing *l, const gp_value *v, size_t at, int depth)
{
    int rc = 0;
    if (v->type == GP_VALUE_TENSOR)
        return add_tensor(l, v->as.tensor);
    if (depth > MAX_DEPTH || (l->visits -= v->as.list.count + 1) < 0)
        return fail("%s: its containers are nested too deep", l->f->path);
    bool dict = v->type == GP_VALUE_DICT;
    for (int64_t i = 0; !rc && i < v->as.list.count; i += 1 + dict) {
        const gp_value *key = dict ? v->as.list.items[i] : NULL;
        rc = add_member(l, key, i, v->as.list.items[i + dict], at, depth);
        l->name[at] = 0;
    }
    return rc;
}

/* ---- beside the tensors ---------------------------------------------------------------------------------- */

static void add_entry(gp_torch_extras *e, const gp_value *key, const gp_value *v)
{
    gp_torch_entry *one = &e->args[e->arg_count++];
    *one = (gp_torch_entry){.name = gp_strndup(key->as.text.data, key->as.text.size), .type = GP_TORCH_OTHER};
    switch (v->type) {
    case GP_VALUE_NONE:
        one->type = GP_TORCH_NONE;
        break;
    case GP_VALUE_BOOL:
    case GP_VALUE_INT:
        one->type = v->type == GP_VALUE_BOOL ? GP_TORCH_BOOL : GP_TORCH_INT;
        one->whole = v->as.whole;
        one->real = (double)v->as.whole;
        break;
    case GP_VALUE_REAL:
        one->type = GP_TORCH_REAL;
        one->real = v->as.real;
        break;
    case GP_VALUE_TEXT:
        one->type = GP_TORCH_TEXT;
        one->text = gp_strndup(v->as.text.data, v->as.text.size);
        break;
    default:
        break;
    }
}

static int read_args(gp_torch_file *f, const gp_value *args)
{
    gp_torch_extras *e = &f->extras;
    e->has_args = true;
    e->args = gp_calloc((size_t)args->as.list.count / 2, sizeof *e->args);
    for (int64_t i = 0; i < args->as.list.count; i += 2) {
        const gp_value *key = args->as.list.items[i];
        if (key->type != GP_VALUE_TEXT)
            return fail("%s: model_args has a key that is a %s, expected text", f->path, gp_value_type_name(key));
        add_entry(e, key, args->as.list.items[i + 1]);
    }
    return 0;
}

/* An optimizer before its first step: {'state': {}, ...}. */
static bool is_fresh_optimizer(const gp_value *v)
{
    gp_value *const *items = v->as.list.items;
    return v->type == GP_VALUE_DICT && v->as.list.count && gp_value_is(items[0], "state") &&
           items[1]->type == GP_VALUE_DICT && !items[1]->as.list.count;
}

/* Something with members, or a tensor. */
static bool has_content(const gp_value *v)
{
    bool container = v->type == GP_VALUE_DICT || v->type == GP_VALUE_LIST || v->type == GP_VALUE_TUPLE;
    return v->type == GP_VALUE_TENSOR || (container && v->as.list.count && !is_fresh_optimizer(v));
}

/* Names of the members of top that have some content and are neither `member` nor model_args. */
static char *list_ignored(const gp_value *top, const char *member)
{
    gp_buf b = {0};
    for (int64_t i = 0; i < top->as.list.count && b.len < MAX_IGNORED; i += 2) {
        const gp_value *key = top->as.list.items[i];
        if (key->type != GP_VALUE_TEXT || gp_value_is(key, member) || gp_value_is(key, "model_args") ||
            !has_content(top->as.list.items[i + 1]))
            continue;
        gp_buf_puts(&b, b.len ? ", " : "");
        gp_buf_printable(&b, key->as.text.data, (size_t)gp_min((int64_t)key->as.text.size, MAX_IGNORED));
    }
    return b.data;
}

int gp_torch_list(gp_torch_file *f, gp_container *k, const gp_value *top, const gp_pickle *p)
{
    enum { FREE_BYTES = 1 << 24, PER_BYTE = 64 }; /* as much as the values of a pickle take */
    static const char *const members[] = {"model", "state_dict", "model_state_dict", "module"};
    listing l = {.f = f, .k = k, .visits = 4 * p->value_count + 64, .bytes = FREE_BYTES + PER_BYTE * (int64_t)p->at};
    const gp_value *state = NULL, *args = gp_value_get(top, "model_args");
    if (top->type != GP_VALUE_DICT)
        return fail("%s: holds a %s, expected a dict of tensors", f->path, gp_value_type_name(top));
    for (size_t i = 0; !state && i < ARRAY_LEN(members); i++) {
        state = gp_value_get(top, members[i]);
        if (state && state->type == GP_VALUE_DICT)
            f->extras.member = gp_strdup(members[i]);
        else
            state = NULL;
    }
    if (state)
        f->extras.ignored = list_ignored(top, f->extras.member);
    if (args && args->type == GP_VALUE_DICT && read_args(f, args))
        return -1;
    return add_value(&l, state ? state : top, 0, 0);
}

void gp_torch_extras_release(gp_torch_extras *e)
{
    for (int64_t i = 0; i < e->arg_count; i++) {
        free(e->args[i].name);
        free(e->args[i].text);
    }
    free(e->args);
    free(e->member);
    free(e->ignored);
    *e = (gp_torch_extras){0};
}

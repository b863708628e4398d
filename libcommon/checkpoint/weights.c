/* weights.c: see weights.h. */
#include "checkpoint/weights.h"
#include "base/file.h"
#include "base/json_python.h"
#include "checkpoint/pieces.h"

#include <stdlib.h>
#include <string.h>

int gp_checkpoint_add_file(gp_checkpoint *c, gp_container *k)
{
    if (!k)
        return -1;
    c->files = gp_realloc(c->files, (size_t)c->file_count + 1, sizeof(gp_container *));
    c->files[c->file_count++] = k;
    return 0;
}

/* ---- shards ---------------------------------------------------------------------------------------------- */

/* Opens each file of the map once. */
static int open_shards(gp_checkpoint *c, const char *index, const json_t *map, gp_container *(*open)(const char *path))
{
    const char *slash = strrchr(index, '/'), *tensor;
    json_t *v, *seen = json_object();
    int rc = 0;
    json_object_foreach ((json_t *)(uintptr_t)map, tensor, v) {
        const char *file = json_string_value(v);
        if (!file || !*file || strchr(file, '/'))
            rc = fail("%s: tensor %s: expected the name of a file in the directory of the index", index, tensor);
        else if (!json_object_get(seen, file)) {
            char *path = gp_format("%.*s%s", slash ? (int)(slash - index + 1) : 0, index, file);
            rc = gp_checkpoint_add_file(c, open(path));
            json_object_set_new(seen, file, json_true());
            free(path);
        }
        if (rc)
            break;
    }
    json_decref(seen);
    return rc;
}

/* The shard that has a tensor, or NULL. */
static const gp_container *shard_with(const gp_checkpoint *c, const char *tensor)
{
    for (int i = 0; i < c->file_count; i++)
        if (gp_container_find(c->files[i], tensor) >= 0)
            return c->files[i];
    return NULL;
}

/* Index and files name the same tensors. */
static int check_map(const gp_checkpoint *c, const char *index, const json_t *map)
{
    const char *name;
    json_t *v;
    json_object_foreach ((json_t *)(uintptr_t)map, name, v) {
        const gp_container *k = shard_with(c, name);
        const char *slash = k ? strrchr(k->path, '/') : NULL;
        if (!k || strcmp(slash ? slash + 1 : k->path, json_string_value(v)))
            return fail("%s: tensor %s should be in %s, it is %s%s", index, name, json_string_value(v),
                        k ? "in " : "not there", k ? k->path : "");
    }
    for (int i = 0; i < c->file_count; i++)
        for (int64_t k = 0; k < c->files[i]->count; k++)
            if (!json_object_get(map, c->files[i]->tensors[k].name))
                return fail("%s: tensor %s of %s is not listed", index, c->files[i]->tensors[k].name,
                            c->files[i]->path);
    return 0;
}

int gp_checkpoint_add_shards(gp_checkpoint *c, const char *index, gp_container *(*open)(const char *path))
{
    enum { MAX_INDEX = 1 << 26 };
    gp_buf text = {0};
    json_error_t error;
    if (gp_file_read_regular(&text, index, MAX_INDEX))
        return -1;
    json_t *root = gp_json_load_python(text.data, text.len, JSON_REJECT_DUPLICATES, &error);
    json_t *map = json_object_get(root, "weight_map");
    int rc = -1;
    if (!root)
        fail("%s: is not JSON: line %d: %s", index, error.line, error.text);
    else if (!json_object_size(map))
        fail("%s: \"weight_map\" is missing or empty", index);
    else if (!open_shards(c, index, map, open))
        rc = check_map(c, index, map);
    json_decref(root);
    gp_buf_release(&text);
    return rc;
}

/* ---- one list of all files' tensors ---------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const gp_file_tensor *)a)->name, ((const gp_file_tensor *)b)->name);
}

static int gather(gp_weights *f, const gp_checkpoint *c)
{
    f->files = c->files;
    f->count = c->file_count;
    for (int i = 0; i < f->count; i++)
        f->tensor_count += f->files[i]->count;
    f->tensors = gp_calloc((size_t)f->tensor_count, sizeof *f->tensors);
    gp_file_tensor *next = f->tensors;
    for (int i = 0; i < f->count; i++)
        for (int64_t k = 0; k < f->files[i]->count; k++)
            *next++ = (gp_file_tensor){.name = f->files[i]->tensors[k].name, .file = f->files[i], .index = k};
    qsort(f->tensors, (size_t)f->tensor_count, sizeof *f->tensors, by_name);
    for (int64_t i = 1; i < f->tensor_count; i++)
        if (!strcmp(f->tensors[i - 1].name, f->tensors[i].name))
            return fail("%s: tensor %s is in %s too", f->tensors[i].file->path, f->tensors[i].name,
                        f->tensors[i - 1].file->path);
    return 0;
}

gp_file_tensor *gp_weights_find(const gp_weights *f, const char *name)
{
    gp_file_tensor key = {.name = name};
    return f->tensor_count ? bsearch(&key, f->tensors, (size_t)f->tensor_count, sizeof key, by_name) : NULL;
}

size_t gp_weights_prefix(const gp_weights *f)
{
    if (!f->tensor_count)
        return 0;
    const char *first = f->tensors[0].name, *last = f->tensors[f->tensor_count - 1].name; /* by name */
    size_t n = 0, prefix = 0;
    for (; first[n] && first[n] == last[n]; n++)
        if (first[n] == '.')
            prefix = n + 1;
    return prefix;
}

bool gp_weights_strip(gp_weights *f)
{
    static const char *const wrappers[] = {"module.", "_orig_mod.", "model.", "transformer."};
    size_t prefix = gp_weights_prefix(f);
    for (size_t i = 0; i < ARRAY_LEN(wrappers); i++) {
        size_t n = strlen(wrappers[i]);
        if (n > prefix || strncmp(f->tensors[0].name, wrappers[i], n))
            continue;
        for (int64_t k = 0; k < f->tensor_count; k++)
            f->tensors[k].name += n;
        f->stripped += n;
        return true;
    }
    return false;
}

/* ---- as the table of parameters -------------------------------------------------------------------------- */

static gp_file_tensor **match_of(const gp_weights *f, const gp_param *row)
{
    return &f->match[GP_PIECES * (row - f->rows)];
}

static int read_row(void *self, const gp_param *row, int64_t first, int64_t lines, float *data)
{
    const gp_weights *f = self;
    gp_file_tensor **match = match_of(f, row);
    gp_piece piece[GP_PIECES];
    if (f->replaced && f->replaced->is_new[row->role]) {
        gp_replaced_head_read(f, row, first, lines, data);
        return 0;
    }
    int count = gp_naming_pieces(f->naming, row, piece);
    for (int k = 0; k < count; k++) {
        if (!match[k]) {
            gp_piece_fill(row, &piece[k], first, lines, data);
            continue;
        }
        if (!first && gp_container_check(match[k]->file, match[k]->index, NULL))
            return -1;
        if (gp_piece_read(match[k]->file, match[k]->index, row, &piece[k], first, lines, data))
            return -1;
        gp_container_forget(match[k]->file, match[k]->index);
    }
    return 0;
}

static gp_row_place locate(void *self, const gp_param *row)
{
    const gp_weights *f = self;
    gp_file_tensor **match = match_of(f, row);
    gp_piece piece[GP_PIECES];
    gp_row_place place = {.concurrent = true};
    gp_dtype dtype;
    if (f->replaced && f->replaced->is_new[row->role])
        return place;
    int count = gp_naming_pieces(f->naming, row, piece);
    for (int k = 0; k < count; k++)
        place.concurrent &=
            !match[k] || match[k]->file->ops->concurrent || gp_container_data(match[k]->file, match[k]->index, &dtype);
    if (count == 1 && match[0] && gp_piece_is_run(row, piece) &&
        gp_container_data(match[0]->file, match[0]->index, &dtype)) {
        place.file = match[0]->file;
        place.index = match[0]->index;
    }
    return place;
}

static void close_weights(void *self)
{
    gp_weights *f = self;
    free(f->tensors);
    free(f->match);
    gp_replaced_head_free(f->replaced);
    free(f);
}

/* Rows of the vocabulary beyond the tokenizer's ids are padding, which has been trained to nothing but is sampled. */
static void cut_padding(gp_checkpoint *c)
{
    int64_t V = c->config.vocab_size, ids = c->tokenizer_ids;
    if (!ids || ids >= V)
        return;
    gp_checkpoint_warning_add(c, gp_format("%s: its vocabulary of %lld is padded from %lld: rows %lld to %lld are left "
                                           "out (--keep-padding keeps them)",
                                           c->path, (long long)V, (long long)ids, (long long)ids, (long long)V - 1));
    c->stored_vocab = V;
    c->config.vocab_size = ids;
}

int gp_weights_attach(gp_checkpoint *c, const gp_naming *naming)
{
    gp_weights *f = gp_calloc(1, sizeof *f);
    c->self = f;
    c->read = read_row;
    c->locate = locate;
    c->close = close_weights;
    f->naming = naming ? naming : gp_hf_naming(&c->config);
    if (gather(f, c))
        return -1;
    if (c->options.cut_padding && !c->stored_vocab)
        cut_padding(c);
    gp_weights_fit(f, c);
    if (gp_weights_replace_head(f, c))
        return -1;
    gp_params_list(&c->params, &c->config);
    f->rows = c->params.rows;
    f->match = gp_calloc((size_t)c->params.count * GP_PIECES, sizeof(gp_file_tensor *));
    return gp_weights_match(f, c);
}

/* hf_tensors.c: see hf_tensors.h. */
#include "checkpoint/hf/hf_tensors.h"
#include "base/file.h"
#include "base/json.h"

#include <stdlib.h>
#include <string.h>

typedef struct declared {
    char *name;
    gp_tensor t;
    int shard;
} declared;

struct gp_hf_out {
    char *path;
    gp_dtype dtype;
    int64_t shard_bytes;
    const gp_hf_file_type *type;
    void *self;

    declared *list;
    int64_t count, next; /* the tensor that numbers come of */
    int64_t left;        /* numbers of it */
    int shards;          /* 0: not planned yet */
    gp_tensor_writer file;
};

static int declare(void *self, const char *name, int ndim, const int64_t *dim)
{
    gp_hf_out *o = self;
    gp_tensor t = {.dtype = o->dtype, .ndim = ndim};
    memcpy(t.dim, dim, (size_t)ndim * sizeof *dim);
    o->list = gp_realloc(o->list, (size_t)o->count + 1, sizeof *o->list);
    o->list[o->count++] = (declared){gp_strdup(name), t, 0};
    return 0;
}

/* In order, as many tensors a shard as fit. */
static void plan(gp_hf_out *o)
{
    int64_t bytes = 0;
    int shard = 0;
    for (int64_t i = 0; i < o->count; i++) {
        int64_t size = gp_tensor_bytes(&o->list[i].t);
        if (o->shard_bytes && bytes && bytes + size > o->shard_bytes) {
            shard++;
            bytes = 0;
        }
        bytes += size;
        o->list[i].shard = shard;
    }
    o->shards = shard + 1;
}

static char *shard_name(const gp_hf_out *o, int shard)
{
    const gp_hf_file_type *type = o->type;
    return o->shards == 1 ? gp_format("%s%s", type->stem, type->suffix)
                          : gp_format("%s-%05d-of-%05d%s", type->stem, shard + 1, o->shards, type->suffix);
}

static int open_shard(gp_hf_out *o, int shard)
{
    char *name = shard_name(o, shard), *path = o->shard_bytes ? gp_path_join(o->path, name) : gp_strdup(o->path);
    int rc = o->type->open(o->self, path, &o->file);
    for (int64_t i = 0; !rc && i < o->count; i++) {
        const declared *d = &o->list[i];
        if (d->shard == shard)
            rc = o->file.declare(o->file.self, d->name, d->t.ndim, d->t.dim);
    }
    free(path);
    free(name);
    return rc;
}

/* Numbers are about to come: of the next tensor where the last one is complete. */
static int advance(gp_hf_out *o)
{
    if (!o->shards) {
        plan(o);
        o->left = gp_tensor_count(&o->list[0].t);
        return open_shard(o, 0);
    }
    while (!o->left) {
        const declared *done = &o->list[o->next++];
        BUG_ON(o->next == o->count);
        o->left = gp_tensor_count(&o->list[o->next].t);
        if (o->list[o->next].shard != done->shard &&
            (o->type->close(o->self, false) || open_shard(o, o->list[o->next].shard)))
            return -1;
    }
    return 0;
}

static int write_numbers(void *self, const float *x, int64_t count)
{
    gp_hf_out *o = self;
    if (advance(o))
        return -1;
    BUG_ON(count > o->left);
    o->left -= count;
    return o->file.write(o->file.self, x, count);
}

gp_hf_out *gp_hf_out_open(gp_tensor_writer *w, const char *path, gp_store store, int64_t shard_bytes,
                          const gp_hf_file_type *type, void *self)
{
    gp_hf_out *o = gp_calloc(1, sizeof *o);
    *o = (gp_hf_out){.path = gp_strdup(path),
                     .dtype = gp_store_dtype(store),
                     .shard_bytes = shard_bytes,
                     .type = type,
                     .self = self};
    *w = (gp_tensor_writer){o, declare, write_numbers, gp_store_largest(store)};
    return o;
}

/* {"metadata": {"total_size": bytes}, "weight_map": {name: file}}, as transformers has it. */
static int write_index(const gp_hf_out *o)
{
    json_t *map = json_object();
    int64_t bytes = 0;
    for (int64_t i = 0; i < o->count; i++) {
        char *file = shard_name(o, o->list[i].shard);
        json_object_set_new(map, o->list[i].name, json_string(file));
        bytes += gp_tensor_bytes(&o->list[i].t);
        free(file);
    }
    json_t *root = json_pack("{s:{s:I}, s:o}", "metadata", "total_size", (json_int_t)bytes, "weight_map", map);
    char *text = gp_json_dump(root, JSON_INDENT(2)), *path;
    char *name = gp_format("%s%s.index.json", o->type->stem, o->type->suffix);
    path = gp_path_join(o->path, name);
    int rc = gp_file_replace(path, text, strlen(text));
    json_decref(root);
    free(text);
    free(path);
    free(name);
    return rc;
}

int gp_hf_out_close(gp_hf_out *o, bool failed)
{
    int rc = o->type->close(o->self, failed);
    if (failed)
        rc = -1;
    if (!rc && o->shards > 1)
        rc = write_index(o);
    for (int64_t i = 0; i < o->count; i++)
        free(o->list[i].name);
    free(o->list);
    free(o->path);
    free(o);
    return rc;
}

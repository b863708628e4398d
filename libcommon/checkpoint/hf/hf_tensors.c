/* hf_tensors.c: see hf_tensors.h. */
#include "checkpoint/hf/hf_tensors.h"
#include "base/file.h"
#include "base/json.h"
#include "gptpipe/safetensors.h"

#include <float.h>
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
    gp_hf_metadata_fn *metadata;
    const void *self;

    declared *list;
    int64_t count, next; /* the tensor that numbers come of */
    int64_t left;        /* numbers of it */
    int shards;          /* 0: not planned yet */
    gp_safetensors_writer *w;
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
    return o->shards == 1 ? gp_strdup("model.safetensors")
                          : gp_format("model-%05d-of-%05d.safetensors", shard + 1, o->shards);
}

static int open_shard(gp_hf_out *o, int shard)
{
    char *name = shard_name(o, shard), *path = o->shard_bytes ? gp_path_join(o->path, name) : gp_strdup(o->path);
    o->w = gp_safetensors_create(path);
    int rc = o->w ? o->metadata(o->self, o->w) : -1;
    for (int64_t i = 0; !rc && i < o->count; i++)
        if (o->list[i].shard == shard)
            rc = gp_safetensors_declare(o->w, o->list[i].name, &o->list[i].t);
    free(path);
    free(name);
    return rc;
}

static int finish_shard(gp_hf_out *o)
{
    gp_safetensors_writer *w = o->w;
    o->w = NULL;
    return w ? gp_safetensors_finish(w) : 0;
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
        if (o->list[o->next].shard != done->shard && (finish_shard(o) || open_shard(o, o->list[o->next].shard)))
            return -1;
    }
    return 0;
}

static int write_numbers(void *self, const float *x, int64_t count)
{
    enum { CHUNK = 1 << 15 };
    gp_hf_out *o = self;
    uint16_t part[CHUNK];
    if (advance(o))
        return -1;
    BUG_ON(count > o->left);
    o->left -= count;
    if (o->dtype == GP_F32)
        return gp_safetensors_write(o->w, x, count * (int64_t)sizeof *x);
    for (int64_t done = 0; done < count; done += CHUNK) {
        int64_t n = gp_min(count - done, CHUNK);
        gp_from_f32(part, o->dtype, x + done, n);
        if (gp_safetensors_write(o->w, part, n * gp_dtype_size(o->dtype)))
            return -1;
    }
    return 0;
}

gp_hf_out *gp_hf_out_open(gp_tensor_writer *w, const char *path, gp_store store, int64_t shard_bytes,
                          gp_hf_metadata_fn *metadata, const void *self)
{
    static const struct {
        gp_dtype dtype;
        float largest; /* finite number after rounding to nearest even */
    } stores[] = {[GP_STORE_F32] = {GP_F32, FLT_MAX},
                  [GP_STORE_BF16] = {GP_BF16, 0x1.fefffep127f},
                  [GP_STORE_F16] = {GP_F16, 0x1.ffdffep15f}};
    gp_hf_out *o = gp_calloc(1, sizeof *o);
    *o = (gp_hf_out){.path = gp_strdup(path),
                     .dtype = stores[store].dtype,
                     .shard_bytes = shard_bytes,
                     .metadata = metadata,
                     .self = self};
    *w = (gp_tensor_writer){o, declare, write_numbers, stores[store].largest};
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
    char *text = json_dumps(root, JSON_INDENT(2)), *path = gp_path_join(o->path, "model.safetensors.index.json");
    if (!text)
        die("out of memory");
    int rc = gp_file_replace(path, text, strlen(text));
    json_decref(root);
    free(text);
    free(path);
    return rc;
}

int gp_hf_out_close(gp_hf_out *o, bool failed)
{
    int rc = failed ? -1 : 0;
    if (failed)
        gp_safetensors_abort(o->w);
    else
        rc = finish_shard(o);
    if (!rc && o->shards > 1)
        rc = write_index(o);
    for (int64_t i = 0; i < o->count; i++)
        free(o->list[i].name);
    free(o->list);
    free(o->path);
    free(o);
    return rc;
}

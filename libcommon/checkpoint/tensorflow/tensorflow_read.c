/* tensorflow_read.c: a bundle as a container. */
#include "checkpoint/tensorflow/protobuf.h"
#include "checkpoint/tensorflow/table.h"
#include "checkpoint/tensorflow/tensorflow.h"

#include <stdlib.h>
#include <string.h>

/* Of BundleEntryProto, what is not in gp_stored. */
typedef struct bundle_entry {
    uint64_t shard, offset, size;
    uint32_t crc;
    bool summed; /* the CRC is of the tensor's bytes alone */
} bundle_entry;

typedef struct bundle {
    const char *path; /* of the index: the container's */
    gp_container *k;
    bundle_entry *entries; /* one for each of k's tensors */
    uint64_t shard_count;
    gp_map *shards; /* data NULL: not opened yet */
    bool has_header, has_slices;
} bundle;

/* DataType of types.proto. */
static const struct {
    const char *name;
    int bytes; /* of a number; 0: of any size */
    bool is_float;
    gp_dtype read_as, dtype; /* of the bytes; of a container */
} types[] = {
    [0] = {"DT_INVALID", 0, false, 0, 0},
    [1] = {"DT_FLOAT", 4, true, GP_F32, GP_F32},
    [2] = {"DT_DOUBLE", 8, true, GP_F64, GP_F32},
    [3] = {"DT_INT32", 4, false, 0, 0},
    [4] = {"DT_UINT8", 1, false, 0, 0},
    [5] = {"DT_INT16", 2, false, 0, 0},
    [6] = {"DT_INT8", 1, false, 0, 0},
    [7] = {"DT_STRING", 0, false, 0, 0},
    [8] = {"DT_COMPLEX64", 8, false, 0, 0},
    [9] = {"DT_INT64", 8, false, 0, 0},
    [10] = {"DT_BOOL", 1, false, 0, 0},
    [11] = {"DT_QINT8", 1, false, 0, 0},
    [12] = {"DT_QUINT8", 1, false, 0, 0},
    [13] = {"DT_QINT32", 4, false, 0, 0},
    [14] = {"DT_BFLOAT16", 2, true, GP_BF16, GP_BF16},
    [15] = {"DT_QINT16", 2, false, 0, 0},
    [16] = {"DT_QUINT16", 2, false, 0, 0},
    [17] = {"DT_UINT16", 2, false, 0, 0},
    [18] = {"DT_COMPLEX128", 16, false, 0, 0},
    [19] = {"DT_HALF", 2, true, GP_F16, GP_F16},
    [20] = {"DT_RESOURCE", 0, false, 0, 0},
    [21] = {"DT_VARIANT", 0, false, 0, 0},
    [22] = {"DT_UINT32", 4, false, 0, 0},
    [23] = {"DT_UINT64", 8, false, 0, 0},
};

static const char unknown_type[] = "a type unknown here";

static int type_of(const gp_stored *t)
{
    int i = 0;
    while (types[i].name != t->type)
        i++;
    return i;
}

/* ---- the index ------------------------------------------------------------------------------------------- */

static int read_header(bundle *b, gp_proto p)
{
    gp_proto_field f, v;
    uint64_t endianness = 0, consumer = 0;
    int rc;
    while ((rc = gp_proto_next(&p, &f)) > 0) {
        if (f.number == 1 && f.wire == GP_PROTO_VARINT)
            b->shard_count = f.value;
        if (f.number == 2 && f.wire == GP_PROTO_VARINT)
            endianness = f.value;
        if (f.number == 3 && f.wire == GP_PROTO_BYTES)
            while ((rc = gp_proto_next(&f.nested, &v)) > 0)
                if (v.number == 2 && v.wire == GP_PROTO_VARINT)
                    consumer = v.value;
        if (rc < 0)
            break;
    }
    if (rc)
        return fail("%s: is damaged: its BundleHeaderProto is malformed", b->path);
    if (endianness)
        return fail("%s: its numbers are big-endian, expected little-endian", b->path);
    if (consumer > 1)
        return fail("%s: is for readers of version %llu of the format, expected 1 at most", b->path,
                    (unsigned long long)consumer);
    b->has_header = true;
    return 0;
}

/* TensorShapeProto. 0, or -1: malformed, or of no known shape. */
static int read_shape(gp_stored *t, gp_proto p)
{
    gp_proto_field f, d;
    int rc;
    while ((rc = gp_proto_next(&p, &f)) > 0) {
        if (f.number == 3 && f.value)
            return -1;
        if (f.number != 2 || f.wire != GP_PROTO_BYTES)
            continue;
        int64_t size = 0;
        while ((rc = gp_proto_next(&f.nested, &d)) > 0)
            if (d.number == 1 && d.wire == GP_PROTO_VARINT)
                size = (int64_t)d.value;
        if (rc)
            return -1;
        if (t->ndim < GP_MAX_DIMS) /* gp_container_add refuses more */
            t->dim[t->ndim] = size;
        t->ndim += t->ndim <= GP_MAX_DIMS;
    }
    return rc;
}

/* BundleEntryProto. 0, or -1: malformed. */
static int read_entry(gp_proto p, gp_stored *t, bundle_entry *e, uint64_t *type, bool *sliced)
{
    gp_proto_field f;
    int rc;
    while ((rc = gp_proto_next(&p, &f)) > 0) {
        if (f.number == 1 && f.wire == GP_PROTO_VARINT)
            *type = f.value;
        else if (f.number == 2 && f.wire == GP_PROTO_BYTES && read_shape(t, f.nested))
            return -1;
        else if (f.number == 3 && f.wire == GP_PROTO_VARINT)
            e->shard = f.value;
        else if (f.number == 4 && f.wire == GP_PROTO_VARINT)
            e->offset = f.value;
        else if (f.number == 5 && f.wire == GP_PROTO_VARINT)
            e->size = f.value;
        else if (f.number == 6 && f.wire == GP_PROTO_FIXED32)
            e->crc = (uint32_t)f.value;
        else if (f.number == 7)
            *sliced = true;
    }
    return rc;
}

static int add_tensor(bundle *b, const char *name, size_t n, gp_proto p)
{
    gp_stored t = {0};
    bundle_entry e = {0};
    uint64_t type = 0;
    bool sliced = false;
    int64_t i = b->k->count;
    int length = (int)gp_min((int64_t)n, 200);
    if (read_entry(p, &t, &e, &type, &sliced))
        return fail("%s: is damaged: the BundleEntryProto of tensor %.*s is malformed", b->path, length, name);
    if (sliced)
        return fail("%s: tensor %.*s is stored in slices (a partitioned variable), which are not read", b->path, length,
                    name);
    t.type = unknown_type;
    if (type < ARRAY_LEN(types)) {
        t.type = types[type].name;
        t.is_float = types[type].is_float;
        t.dtype = types[type].dtype;
    }
    if (gp_container_add(b->k, name, n, &t))
        return -1;
    int64_t bytes = type < ARRAY_LEN(types) ? types[type].bytes : 0;
    e.summed = bytes > 0;
    if (bytes && (!gp_mul(b->k->tensors[i].elements, bytes, &bytes) || e.size != (uint64_t)bytes))
        return fail("%s: tensor %s takes %llu bytes, expected %lld by its shape", b->path, b->k->tensors[i].name,
                    (unsigned long long)e.size, (long long)bytes);
    b->entries = gp_grow(b->entries, i, sizeof *b->entries);
    b->entries[i] = e;
    return 0;
}

static int read_index_entry(void *self, const char *key, size_t key_size, const char *value, size_t value_size)
{
    bundle *b = self;
    gp_proto p = gp_proto_of(value, value_size);
    if (!key_size)
        return read_header(b, p);
    if (!key[0]) { /* a slice; the entry of its variable, which is refused by its name, comes after all slices */
        b->has_slices = true;
        return 0;
    }
    return b->has_header ? add_tensor(b, key, key_size, p)
                         : fail("%s: is damaged: it begins with no BundleHeaderProto", b->path);
}

static int read_index(bundle *b)
{
    gp_map map;
    if (gp_map_open(&map, b->path))
        return -1;
    int rc = gp_table_read(map.data, map.size, b->path, read_index_entry, b);
    gp_map_close(&map);
    if (!rc && b->has_slices)
        rc = fail("%s: is damaged: it has slices of a variable that it has not", b->path);
    return rc ? rc : gp_container_index(b->k);
}

/* ---- the shards ------------------------------------------------------------------------------------------ */

static char *shard_path(const bundle *b, uint64_t shard)
{
    int prefix = (int)(strlen(b->path) - strlen(".index"));
    return gp_format("%.*s.data-%05llu-of-%05llu", prefix, b->path, (unsigned long long)shard,
                     (unsigned long long)b->shard_count);
}

/* Opens the shard of tensor i and checks that the tensor lies in it. */
static int check_place(bundle *b, int64_t i)
{
    const bundle_entry *e = &b->entries[i];
    const char *name = b->k->tensors[i].name;
    if (e->shard >= b->shard_count)
        return fail("%s: tensor %s is in shard %llu, expected one below %llu", b->path, name,
                    (unsigned long long)e->shard, (unsigned long long)b->shard_count);
    char *path = shard_path(b, e->shard);
    gp_map *map = &b->shards[e->shard];
    int rc = map->data ? 0 : gp_map_open(map, path);
    if (!rc && (e->offset > map->size || e->size > map->size - e->offset))
        rc = fail("%s: is truncated: tensor %s takes %llu bytes from byte %llu on, the file has %zu", path, name,
                  (unsigned long long)e->size, (unsigned long long)e->offset, map->size);
    free(path);
    return rc;
}

/* A shard without a tensor is not written by TensorFlow; so their number says how much memory they may take. */
static int open_shards(bundle *b)
{
    if (!b->k->count)
        return fail("%s: has no tensors", b->path);
    if (!b->shard_count || b->shard_count > (uint64_t)b->k->count)
        return fail("%s: has %llu shards for %lld tensors, expected one at least, and no more than tensors", b->path,
                    (unsigned long long)b->shard_count, (long long)b->k->count);
    b->shards = gp_calloc(b->shard_count, sizeof *b->shards);
    int rc = 0;
    for (int64_t i = 0; !rc && i < b->k->count; i++)
        rc = check_place(b, i);
    return rc;
}

/* ---- the container --------------------------------------------------------------------------------------- */

static const char *bytes_of(const bundle *b, int64_t i)
{
    return b->shards[b->entries[i].shard].data + b->entries[i].offset;
}

static int read_numbers(void *self, int64_t i, int64_t first, int64_t count, float *data)
{
    const bundle *b = self;
    gp_dtype dtype = types[type_of(&b->k->tensors[i])].read_as;
    gp_to_f32(data, bytes_of(b, i) + first * gp_dtype_size(dtype), dtype, count);
    return 0;
}

static const void *data(void *self, int64_t i, gp_dtype *dtype)
{
    const bundle *b = self;
    *dtype = types[type_of(&b->k->tensors[i])].read_as;
    return *dtype == GP_F64 ? NULL : bytes_of(b, i);
}

static int verify(void *self, int64_t i)
{
    const bundle *b = self;
    const bundle_entry *e = &b->entries[i];
    if (!e->summed)
        return 0;
    uint32_t found = gp_crc32c_mask(gp_crc32c(0, bytes_of(b, i), e->size));
    if (found == e->crc)
        return 1;
    char *path = shard_path(b, e->shard);
    int rc = fail("%s: tensor %s is damaged: its masked CRC-32C is %08x, the index has %08x", path,
                  b->k->tensors[i].name, found, e->crc);
    free(path);
    return rc;
}

static void forget(void *self, int64_t i)
{
    const bundle *b = self;
    gp_map_drop_pages(bytes_of(b, i), b->entries[i].size);
}

static void close_bundle(void *self)
{
    bundle *b = self;
    for (uint64_t i = 0; b->shards && i < b->shard_count; i++)
        if (b->shards[i].data)
            gp_map_close(&b->shards[i]);
    free(b->shards);
    free(b->entries);
    free(b);
}

static const gp_container_ops ops = {
    .format = "TensorFlow",
    .float_types = "DT_FLOAT, DT_HALF, DT_BFLOAT16 or DT_DOUBLE",
    .read = read_numbers,
    .data = data,
    .verify = verify,
    .forget = forget,
    .concurrent = true,
    .close = close_bundle,
};

gp_container *gp_tensorflow_read(const char *index)
{
    size_t n = strlen(index), suffix = strlen(".index");
    if (n <= suffix || strcmp(index + n - suffix, ".index"))
        return fail("%s: the index of a TensorFlow checkpoint has a name that ends in .index", index), NULL;
    bundle *b = gp_calloc(1, sizeof *b);
    b->k = gp_container_new(index, &ops, b);
    b->path = b->k->path;
    gp_container *k = b->k;
    if (!read_index(b) && !open_shards(b))
        return k;
    gp_container_close(k);
    return NULL;
}

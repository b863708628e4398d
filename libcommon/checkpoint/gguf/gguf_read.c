/* gguf_read.c: a GGUF file as a container. Every count and length is compared with the bytes that are left before
 * memory is taken for it: memory is a small multiple of the file's size, and time is linear in it but for sorting. */
#include "checkpoint/gguf/gguf.h"

#include <stdlib.h>
#include <string.h>

enum {
    MAX_NESTING = 4, /* of arrays in arrays; ggml writes none */
    MAX_GGML_DIMS = 4,
    MIN_PAIR = 8 + 1 + 4 + 1,    /* bytes of the shortest metadata pair */
    MIN_TENSOR = 8 + 1 + 4 + 12, /* and of the shortest tensor info */
};

/* The bytes of the file that are not read yet, and what they are part of, for messages. */
typedef struct cursor {
    const char *path, *at, *end;
    const char *what; /* "metadata pair", "tensor"; NULL: the header */
    int64_t index;    /* of how many */
} cursor;

static int truncated(const cursor *c, uint64_t needed)
{
    if (!c->what)
        return fail("%s: is truncated: it ends within the header", c->path);
    return fail("%s: %s %lld ends beyond the end of the file (found %lld bytes, expected %llu)", c->path, c->what,
                (long long)c->index, (long long)(c->end - c->at), (unsigned long long)needed);
}

static int take(cursor *c, void *to, size_t n)
{
    if ((size_t)(c->end - c->at) < n)
        return truncated(c, n);
    memcpy(to, c->at, n);
    c->at += n;
    return 0;
}

/* count things of at least `size` bytes each follow. */
static int check_count(const cursor *c, uint64_t count, int size)
{
    if (count <= (uint64_t)(c->end - c->at) / (uint64_t)size)
        return 0;
    return fail("%s: %s %lld: a count of %llu is more than the file has room for (%lld bytes are left)", c->path,
                c->what, (long long)c->index, (unsigned long long)count, (long long)(c->end - c->at));
}

static int take_string(cursor *c, const char **text, size_t *length)
{
    uint64_t n = 0;
    if (take(c, &n, sizeof n))
        return -1;
    if (n > (uint64_t)(c->end - c->at))
        return truncated(c, n);
    *text = c->at;
    *length = (size_t)n;
    c->at += n;
    return 0;
}

static int take_type(cursor *c, gp_gguf_type *type)
{
    uint32_t t = 0;
    if (take(c, &t, sizeof t))
        return -1;
    if (t >= GP_GGUF_TYPES)
        return fail("%s: %s %lld has a value of type %u, expected 0 to %d", c->path, c->what, (long long)c->index, t,
                    GP_GGUF_TYPES - 1);
    *type = (gp_gguf_type)t;
    return 0;
}

static int skip_array(cursor *c, gp_gguf_type item, int64_t count, int depth);

/* An array's header, then its items. */
static int take_array(cursor *c, gp_gguf_type *item, int64_t *count, const char **data, int depth)
{
    uint64_t n = 0;
    if (depth == MAX_NESTING)
        return fail("%s: %s %lld has arrays in arrays, more than %d deep", c->path, c->what, (long long)c->index,
                    MAX_NESTING);
    if (take_type(c, item) || take(c, &n, sizeof n))
        return -1;
    int size = gp_gguf_value_size(*item);
    if (check_count(c, n, size ? size : *item == GP_GGUF_STRING ? 8 : 12))
        return -1;
    *count = (int64_t)n;
    *data = c->at;
    return skip_array(c, *item, *count, depth);
}

static int skip_array(cursor *c, gp_gguf_type item, int64_t count, int depth)
{
    int size = gp_gguf_value_size(item);
    if (size) {
        c->at += count * size;
        return 0;
    }
    for (int64_t i = 0; i < count; i++) {
        const char *data;
        size_t length;
        gp_gguf_type inner;
        int64_t inner_count;
        if (item == GP_GGUF_STRING ? take_string(c, &data, &length)
                                   : take_array(c, &inner, &inner_count, &data, depth + 1))
            return -1;
    }
    return 0;
}

static int take_value(cursor *c, gp_gguf_pair *p)
{
    size_t length;
    if (take_type(c, &p->type))
        return -1;
    if (p->type == GP_GGUF_ARRAY)
        return take_array(c, &p->item, &p->count, &p->data, 0);
    if (p->type == GP_GGUF_STRING) {
        if (take_string(c, &p->data, &length))
            return -1;
        p->count = (int64_t)length;
        return 0;
    }
    int size = gp_gguf_value_size(p->type);
    if (c->end - c->at < size)
        return truncated(c, (uint64_t)size);
    p->data = c->at;
    p->count = 1;
    c->at += size;
    return 0;
}

static int take_key(cursor *c, gp_gguf_pair *p)
{
    if (take_string(c, &p->key, &p->key_length))
        return -1;
    bool printable = p->key_length > 0 && p->key_length <= UINT16_MAX;
    for (size_t i = 0; printable && i < p->key_length; i++)
        printable = p->key[i] > ' ' && p->key[i] <= '~';
    if (!printable)
        return fail("%s: the key of metadata pair %lld is not a word of printable ASCII", c->path, (long long)c->index);
    return 0;
}

static int by_key(const void *a, const void *b)
{
    const gp_gguf_pair *x = a, *y = b;
    return gp_compare_bytes(x->key, x->key_length, y->key, y->key_length);
}

static int read_pairs(gp_gguf *g, cursor *c, uint64_t count)
{
    c->what = "metadata pair";
    if (check_count(c, count, MIN_PAIR))
        return -1;
    g->pairs = gp_calloc((size_t)count, sizeof *g->pairs);
    for (; (uint64_t)c->index < count; c->index++) {
        gp_gguf_pair *p = &g->pairs[g->pair_count++];
        if (take_key(c, p) || take_value(c, p))
            return -1;
    }
    qsort(g->pairs, (size_t)count, sizeof *g->pairs, by_key);
    for (int64_t i = 1; i < g->pair_count; i++)
        if (!by_key(&g->pairs[i - 1], &g->pairs[i]))
            return fail("%s: has the metadata key %.*s twice", g->path, (int)g->pairs[i].key_length, g->pairs[i].key);
    return 0;
}

/* ---- tensors --------------------------------------------------------------------------------------------- */

/* A tensor info, without its place. */
typedef struct info {
    const char *name;
    size_t name_length;
    uint32_t type;
    uint64_t offset;
    gp_stored stored;
} info;

static int take_info(cursor *c, info *t)
{
    uint32_t ndim = 0;
    *t = (info){0};
    if (take_string(c, &t->name, &t->name_length) || take(c, &ndim, sizeof ndim))
        return -1;
    if (ndim > MAX_GGML_DIMS)
        return fail("%s: tensor %lld has %u dimensions, expected at most %d", c->path, (long long)c->index, ndim,
                    MAX_GGML_DIMS);
    t->stored.ndim = (int)ndim;
    for (int i = (int)ndim - 1; i >= 0; i--) {
        uint64_t dim = 0;
        if (take(c, &dim, sizeof dim))
            return -1;
        if (dim > INT64_MAX)
            return fail("%s: tensor %lld: its shape overflows", c->path, (long long)c->index);
        t->stored.dim[i] = (int64_t)dim;
    }
    return take(c, &t->type, sizeof t->type) || take(c, &t->offset, sizeof t->offset) ? -1 : 0;
}

/* Adds it to the container; its bytes, from its shape. */
static int add_tensor(gp_container *k, gp_gguf *g, info *t)
{
    gp_gguf_tensor *tensor = &g->tensors[g->tensor_count++];
    const gp_gguf_block *block = gp_gguf_block_of(t->type);
    *tensor = (gp_gguf_tensor){.type = t->type};
    if (!block->name)
        tensor->type_name = gp_format("type %u", t->type);
    t->stored.type = block->name ? block->name : tensor->type_name;
    t->stored.is_float = block->read != NULL;
    t->stored.dtype = block->dtype;
    if (gp_container_add(k, t->name, t->name_length, &t->stored))
        return -1;
    const gp_stored *s = &k->tensors[k->count - 1];
    int64_t row = s->ndim ? s->dim[s->ndim - 1] : 1;
    if (!block->name)
        return 0;
    if (row % block->elements)
        return fail("%s: tensor %s is %s, whose rows are multiples of %d numbers (found %lld)", k->path, s->name,
                    s->type, block->elements, (long long)row);
    if (!gp_mul(s->elements / block->elements, block->bytes, &tensor->bytes))
        return fail("%s: tensor %s: its size overflows", k->path, s->name);
    return 0;
}

/* Its place in the data, which begins at `begin`. */
static int place_tensor(const gp_container *k, gp_gguf *g, int64_t i, uint64_t offset, const char *begin,
                        int64_t alignment)
{
    gp_gguf_tensor *t = &g->tensors[i];
    const char *end = g->map.data + g->map.size;
    uint64_t room = begin < end ? (uint64_t)(end - begin) : 0;
    if (offset % (uint64_t)alignment)
        return fail("%s: tensor %s is at offset %llu, expected a multiple of the alignment, %lld", k->path,
                    k->tensors[i].name, (unsigned long long)offset, (long long)alignment);
    if (offset > room || (uint64_t)t->bytes > room - offset)
        return fail("%s: tensor %s is %lld bytes at offset %llu of the data, of which the file has %llu: it is "
                    "truncated",
                    k->path, k->tensors[i].name, (long long)t->bytes, (unsigned long long)offset,
                    (unsigned long long)room);
    t->data = t->type_name ? NULL : begin + offset;
    return 0;
}

typedef struct tensor_place {
    const gp_gguf_tensor *t;
    const char *name;
} tensor_place;

static int by_place(const void *a, const void *b)
{
    const gp_gguf_tensor *x = ((const tensor_place *)a)->t, *y = ((const tensor_place *)b)->t;
    return (x->data > y->data) - (x->data < y->data);
}

static int check_overlaps(const gp_container *k, const gp_gguf *g)
{
    tensor_place *places = gp_calloc((size_t)g->tensor_count, sizeof *places);
    int64_t n = 0;
    int rc = 0;
    for (int64_t i = 0; i < g->tensor_count; i++)
        if (g->tensors[i].bytes)
            places[n++] = (tensor_place){&g->tensors[i], k->tensors[i].name};
    qsort(places, (size_t)n, sizeof *places, by_place);
    for (int64_t i = 1; i < n && !rc; i++)
        if (places[i - 1].t->data + places[i - 1].t->bytes > places[i].t->data)
            rc = fail("%s: tensors %s and %s overlap", k->path, places[i - 1].name, places[i].name);
    free(places);
    return rc;
}

static int read_alignment(const gp_gguf *g, int64_t *alignment)
{
    *alignment = 32;
    if (gp_gguf_integer(g, "general.alignment", alignment) < 0)
        return -1;
    if (*alignment < 1 || *alignment & (*alignment - 1) || *alignment > INT32_MAX)
        return fail("%s: general.alignment is %lld, expected a power of two", g->path, (long long)*alignment);
    return 0;
}

static int read_tensors(gp_container *k, gp_gguf *g, cursor *c, uint64_t count)
{
    int64_t alignment;
    uint64_t *offsets = NULL;
    int rc = -1;
    c->what = "tensor";
    c->index = 0;
    if (read_alignment(g, &alignment) || check_count(c, count, MIN_TENSOR))
        return -1;
    g->tensors = gp_calloc((size_t)count, sizeof *g->tensors);
    offsets = gp_calloc((size_t)count, sizeof *offsets);
    for (; (uint64_t)c->index < count; c->index++) {
        info t;
        if (take_info(c, &t) || add_tensor(k, g, &t))
            goto out;
        offsets[c->index] = t.offset;
    }
    size_t header = gp_round_up((size_t)(c->at - g->map.data), (size_t)alignment);
    const char *begin = g->map.data + (header < g->map.size ? header : g->map.size);
    for (int64_t i = 0; i < g->tensor_count; i++)
        if (place_tensor(k, g, i, offsets[i], begin, alignment))
            goto out;
    rc = gp_container_index(k) || check_overlaps(k, g) ? -1 : 0;
out:
    free(offsets);
    return rc;
}

/* ---- the container --------------------------------------------------------------------------------------- */

static int read_numbers(void *self, int64_t i, int64_t first, int64_t count, float *data)
{
    const gp_gguf *g = self;
    const gp_gguf_block *block = gp_gguf_block_of(g->tensors[i].type);
    float one[256];
    while (count) {
        int64_t within = first % block->elements, n = gp_min(count, block->elements - within);
        const uint8_t *from = (const uint8_t *)g->tensors[i].data + first / block->elements * block->bytes;
        if (n == block->elements) {
            n = count - count % block->elements;
            block->read(from, n / block->elements, data);
        } else {
            block->read(from, 1, one);
            memcpy(data, one + within, (size_t)n * sizeof *data);
        }
        data += n;
        first += n;
        count -= n;
    }
    return 0;
}

static const void *data(void *self, int64_t i, gp_dtype *dtype)
{
    const gp_gguf *g = self;
    uint32_t type = g->tensors[i].type;
    *dtype = gp_gguf_block_of(type)->dtype;
    return type == GP_GGML_F32 || type == GP_GGML_F16 || type == GP_GGML_BF16 ? g->tensors[i].data : NULL;
}

static void forget(void *self, int64_t i)
{
    const gp_gguf *g = self;
    if (g->tensors[i].data)
        gp_map_drop_pages(g->tensors[i].data, (size_t)g->tensors[i].bytes);
}

static bool metadata(void *self, int64_t i, const char **key, gp_buf *value)
{
    gp_gguf *g = self;
    if (i >= g->pair_count)
        return false;
    free(g->shown_key);
    *key = g->shown_key = gp_strndup(g->pairs[i].key, g->pairs[i].key_length);
    if (g->pairs[i].type == GP_GGUF_STRING)
        gp_buf_add(value, g->pairs[i].data, (size_t)g->pairs[i].count);
    else
        gp_gguf_print(value, &g->pairs[i]);
    return true;
}

static void close_file(void *self)
{
    gp_gguf *g = self;
    free(g->shown_key);
    for (int64_t i = 0; i < g->tensor_count; i++)
        free(g->tensors[i].type_name);
    free(g->tensors);
    free(g->pairs);
    free(g->path);
    gp_map_close(&g->map);
    free(g);
}

static const gp_container_ops ops = {
    .format = "GGUF",
    .float_types = "F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K or Q6_K",
    .read = read_numbers,
    .data = data,
    .metadata = metadata,
    .forget = forget,
    .concurrent = true,
    .close = close_file,
};

const gp_gguf *gp_gguf_of(const gp_container *k)
{
    return k->ops == &ops ? k->self : NULL;
}

bool gp_is_gguf(const char *head, size_t size)
{
    return size >= 4 && !memcmp(head, "GGUF", 4);
}

/* A big-endian file has its version's bytes in the other order. */
static int read_version(gp_gguf *g, cursor *c)
{
    char magic[4];
    uint32_t v = 0;
    if (take(c, magic, sizeof magic) || !gp_is_gguf(magic, sizeof magic))
        return fail("%s: is not a GGUF file", g->path);
    if (take(c, &v, sizeof v))
        return -1;
    if (v && !(v & 0xffff))
        return fail("%s: is a big-endian GGUF file; only little-endian ones are read", g->path);
    if (v != 2 && v != 3)
        return fail("%s: is GGUF version %u; versions 2 and 3 are read", g->path, v);
    g->version = v;
    return 0;
}

gp_container *gp_gguf_read(gp_map *map, const char *path)
{
    gp_gguf *g = gp_calloc(1, sizeof *g);
    *g = (gp_gguf){.path = gp_strdup(path), .map = *map};
    *map = (gp_map){0};
    gp_container *k = gp_container_new(path, &ops, g);
    cursor c = {.path = k->path, .at = g->map.data, .end = g->map.data + g->map.size};
    uint64_t tensors = 0, pairs = 0;
    if (read_version(g, &c) || take(&c, &tensors, sizeof tensors) || take(&c, &pairs, sizeof pairs) ||
        read_pairs(g, &c, pairs) || read_tensors(k, g, &c, tensors)) {
        gp_container_close(k);
        return NULL;
    }
    return k;
}

/* llmc_read.c: llm.c's model file as a container. */
#include "checkpoint/llmc/llmc.h"

#include <stdlib.h>
#include <string.h>

enum { HEADER_BYTES = 4 * GP_LLMC_MODEL_HEADER };

typedef struct model_file {
    gp_map map;
    gp_llmc_header h;
    int64_t *offset; /* of each of the container's tensors, in bytes */
    const gp_container *k;
} model_file;

static int32_t header_word(const char *data, int i)
{
    int32_t x;
    memcpy(&x, data + 4 * i, sizeof x);
    return x;
}

/* The words of the header that the model is made of, from word 2 on. */
static const struct {
    const char *name;
    size_t offset; /* in gp_llmc_header */
} words[] = {
    {"max_seq_len", offsetof(gp_llmc_header, positions)},
    {"vocab_size", offsetof(gp_llmc_header, vocab_size)},
    {"num_layers", offsetof(gp_llmc_header, layers)},
    {"num_heads", offsetof(gp_llmc_header, heads)},
    {"channels", offsetof(gp_llmc_header, channels)},
    {"padded_vocab_size", offsetof(gp_llmc_header, padded_vocab_size)},
};

static int64_t *word_of(gp_llmc_header *h, int64_t i)
{
    return (int64_t *)(void *)((char *)h + words[i].offset);
}

static int read_header(gp_llmc_header *h, const char *data, size_t size, const char *path)
{
    if (size < HEADER_BYTES)
        return fail("%s: is truncated: llm.c's header takes %d bytes, there are %zu", path, HEADER_BYTES, size);
    if (header_word(data, 0) != GP_LLMC_MODEL_MAGIC)
        return fail("%s: is not llm.c's model file (magic %d, expected %d)", path, header_word(data, 0),
                    GP_LLMC_MODEL_MAGIC);
    int version = header_word(data, 1);
    if (version != 3 && version != 5)
        return fail("%s: is version %d of llm.c's model file, expected 3 (fp32) or 5 (bf16)", path, version);
    h->dtype = version == 3 ? GP_F32 : GP_BF16;
    for (int i = 0; i < (int)ARRAY_LEN(words); i++) {
        int64_t *word = word_of(h, i);
        *word = header_word(data, 2 + i);
        if (*word < 1)
            return fail("%s: %s is %lld, expected at least 1", path, words[i].name, (long long)*word);
    }
    if (h->padded_vocab_size < h->vocab_size)
        return fail("%s: padded_vocab_size is %lld, expected at least vocab_size, %lld", path,
                    (long long)h->padded_vocab_size, (long long)h->vocab_size);
    return 0;
}

/* Whether the file has the size that its header gives it. */
static int check_size(const gp_llmc_header *h, int64_t size, const char *path)
{
    int64_t expected = HEADER_BYTES;
    for (int i = 0; i < GP_LLMC_TENSORS; i++) {
        gp_llmc_tensor t = gp_llmc_tensor_of(h, i);
        int64_t n;
        if (!gp_mul(t.dim[0], t.dim[1], &n) || !gp_mul(n, t.in_layer ? h->layers : 1, &n) ||
            !gp_mul(n, gp_dtype_size(h->dtype), &n) || __builtin_add_overflow(expected, n, &expected))
            return fail("%s: the sizes in its header overflow (at %s)", path, t.name);
    }
    if (size != expected)
        return fail("%s: %s: its header describes %lld bytes, there are %lld", path,
                    size < expected ? "is truncated" : "has something after its last tensor", (long long)expected,
                    (long long)size);
    return 0;
}

static int read_numbers(void *self, int64_t i, int64_t first, int64_t count, float *data)
{
    const model_file *s = self;
    gp_to_f32(data, s->map.data + s->offset[i] + first * gp_dtype_size(s->h.dtype), s->h.dtype, count);
    return 0;
}

static const void *data(void *self, int64_t i, gp_dtype *dtype)
{
    const model_file *s = self;
    *dtype = s->h.dtype;
    return s->map.data + s->offset[i];
}

static void forget(void *self, int64_t i)
{
    const model_file *s = self;
    gp_map_drop_pages(s->map.data + s->offset[i], (size_t)(s->k->tensors[i].elements * gp_dtype_size(s->h.dtype)));
}

static bool metadata(void *self, int64_t i, const char **key, gp_buf *value)
{
    model_file *s = self;
    if (i >= (int64_t)ARRAY_LEN(words))
        return false;
    *key = words[i].name;
    gp_buf_printf(value, "%lld", (long long)*word_of(&s->h, i));
    return true;
}

static void close_file(void *self)
{
    model_file *s = self;
    gp_map_close(&s->map);
    free(s->offset);
    free(s);
}

static const gp_container_ops ops = {
    .format = "llm.c",
    .float_types = "F32 or BF16",
    .read = read_numbers,
    .data = data,
    .metadata = metadata,
    .forget = forget,
    .concurrent = true,
    .close = close_file,
};

/* Every layer's slice of every tensor. The file's size is checked, so no offset overflows, and there are not more
 * tensors than numbers. */
static int list_tensors(gp_container *k, model_file *s)
{
    const gp_llmc_header *h = &s->h;
    int64_t at = HEADER_BYTES, count = 0;
    char name[GP_LLMC_NAME];
    s->offset = gp_calloc((size_t)(GP_LLMC_TENSORS * h->layers), sizeof *s->offset);
    for (int i = 0; i < GP_LLMC_TENSORS; i++) {
        gp_llmc_tensor t = gp_llmc_tensor_of(h, i);
        gp_stored stored = {.type = gp_dtype_name(h->dtype), .is_float = true, .dtype = h->dtype, .ndim = t.ndim};
        memcpy(stored.dim, t.dim, sizeof t.dim);
        for (int64_t layer = 0; layer < (t.in_layer ? h->layers : 1); layer++) {
            const char *text = gp_llmc_name(&t, layer, name);
            if (gp_container_add(k, text, strlen(text), &stored))
                return -1;
            s->offset[count++] = at;
            at += k->tensors[k->count - 1].elements * gp_dtype_size(h->dtype);
        }
    }
    return gp_container_index(k);
}

gp_container *gp_llmc_read(gp_map *map, const char *path)
{
    model_file *s = gp_calloc(1, sizeof *s);
    gp_container *k = gp_container_new(path, &ops, s);
    s->map = *map;
    s->k = k;
    if (!read_header(&s->h, map->data, map->size, path) && !check_size(&s->h, (int64_t)map->size, path) &&
        !list_tensors(k, s))
        return k;
    gp_container_close(k);
    return NULL;
}

const gp_llmc_header *gp_llmc_header_of(const gp_container *k)
{
    return &((const model_file *)k->self)->h;
}

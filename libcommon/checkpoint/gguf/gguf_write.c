/* gguf_write.c: a GGUF file being written, from its first byte to its last: the sizes of all tensors are known before
 * their numbers come, so a pipe will do. */
#include "base/file.h"
#include "checkpoint/gguf/gguf.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 32, VERSION = 3 };

/* A declared tensor. */
typedef struct gguf_output {
    uint32_t type;
    int64_t elements;
} gguf_output;

struct gp_gguf_writer {
    gp_out *out;
    gp_store store;
    gp_tensor_writer tensors;
    gp_buf pairs, infos; /* as they will stand in the file */
    int64_t pair_count;
    int64_t odd;     /* matrices whose rows are no whole blocks */
    char *first_odd; /* name of the first one or NULL */
    char *warning;   /* or NULL */
    gguf_output *list;
    int64_t count, current; /* of the list; the tensor that is being written */
    int64_t done;           /* numbers of it */
    int64_t bytes;          /* of the data so far, padding included; while declaring: of all of it */
    bool begun;
};

/* ---- metadata -------------------------------------------------------------------------------------------- */

static void add_string(gp_buf *b, const char *text, size_t length)
{
    gp_buf_number(b, length, 8);
    gp_buf_add(b, text, length);
}

static gp_buf *begin_pair(gp_gguf_writer *w, const char *key, gp_gguf_type type)
{
    BUG_ON(w->begun);
    w->pair_count++;
    add_string(&w->pairs, key, strlen(key));
    gp_buf_number(&w->pairs, type, 4);
    return &w->pairs;
}

void gp_gguf_put_text(gp_gguf_writer *w, const char *key, const char *text, size_t length)
{
    add_string(begin_pair(w, key, GP_GGUF_STRING), text, length);
}

void gp_gguf_put_uint32(gp_gguf_writer *w, const char *key, uint32_t v)
{
    gp_buf_number(begin_pair(w, key, GP_GGUF_UINT32), v, 4);
}

void gp_gguf_put_float32(gp_gguf_writer *w, const char *key, float v)
{
    gp_buf_add(begin_pair(w, key, GP_GGUF_FLOAT32), &v, sizeof v);
}

void gp_gguf_put_bool(gp_gguf_writer *w, const char *key, bool v)
{
    gp_buf_add(begin_pair(w, key, GP_GGUF_BOOL), &(uint8_t){v}, 1);
}

void gp_gguf_put_array(gp_gguf_writer *w, const char *key, gp_gguf_type item, int64_t count)
{
    gp_buf_number(begin_pair(w, key, GP_GGUF_ARRAY), item, 4);
    gp_buf_number(&w->pairs, (uint64_t)count, 8);
}

void gp_gguf_add_string(gp_gguf_writer *w, const char *text, size_t length)
{
    add_string(&w->pairs, text, length);
}

void gp_gguf_add_int32(gp_gguf_writer *w, int32_t v)
{
    gp_buf_number(&w->pairs, (uint32_t)v, 4);
}

/* ---- tensors --------------------------------------------------------------------------------------------- */

/* llama.cpp's converter and its quantizer store vectors and the tables of positions and types in F32, and rows that
 * are no whole blocks in F16. */
static uint32_t type_of(gp_gguf_writer *w, const char *name, int ndim, const int64_t *dim)
{
    static const uint32_t types[] = {[GP_STORE_F32] = GP_GGML_F32,
                                     [GP_STORE_BF16] = GP_GGML_BF16,
                                     [GP_STORE_F16] = GP_GGML_F16,
                                     [GP_STORE_Q8_0] = GP_GGML_Q8_0};
    uint32_t type = types[w->store];
    if (ndim < 2 || !strcmp(name, "position_embd.weight") || !strcmp(name, "token_types.weight"))
        return GP_GGML_F32;
    if (dim[ndim - 1] % gp_gguf_block_of(type)->elements == 0)
        return type;
    if (!w->odd++)
        w->first_odd = gp_strdup(name);
    return GP_GGML_F16;
}

static int declare(void *self, const char *name, int ndim, const int64_t *dim)
{
    gp_gguf_writer *w = self;
    gguf_output d = {.type = type_of(w, name, ndim, dim), .elements = 1};
    const gp_gguf_block *block = gp_gguf_block_of(d.type);
    BUG_ON(w->begun);
    add_string(&w->infos, name, strlen(name));
    gp_buf_number(&w->infos, (uint32_t)ndim, 4);
    for (int i = ndim - 1; i >= 0; i--) {
        gp_buf_number(&w->infos, (uint64_t)dim[i], 8);
        d.elements *= dim[i];
    }
    gp_buf_number(&w->infos, d.type, 4);
    gp_buf_number(&w->infos, (uint64_t)w->bytes, 8);
    w->bytes += (int64_t)gp_round_up((size_t)(d.elements / block->elements * block->bytes), ALIGNMENT);
    w->list = gp_realloc(w->list, (size_t)w->count + 1, sizeof *w->list);
    w->list[w->count++] = d;
    return 0;
}

static int pad(gp_gguf_writer *w)
{
    static const char zeros[ALIGNMENT];
    size_t at = (size_t)w->out->written;
    return gp_out_write(w->out, zeros, gp_round_up(at, ALIGNMENT) - at);
}

static int begin(gp_gguf_writer *w)
{
    gp_buf header = {0};
    w->begun = true;
    gp_buf_puts(&header, "GGUF");
    gp_buf_number(&header, VERSION, 4);
    gp_buf_number(&header, (uint64_t)w->count, 8);
    gp_buf_number(&header, (uint64_t)w->pair_count, 8);
    int rc = gp_out_write(w->out, header.data, header.len) || gp_out_write(w->out, w->pairs.data, w->pairs.len) ||
             gp_out_write(w->out, w->infos.data, w->infos.len) || pad(w);
    gp_buf_release(&header);
    return rc ? -1 : 0;
}

static int put(void *self, const void *data, size_t bytes)
{
    return gp_out_write(self, data, bytes);
}

static int write_q8_0(gp_gguf_writer *w, const gp_gguf_block *block, const float *x, int64_t count)
{
    enum { CHUNK = 1 << 14 };
    uint8_t stored[2 * CHUNK];
    BUG_ON(count % block->elements);
    for (int64_t done = 0; done < count; done += CHUNK) {
        int64_t n = gp_min(count - done, CHUNK);
        gp_gguf_write_q8_0(stored, x + done, n);
        if (gp_out_write(w->out, stored, (size_t)(n / block->elements * block->bytes)))
            return -1;
    }
    return 0;
}

/* Tensors that have all their numbers, or none. */
static void skip_complete(gp_gguf_writer *w)
{
    while (w->current < w->count && w->done == w->list[w->current].elements) {
        w->current++;
        w->done = 0;
    }
}

static int write(void *self, const float *x, int64_t count)
{
    gp_gguf_writer *w = self;
    if (!w->begun && begin(w))
        return -1;
    skip_complete(w);
    BUG_ON(w->current == w->count || count > w->list[w->current].elements - w->done);
    uint32_t type = w->list[w->current].type;
    const gp_gguf_block *block = gp_gguf_block_of(type);
    if (type == GP_GGML_Q8_0 ? write_q8_0(w, block, x, count) : gp_put_numbers(block->dtype, x, count, put, w->out))
        return -1;
    w->done += count;
    return w->done == w->list[w->current].elements ? pad(w) : 0;
}

/* ---- the file -------------------------------------------------------------------------------------------- */

gp_gguf_writer *gp_gguf_writer_new(gp_out *out, gp_store store)
{
    gp_gguf_writer *w = gp_calloc(1, sizeof *w);
    *w = (gp_gguf_writer){.out = out, .store = store};
    w->tensors = (gp_tensor_writer){w, declare, write, gp_store_largest(store)};
    return w;
}

gp_tensor_writer *gp_gguf_writer_tensors(gp_gguf_writer *w)
{
    return &w->tensors;
}

int gp_gguf_writer_end(gp_gguf_writer *w)
{
    if (!w->begun && begin(w))
        return -1;
    skip_complete(w);
    BUG_ON(w->current != w->count);
    return 0;
}

void gp_gguf_writer_warn(gp_gguf_writer *w, char *text)
{
    gp_warning_add(&w->warning, text);
}

char *gp_gguf_writer_warning(gp_gguf_writer *w)
{
    char *warning = w->warning;
    if (w->odd)
        gp_warning_add(
            &warning, gp_format("tensors whose rows are not multiples of 32 numbers are stored in F16 instead of Q8_0, "
                                "as by llama.cpp's quantizer (%lld tensors, the first is %s)",
                                (long long)w->odd, w->first_odd));
    w->warning = NULL;
    return warning;
}

void gp_gguf_writer_free(gp_gguf_writer *w)
{
    if (!w)
        return;
    gp_buf_release(&w->pairs);
    gp_buf_release(&w->infos);
    free(w->warning);
    free(w->first_odd);
    free(w->list);
    free(w);
}

/* container.h: named tensors in a file, whatever its format: safetensors, PyTorch's zip, TensorFlow's bundle, llm.c,
 * GGUF. A reader lists the tensors and gives their numbers as fp32; what a tensor means to a model is in names.h.
 *
 *     gp_map map;                                                  // the whole file; a pipe is spooled first
 *     if (gp_checkpoint_input_map(&in, name, &map)) return -1;
 *     gp_container *k = gp_gguf_read(&map, name);                  // takes over the mapping, also on failure
 *     for (int64_t i = 0; k && i < k->count; i++)
 *         printf("%s %s\n", k->tensors[i].name, k->tensors[i].type);
 *     gp_container_close(k);
 */
#ifndef GP_CHECKPOINT_CONTAINER_H
#define GP_CHECKPOINT_CONTAINER_H

#include "base/base.h"
#include "base/file.h"
#include "gptpipe/tensor.h"

/* A tensor as a file stores it. */
typedef struct gp_stored {
    char *name;       /* UTF-8 without control characters, unique in its container; freed with it */
    const char *type; /* as the format calls it: "F32", "Q8_0", "I64", static or the reader's */
    bool is_float;    /* its numbers can be read; otherwise it is only listed (integers, masks, unknown types) */
    gp_dtype dtype;   /* of float tensors, the smallest of F32, F16 and BF16 that holds their numbers exactly (F32 for
                         quantized and F64 ones) */
    int ndim;
    int64_t dim[GP_MAX_DIMS]; /* row-major, dim[0] slowest, whatever order the file writes them in */
    int64_t elements;         /* product of dim: checked against overflow and against the file's size by the reader */
} gp_stored;

typedef struct gp_container gp_container;

/* What a format implements. self: the reader's own. i: an index into tensors, of a float tensor. */
typedef struct gp_container_ops {
    const char *format;      /* "GGUF", for --info */
    const char *float_types; /* types of float tensors, for messages: "F32, F16 or BF16" */

    /* Elements [first, first + count) of tensor i, row-major, as fp32 into data. 0 or -1 (damage that shows only when
     * the data is read: a broken deflate stream, a wrong CRC). Any range may be read, in any order. */
    int (*read)(void *self, int64_t i, int64_t first, int64_t count, float *data);

    /* Where the numbers of tensor i are in memory, row-major, of *dtype (F32, F16 or BF16), perhaps unaligned, until
     * the container is closed; NULL: they have to be read. Several threads may read and verify a tensor that is in
     * memory. NULL: of none. */
    const void *(*data)(void *self, int64_t i, gp_dtype *dtype);

    /* The CRC-32C that the file has of all these bytes; false: it has none. NULL: of none. */
    bool (*crc32c)(void *self, int64_t i, uint32_t *crc);

    /* Compares all of tensor i with the checksum that the file has for it. 1: equal; 0: the file has none; -1: damaged.
     * NULL: the format has no checksums. */
    int (*verify)(void *self, int64_t i);
    bool verifies_finite; /* and refuses NaN and infinity in float tensors in the same pass */
    bool concurrent;      /* read and verify may be called by several threads */

    /* The name under which the numbers of a tensor that shares its memory with another are stored; NULL: of none. */
    const char *(*alias)(void *self, const char *name);

    /* The i-th text or number that the file carries besides tensors: its key, and its value as text, appended. false:
     * there are no more. NULL: the format has none. */
    bool (*metadata)(void *self, int64_t i, const char **key, gp_buf *value);

    /* The bytes of tensor i are not needed for now (gp_map_drop_pages); NULL: nothing to do. */
    void (*forget)(void *self, int64_t i);

    void (*close)(void *self);
} gp_container_ops;

struct gp_container {
    char *path; /* what messages call the file */
    const gp_container_ops *ops;
    void *self;
    gp_stored *tensors; /* in the file's order */
    int64_t count;
    int64_t *by_name; /* their indices, sorted by name */
};

/* An empty container; self is closed with it. */
gp_container *gp_container_new(const char *path, const gp_container_ops *ops, void *self);

/* Appends a tensor; name is copied (n bytes). Computes elements. -1 where the name is not UTF-8 without control
 * characters, there are more than GP_MAX_DIMS dims, a dim is negative, or elements overflow. The caller checks that
 * the data lies within the file. */
int gp_container_add(gp_container *k, const char *name, size_t n, const gp_stored *t);

/* After the last gp_container_add: makes the index of names; -1 where two tensors have the same one. */
int gp_container_index(gp_container *k);

/* A tensor by its name: index or -1. */
int64_t gp_container_find(const gp_container *k, const char *name);

/* Elements as fp32; t must be a float tensor. 0 or -1. */
int gp_container_read(const gp_container *k, int64_t i, int64_t first, int64_t count, float *data);

/* The op of the same name; NULL where the format has none. */
const void *gp_container_data(const gp_container *k, int64_t i, gp_dtype *dtype);

/* Reads tensor i once: 0, or -1 where its checksum differs or it is not finite. *summed: it has a checksum. */
int gp_container_check(const gp_container *k, int64_t i, bool *summed);

void gp_container_forget(const gp_container *k, int64_t i);
void gp_container_close(gp_container *k); /* k may be NULL */

/* "F16 [2,3]" of a stored tensor, for messages and --info. Returns text. */
const char *gp_stored_format(const gp_stored *t, char *text, int size);

/* Readers. Each takes over the mapping of a whole file, also on failure, and checks every count, length and offset
 * before it uses it or takes memory for it. NULL on failure. */
typedef gp_container *gp_container_reader(gp_map *map, const char *path);

#endif

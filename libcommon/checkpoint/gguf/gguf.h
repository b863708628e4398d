/* gguf.h: GGUF, the file format of ggml and llama.cpp, versions 2 and 3, little-endian (ggml's docs/gguf.md; what
 * llama.cpp takes of it is in its src/llama-model-loader.cpp and src/models/gpt2.cpp).
 *
 *     offset   content
 *     0        "GGUF", u32 version, u64 number of tensors, u64 number of metadata pairs
 *     24       metadata: for each pair its key (a string), u32 type of the value, the value
 *              tensors: for each its name (a string), u32 dimensions, u64 each dimension, fastest first, u32 type,
 *              u64 offset from the start of the data
 *              zeros up to a multiple of general.alignment (32 without that key), then the data; each tensor begins at
 *              a multiple of it
 *
 * A string is its u64 length and its bytes. An array is the u32 type of its items, their u64 number, the items. Rows of
 * quantized tensors are blocks of 32 or 256 numbers, each with its scale.
 */
#ifndef GP_CHECKPOINT_GGUF_H
#define GP_CHECKPOINT_GGUF_H

#include "checkpoint/container.h"
#include "checkpoint/writer.h"
#include "gptpipe/config.h"

/* Of metadata values, numbered as in the file. */
typedef enum gp_gguf_type {
    GP_GGUF_UINT8,
    GP_GGUF_INT8,
    GP_GGUF_UINT16,
    GP_GGUF_INT16,
    GP_GGUF_UINT32,
    GP_GGUF_INT32,
    GP_GGUF_FLOAT32,
    GP_GGUF_BOOL,
    GP_GGUF_STRING,
    GP_GGUF_ARRAY,
    GP_GGUF_UINT64,
    GP_GGUF_INT64,
    GP_GGUF_FLOAT64,
    GP_GGUF_TYPES
} gp_gguf_type;

/* A metadata pair. Its bytes are those of the mapped file, and checked: every string and every item lies within it. */
typedef struct gp_gguf_pair {
    const char *key; /* (key_length) printable ASCII, unique */
    size_t key_length;
    gp_gguf_type type, item; /* item: of an array */
    int64_t count;           /* items of an array, bytes of a string, else 1 */
    const char *data;        /* the first item, the string's bytes, the number */
} gp_gguf_pair;

typedef struct gp_gguf_tensor {
    uint32_t type;    /* ggml's number */
    const char *data; /* in the mapped file; NULL: type is unknown, and so is its size */
    int64_t bytes;
    char *type_name; /* of an unknown type, freed with it; else NULL */
} gp_gguf_tensor;

/* What the container of a GGUF file has as self. */
typedef struct gp_gguf {
    char *path;
    gp_map map;
    uint32_t version;
    gp_gguf_pair *pairs; /* by key */
    int64_t pair_count;
    char *shown_key;         /* the key that was printed last */
    gp_gguf_tensor *tensors; /* beside the container's */
    int64_t tensor_count;
} gp_gguf;

/* gguf_read.c */
gp_container *gp_gguf_read(gp_map *map, const char *path);
bool gp_is_gguf(const char *head, size_t size); /* whether a file begins like one, little-endian or big-endian */
const gp_gguf *gp_gguf_of(const gp_container *k);

/* gguf_metadata.c: a pair by its key, or NULL; then its value: 1; 0: there is none; -1: it is of another type, or too
 * large. */
const gp_gguf_pair *gp_gguf_find(const gp_gguf *g, const char *key);
int gp_gguf_integer(const gp_gguf *g, const char *key, int64_t *v);
int gp_gguf_real(const gp_gguf *g, const char *key, double *v); /* of a FLOAT32: the shortest decimal that gives it */
int gp_gguf_bool(const gp_gguf *g, const char *key, bool *v);
int gp_gguf_text(const gp_gguf *g, const char *key, const char **text, size_t *length);

/* The bytes of a string in an array of them, at *at, which moves to the next one. */
const char *gp_gguf_next_string(const char **at, size_t *length);

/* An integer at data of this type; false: the type is no integer's, or it is beyond INT64_MAX. */
bool gp_gguf_integer_at(const char *data, gp_gguf_type type, int64_t *v);

int gp_gguf_value_size(gp_gguf_type type);            /* bytes of a number; 0: a string or an array */
void gp_gguf_print(gp_buf *b, const gp_gguf_pair *p); /* its value for people, long ones cut */

/* gguf_blocks.c: how ggml stores numbers. */
typedef struct gp_gguf_block {
    const char *name;                                             /* "Q8_0"; NULL: an unknown type */
    int elements, bytes;                                          /* of a block; 1 element where there are none */
    gp_dtype dtype;                                               /* the smallest that holds its numbers */
    void (*read)(const uint8_t *blocks, int64_t count, float *x); /* NULL: they are not read */
} gp_gguf_block;

/* Those types that are written. */
enum { GP_GGML_F32 = 0, GP_GGML_F16 = 1, GP_GGML_Q8_0 = 8, GP_GGML_BF16 = 30 };

const gp_gguf_block *gp_gguf_block_of(uint32_t type);

/* Rounds count numbers, a multiple of 32, to blocks of Q8_0 as ggml's quantize_row_q8_0_ref does. */
void gp_gguf_write_q8_0(uint8_t *blocks, const float *x, int64_t count);

/* gguf_config.c: the configuration in the metadata of a model whose architecture is known: gpt2 or bert. */
int gp_gguf_config(gp_config *c, const gp_container *k);

/* gguf_write.c: a file being written: metadata first, then its tensors by the gp_tensor_writer. Nothing is written
 * before the first numbers are. Matrices are stored as `store` has it, all else (norms, biases, positions) in F32, as
 * llama.cpp's converter does. */
typedef struct gp_gguf_writer gp_gguf_writer;
gp_gguf_writer *gp_gguf_writer_new(gp_out *out, gp_store store); /* out stays the caller's */
gp_tensor_writer *gp_gguf_writer_tensors(gp_gguf_writer *w);

void gp_gguf_put_text(gp_gguf_writer *w, const char *key, const char *text, size_t length);
void gp_gguf_put_uint32(gp_gguf_writer *w, const char *key, uint32_t v);
void gp_gguf_put_float32(gp_gguf_writer *w, const char *key, float v);
void gp_gguf_put_bool(gp_gguf_writer *w, const char *key, bool v);
void gp_gguf_put_array(gp_gguf_writer *w, const char *key, gp_gguf_type item, int64_t count); /* its items follow: */
void gp_gguf_add_string(gp_gguf_writer *w, const char *text, size_t length);
void gp_gguf_add_int32(gp_gguf_writer *w, int32_t v);

int gp_gguf_writer_end(gp_gguf_writer *w);               /* all numbers are written; 0 or -1 */
void gp_gguf_writer_warn(gp_gguf_writer *w, char *text); /* malloc, taken over */
char *gp_gguf_writer_warning(gp_gguf_writer *w);         /* all warnings, and of matrices in F16 (malloc); NULL: none */
void gp_gguf_writer_free(gp_gguf_writer *w);

#endif

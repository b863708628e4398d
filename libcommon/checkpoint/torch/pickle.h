/* pickle.h: a machine for the pickles that torch.save writes (protocols 2 to 5), and for no others. It makes values out
 * of the opcodes of tensors, dicts, lists, tuples, sets, numbers and text; a name that is not in the table of objects.c
 * is refused, and none is ever imported or called. Python's pickletools.py documents the opcodes.
 *
 * Each opcode has at least one byte, makes at most one value, and nothing is copied out of the pickle: memory is
 * bounded by its size (64 bytes for each of its bytes, GP_PICKLE_MAX of them), time by its length. Values may contain
 * themselves: who walks them bounds the depth.
 *
 *     gp_pickle p;
 *     const gp_value *top = gp_pickle_run(&p, "ckpt.pt", bytes, size);
 *     const gp_value *args = top ? gp_value_get(top, "model_args") : NULL;
 *     gp_pickle_release(&p);                                            // its values too; not the bytes
 */
#ifndef GP_CHECKPOINT_TORCH_PICKLE_H
#define GP_CHECKPOINT_TORCH_PICKLE_H

#include "base/base.h"
#include "gptpipe/tensor.h"

enum { GP_PICKLE_MAX = 1 << 24 }; /* bytes of a pickle */

/* A type of numbers that PyTorch has. */
typedef struct gp_torch_type {
    const char *storage; /* "FloatStorage", or NULL: has none of its own */
    const char *dtype;   /* torch.float32 */
    const char *name;    /* "F32" */
    int size;            /* bytes of an element */
    bool is_float;       /* its numbers are read, as `as` */
    gp_dtype as;
} gp_torch_type;

typedef enum gp_value_type {
    GP_VALUE_NONE,
    GP_VALUE_BOOL,
    GP_VALUE_INT,
    GP_VALUE_WIDE, /* an integer of more than 64 bits: text has its bytes, the lowest first */
    GP_VALUE_REAL,
    GP_VALUE_TEXT,
    GP_VALUE_BYTES,
    GP_VALUE_TUPLE,
    GP_VALUE_LIST,
    GP_VALUE_SET,
    GP_VALUE_DICT, /* items: key, value, key, value, ... */
    GP_VALUE_NAME, /* a class or function of objects.c */
    GP_VALUE_STORAGE,
    GP_VALUE_TENSOR,
    GP_VALUE_OTHER, /* something harmless without numbers: a device */
} gp_value_type;

typedef struct gp_value gp_value;

/* A class or a function: what objects.c makes of it. */
typedef struct gp_torch_name {
    const char *name;
    int meaning;
    const gp_torch_type *type; /* of a dtype or a typed storage, else NULL */
} gp_torch_name;

/* What a persistent id stands for: bytes that lie elsewhere in the file. */
typedef struct gp_pickle_storage {
    const char *key; /* in the pickle */
    size_t key_size;
    const gp_torch_type *type; /* NULL: untyped */
    int64_t count, bytes;      /* elements (bytes if untyped) */
} gp_pickle_storage;

typedef struct gp_pickle_tensor {
    const gp_pickle_storage *storage;
    const gp_torch_type *type;
    int ndim;
    bool contiguous;
    int64_t dim[GP_MAX_DIMS], stride[GP_MAX_DIMS];
    int64_t offset; /* of its first element: all of them lie in the storage */
} gp_pickle_tensor;

struct gp_value {
    gp_value_type type;
    union {
        int64_t whole; /* BOOL and INT */
        double real;
        struct {
            const char *data; /* in the pickle, not NUL-terminated */
            size_t size;
        } text;
        struct {
            gp_value **items;
            int64_t count;
        } list;
        gp_torch_name name;
        gp_pickle_storage *storage;
        gp_pickle_tensor *tensor;
    } as;
};

typedef struct gp_pickle {
    const char *path;
    const char *data;
    size_t size, at; /* after a run: behind the pickle's STOP */
    gp_value **stack, **memo;
    int64_t depth, memo_size, memo_count; /* memo_count of memo are set */
    int64_t *marks, mark_count;
    int64_t copied;    /* items by make_container of objects.c */
    gp_value **values; /* all of them */
    int64_t value_count;
} gp_pickle;

/* Runs the pickle that begins at data; more may follow it. Its one value, or NULL. */
const gp_value *gp_pickle_run(gp_pickle *p, const char *path, const char *data, size_t size);
void gp_pickle_release(gp_pickle *p);

/* For objects.c: a fresh value, None but for its type; an item behind those of a list, set or dict; a failure with
 * the place in the pickle. */
gp_value *gp_pickle_value(gp_pickle *p, gp_value_type type);
void gp_value_append(gp_value *list, gp_value *item);
void gp_values_append(gp_value ***list, int64_t *count, gp_value *v); /* room doubles at each power of two */
int gp_pickle_fail(const gp_pickle *p, const char *fmt, ...) GP_PRINTF(2, 3);

/* The first value of that key in a dict, or NULL. */
const gp_value *gp_value_get(const gp_value *dict, const char *key);
bool gp_value_is(const gp_value *text, const char *s);
const char *gp_value_type_name(const gp_value *v); /* "dict" */

/* ---- objects.c: the names that a pickle may use ---------------------------------------------------------- */

/* 0, or -1 for a name that is refused. */
int gp_torch_name_find(const gp_pickle *p, const char *module, size_t m, const char *name, size_t n,
                       gp_torch_name *found);

/* What a name makes of a tuple of arguments, what a persistent id stands for, or NULL. */
gp_value *gp_torch_call(gp_pickle *p, gp_torch_name name, const gp_value *args);
gp_value *gp_torch_storage(gp_pickle *p, const gp_value *id);

#endif

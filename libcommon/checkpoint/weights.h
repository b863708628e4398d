/* weights.h: the tensors of a model in one file or in several (shards), and which of them is which row of the table of
 * parameters. A format opens its containers, finds the configuration and the tokenizer, and calls gp_weights_attach. */
#ifndef GP_CHECKPOINT_WEIGHTS_H
#define GP_CHECKPOINT_WEIGHTS_H

#include "checkpoint/checkpoint.h"
#include "checkpoint/container.h"
#include "checkpoint/names.h"

/* One tensor of one of the files. */
typedef struct gp_file_tensor {
    const char *name; /* without the prefixes of wrappers (gp_weights_strip) */
    const gp_container *file;
    int64_t index; /* in file */
    bool used;
} gp_file_tensor;

/* A head in the place of the file's: new_head.c. */
typedef struct gp_replaced_head {
    gp_config config;  /* with the new head */
    uint64_t seed;     /* that initializes what is new */
    bool other_labels; /* the file's classifier has other labels: the product is new, though a tensor has its name */
    bool is_new[GP_ROLES];
    gp_buf added, left_out; /* tensors' names, for people */
} gp_replaced_head;

typedef struct gp_weights {
    gp_container *const *files;
    int count;
    gp_file_tensor *tensors; /* by name */
    int64_t tensor_count;
    size_t stripped; /* bytes of a common prefix before each name */
    const gp_naming *naming;
    const gp_param *rows;       /* of the checkpoint's table */
    gp_file_tensor **match;     /* (rows, GP_PIECES): the tensor of each piece of a row; NULL: allowed to be missing */
    gp_replaced_head *replaced; /* NULL: the file's head is used */
} gp_weights;

/* How the file stores a tensor. */
static inline const gp_stored *gp_file_tensor_stored(const gp_file_tensor *t)
{
    return &t->file->tensors[t->index];
}

/* Adds a container to c's files, which gp_checkpoint_close closes; k may be NULL (it could not be opened): -1. */
int gp_checkpoint_add_file(gp_checkpoint *c, gp_container *k);

/* Adds the files that an index.json lists, each opened once by `open` from a path in the index's folder; checks that
 * index and files agree. (transformers: {"weight_map": {"name": "model-00001-of-00002.safetensors", ...}}) */
int gp_checkpoint_add_shards(gp_checkpoint *c, const char *index, gp_container *(*open)(const char *path));

/* c's files, configuration and tokenizer are set. Takes wrappers' prefixes off the names, fits the configuration to the
 * head and the biases that are there, lists the parameters, and matches each piece of each with a tensor: what is
 * missing, of another shape, or left over is an error, unless c's options allow it. Then c can be read. naming: NULL:
 * Hugging Face's for the family. */
int gp_weights_attach(gp_checkpoint *c, const gp_naming *naming);

/* match.c: the two halves of gp_weights_attach. */
void gp_weights_fit(gp_weights *f, gp_checkpoint *c);
int gp_weights_match(gp_weights *f, gp_checkpoint *c);

/* new_head.c: gives c's configuration the head that its options ask for; between gp_weights_fit and the table of
 * parameters. Then, where that is another head than the file's: a row that the file lacks, a tensor that has no place,
 * the warning that names both, and the numbers of a new row. */
int gp_weights_replace_head(gp_weights *f, gp_checkpoint *c);
void gp_replaced_head_add(gp_weights *f, const gp_param *row);
void gp_replaced_head_leave_out(gp_weights *f, const char *tensor);
void gp_replaced_head_report(const gp_weights *f, gp_checkpoint *c);
void gp_replaced_head_read(const gp_weights *f, const gp_param *row, int64_t first, int64_t lines, float *data);
void gp_replaced_head_free(gp_replaced_head *r);

/* weights.c: by name, or NULL. */
gp_file_tensor *gp_weights_find(const gp_weights *f, const char *name);

/* What wrappers of training put before the names of all tensors (module., _orig_mod., model., transformer.), one at a
 * time taken off; false: there is none. */
bool gp_weights_strip(gp_weights *f);

/* How long the beginning is, up to a dot, that the names of all tensors share. */
size_t gp_weights_prefix(const gp_weights *f);

#endif

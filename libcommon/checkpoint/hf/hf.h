/* hf.h: Hugging Face's safetensors, as files and folders. */
#ifndef GP_CHECKPOINT_HF_HF_H
#define GP_CHECKPOINT_HF_HF_H

#include "gptpipe/safetensors.h"
#include "checkpoint/checkpoint.h"

/* One tensor of a file or of a sharded model. */
typedef struct gp_hf_tensor {
    const char *name, *path; /* path: of the file that holds it */
    const gp_safetensors *file;
    int64_t index; /* in file */
    gp_tensor t;
    bool used;
} gp_hf_tensor;

/* All tensors of a model: one file, or shards. */
typedef struct gp_hf_files {
    gp_safetensors **files;
    int count;
    gp_hf_tensor *tensors; /* by name */
    int64_t tensor_count;
    size_t stripped; /* bytes of a common prefix that stand before each name */
} gp_hf_files;

/* hf_files.c: the tensors of one file, which it takes over (NULL: it could not be opened), or of those that an
 * index.json lists. No tensor is there twice. */
int gp_hf_files_open(gp_hf_files *f, gp_safetensors *file);
int gp_hf_files_open_index(gp_hf_files *f, const char *path);
void gp_hf_files_close(gp_hf_files *f);
gp_hf_tensor *gp_hf_files_find(const gp_hf_files *f, const char *name);

/* What wrappers of training put before the names of all tensors (module., _orig_mod., model., transformer.), one at a
 * time taken off; false: there is none. */
bool gp_hf_files_strip(gp_hf_files *f);

/* How long the beginning is, up to a dot, that the names of all tensors share. */
size_t gp_hf_files_prefix(const gp_hf_files *f);

/* hf_names.c: fits the names to the configuration, and the configuration to the head and the biases that are there. */
void gp_hf_fit(gp_hf_files *f, gp_checkpoint *c);

/* Finds the tensor of each piece of c's table (match[GP_PIECES * row + piece]), and refuses what is missing, of another
 * shape, or too much. */
int gp_hf_match(gp_hf_files *f, gp_checkpoint *c, gp_hf_tensor **match);

/* hf_config.c: fills in c->config, and tells what differs. loadable: as a folder for transformers' from_pretrained. */
int gp_hf_find_config(gp_checkpoint *c, const gp_safetensors *s, const char *folder, bool loadable);

/* hf_read.c: a whole file of a folder (NULL: none) as text; 1 when it is not there. */
int gp_hf_read_beside(gp_buf *b, const char *folder, const char *name, size_t most);

int gp_hf_open(gp_checkpoint *c, const gp_checkpoint_input *in);
int gp_hf_write(const gp_checkpoint *c, const char *path, gp_dtype dtype);

#endif

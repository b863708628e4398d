/* hf_tensors.h: the tensors of a model in Hugging Face's layout: one file, or shards with an index.json, of safetensors
 * or of PyTorch. */
#ifndef GP_CHECKPOINT_HF_HF_TENSORS_H
#define GP_CHECKPOINT_HF_HF_TENSORS_H

#include "checkpoint/checkpoint.h"
#include "checkpoint/writer.h"

/* One file of them, one at a time. */
typedef struct gp_hf_file_type {
    const char *stem, *suffix; /* "model", ".safetensors" */

    /* Begins a file: *w takes its declarations and its numbers. 0 or -1. */
    int (*open)(void *self, const char *path, gp_tensor_writer *w);

    /* Ends it; failed: it disappears. Nothing to do where none is open. 0 or -1. */
    int (*close)(void *self, bool failed);
} gp_hf_file_type;

typedef struct gp_hf_out gp_hf_out;

/* path: a file ("-": stdout) where shard_bytes is 0, else the folder that STEM-00001-of-0000N.SUFFIX and
 * STEM.SUFFIX.index.json go into, or, where all fits into one, STEM.SUFFIX. *w then takes declarations and numbers. A
 * shard has as many tensors as go into shard_bytes, one at least. */
gp_hf_out *gp_hf_out_open(gp_tensor_writer *w, const char *path, gp_store store, int64_t shard_bytes,
                          const gp_hf_file_type *type, void *self);

/* Frees o. failed: the files that are not complete disappear. 0 or -1. */
int gp_hf_out_close(gp_hf_out *o, bool failed);

#endif

/* hf_tensors.h: the tensors of a model written as safetensors: one file, or shards with an index.json. */
#ifndef GP_CHECKPOINT_HF_HF_TENSORS_H
#define GP_CHECKPOINT_HF_HF_TENSORS_H

#include "checkpoint/checkpoint.h"
#include "checkpoint/writer.h"
#include "gptpipe/safetensors.h"

typedef struct gp_hf_out gp_hf_out;

/* Adds metadata to a file before its tensors; of shards, to each. */
typedef int gp_hf_metadata_fn(const void *self, gp_safetensors_writer *w);

/* path: a file ("-": stdout) where shard_bytes is 0, else the folder that model-00001-of-0000N.safetensors and
 * model.safetensors.index.json go into, or, where all fits into one, model.safetensors. *w then takes declarations and
 * numbers. A shard has as many tensors as go into shard_bytes, one at least. */
gp_hf_out *gp_hf_out_open(gp_tensor_writer *w, const char *path, gp_store store, int64_t shard_bytes,
                          gp_hf_metadata_fn *metadata, const void *self);

/* Frees o. failed: the files that are not complete disappear. 0 or -1. */
int gp_hf_out_close(gp_hf_out *o, bool failed);

#endif

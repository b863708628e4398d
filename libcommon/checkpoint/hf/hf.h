/* hf.h: Hugging Face's safetensors, as files and folders. */
#ifndef GP_CHECKPOINT_HF_HF_H
#define GP_CHECKPOINT_HF_HF_H

#include "gptpipe/safetensors.h"
#include "checkpoint/checkpoint.h"

/* hf_container.c: a safetensors file as a container, which takes it over; NULL where s is NULL. */
gp_container *gp_hf_container(gp_safetensors *s);

/* The safetensors file of such a container. */
const gp_safetensors *gp_hf_safetensors(const gp_container *k);

/* hf_read.c: the container of a safetensors file that is no pipe and no device. */
gp_container *gp_hf_open_file(const char *path);

/* hf_write.c: declares the tensors of c under Hugging Face's names, those of heads that are carried too, and writes
 * them. */
int gp_hf_write_tensors(gp_tensor_writer *w, const gp_checkpoint *c);

/* Whether c is to be written into a folder that from_pretrained loads: `path` ends in '/' or is an empty folder. 1, 0,
 * or -1: it is a folder with something in it. */
int gp_hf_is_folder(const char *path);

/* Such a folder, which appears whole: `write` writes the weights into its file `name`, or, in shards, into itself. */
typedef int gp_hf_weights_fn(const gp_checkpoint *c, const char *path, const gp_checkpoint_output *o);
int gp_hf_write_folder(const gp_checkpoint *c, const char *path, const gp_checkpoint_output *o, const char *name,
                       gp_hf_weights_fn *write);

int gp_hf_open(gp_checkpoint *c, const gp_checkpoint_input *in);
int gp_hf_write(const gp_checkpoint *c, const char *path, const gp_checkpoint_output *o);

#endif

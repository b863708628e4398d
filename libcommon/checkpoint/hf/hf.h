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

int gp_hf_open(gp_checkpoint *c, const gp_checkpoint_input *in);
int gp_hf_write(const gp_checkpoint *c, const char *path, const gp_checkpoint_output *o);

#endif

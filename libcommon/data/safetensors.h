/* safetensors.h: opening a safetensors file whose name comes from another file, or by its descriptor. */
#ifndef GP_DATA_SAFETENSORS_H
#define GP_DATA_SAFETENSORS_H

#include "gptpipe/safetensors.h"

/* As gp_safetensors_open, but only a regular file (gp_open_regular): a shard named by an index, a file of a run. */
gp_safetensors *gp_safetensors_open_regular(const char *path);

/* From a descriptor, which stays open. head: the n bytes that were already read from its beginning. */
gp_safetensors *gp_safetensors_open_fd(int fd, const char *name, const void *head, size_t n);

#endif

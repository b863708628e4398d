/* safetensors.h: opening a safetensors file whose name does not come from the user. */
#ifndef GP_DATA_SAFETENSORS_H
#define GP_DATA_SAFETENSORS_H

#include "gptpipe/safetensors.h"

/* As gp_safetensors_open, of a regular file alone (gp_open_regular): a shard that an index names, a file of a run. */
gp_safetensors *gp_safetensors_open_regular(const char *path);

/* From a descriptor, which stays open. head: its first n bytes, which were read from it already; n = 0: none were. */
gp_safetensors *gp_safetensors_open_fd(int fd, const char *name, const void *head, size_t n);

#endif

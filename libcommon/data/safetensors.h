/* safetensors.h: opening a safetensors file whose name does not come from the user. */
#ifndef GP_DATA_SAFETENSORS_H
#define GP_DATA_SAFETENSORS_H

#include "gptpipe/safetensors.h"

/* As gp_safetensors_open, of a regular file alone (gp_open_regular): a shard that an index names, a file of a run. */
gp_safetensors *gp_safetensors_open_regular(const char *path);

#endif

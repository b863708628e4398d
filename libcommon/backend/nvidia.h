/* nvidia.h: whether there is an NVIDIA GPU. */
#ifndef GP_BACKEND_NVIDIA_H
#define GP_BACKEND_NVIDIA_H

#include <stdbool.h>

/* Whether the machine whose file system is at root ("" for this one) has one, usable or not. */
bool gp_nvidia_present(const char *root);

#endif

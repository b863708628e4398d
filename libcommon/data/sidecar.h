/* sidecar.h: FILE.json beside a text. */
#ifndef GP_DATA_SIDECAR_H
#define GP_DATA_SIDECAR_H

#include <jansson.h>

#include "base/file.h"

typedef struct gp_sidecar {
    char *separator; /* or NULL */
    size_t separator_length;
    json_t *nats, *chars; /* of one length, or NULL both */
} gp_sidecar;

/* Reads PATH.json, if there is one that says anything of this kind, and checks that it was made for
 * this text. 0 or -1. */
int gp_sidecar_read(gp_sidecar *s, const char *path, const gp_map *text);
void gp_sidecar_release(gp_sidecar *s);

/* Adds what `more` knows to s; what not both have, or have alike, is dropped. */
void gp_sidecar_join(gp_sidecar *s, const gp_sidecar *more);

#endif

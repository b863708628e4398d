/* sidecar.h: FILE.json, which describes the text FILE in the same folder: see gptpipe/text.h. */
#ifndef GP_DATA_SIDECAR_H
#define GP_DATA_SIDECAR_H

#include <jansson.h>

#include "base/file.h"

typedef struct gp_sidecar {
    char *separator; /* or NULL */
    size_t separator_length;
    json_t *nats, *chars; /* arrays of the same length, or both NULL */
    json_t *bayes;        /* {"accuracy", "loss"}: the limit of classifying the texts, or NULL */
} gp_sidecar;

/* Reads PATH.json, if it exists and has such members, and checks that it was made for this text. 0 or -1. */
int gp_sidecar_read(gp_sidecar *s, const char *path, const gp_map *text);
void gp_sidecar_release(gp_sidecar *s);

/* Drops what describes documents, separator and entropy: of JSON Lines, whose lines are the documents. */
void gp_sidecar_drop_documents(gp_sidecar *s);

/* Makes s describe its text followed by that of `next`: entropies are concatenated; a separator that is not the same in
 * both is dropped, and the entropy with it; and so is a limit. */
void gp_sidecar_join(gp_sidecar *s, const gp_sidecar *next);

#endif

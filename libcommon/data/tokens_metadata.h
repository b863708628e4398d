/* tokens_metadata.h: the metadata of a token stream, as JSON. */
#ifndef GP_DATA_TOKENS_METADATA_H
#define GP_DATA_TOKENS_METADATA_H

#include <jansson.h>

#include "gptpipe/tokens.h"

/* The metadata, a JSON object; NULL and an error if it is not one. The caller json_decrefs. */
json_t *gp_tokens_metadata(const gp_tokens *s);

#endif

/* tokens_metadata.h: what a token stream says about itself, as JSON. */
#ifndef GP_DATA_TOKENS_METADATA_H
#define GP_DATA_TOKENS_METADATA_H

#include <jansson.h>

#include "gptpipe/tokens.h"

/* The metadata of a stream, an object; NULL when it is none: gp_error() says why. The caller json_decrefs. */
json_t *gp_tokens_metadata(const gp_tokens *s);

#endif

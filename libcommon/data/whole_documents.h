/* whole_documents.h: a source of whole documents of a token stream: a row is the separator and one document. */
#ifndef GP_DATA_WHOLE_DOCUMENTS_H
#define GP_DATA_WHOLE_DOCUMENTS_H

#include "gptpipe/batch.h"
#include "gptpipe/tokens.h"

typedef struct gp_documents_options {
    int64_t B, T;             /* rows (the last batch may have fewer); tokens a row */
    int64_t first, last, max; /* the first `max` of documents [first, last) that fit a row are used */
    const int32_t *separator; /* (before) ids, at least one; must outlive the source */
    int64_t before;
} gp_documents_options;

/* Inputs are the separator and all tokens of the document but the last, padded with 0. Targets are the document's
 * tokens, and -100 in the separator and the padding; items are document numbers. *count: documents used; *left_out:
 * documents that did not fit. */
gp_source *gp_documents_open(const gp_tokens *tokens, const gp_documents_options *o, int64_t *count, int64_t *left_out);

#endif

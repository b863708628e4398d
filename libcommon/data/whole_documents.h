/* whole_documents.h: the documents of a token stream as a source: a row is the separator and one document. */
#ifndef GP_DATA_WHOLE_DOCUMENTS_H
#define GP_DATA_WHOLE_DOCUMENTS_H

#include "gptpipe/batch.h"
#include "gptpipe/tokens.h"

typedef struct gp_documents_options {
    int64_t B, T;             /* rows, but for the last batch, which may have fewer; tokens a row */
    int64_t first, last, max; /* of documents [first, last) the first `max` that fit a row */
    const int32_t *separator; /* (before) ids, at least one; they outlive the source */
    int64_t before;
} gp_documents_options;

/* Inputs are the separator and the document but for its last token, padded with 0; the document's tokens are targets,
 * the separator's and the padding are not counted. items says which document a row is. *count: how many documents;
 * *left_out: how many did not fit. */
gp_source *gp_documents_open(const gp_tokens *tokens, const gp_documents_options *o, int64_t *count, int64_t *left_out);

#endif

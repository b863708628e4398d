/* last_logits.h: what the next token is sampled from. */
#ifndef GPTPIPE_TEST_LAST_LOGITS_H
#define GPTPIPE_TEST_LAST_LOGITS_H

#include "model/model.h"

/* Copies the logits (V) of row b after prefill, append or decode to host memory. */
static inline void last_logits(gp_model *m, int64_t b, float *logits)
{
    gp_tensor row = gp_rows_of(&m->logits, b, 1);
    m->be->ops->download(m->be, logits, row.data, (size_t)gp_tensor_bytes(&row));
}

#endif

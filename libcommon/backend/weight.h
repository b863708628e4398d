/* weight.h: a matrix that products read. */
#ifndef GP_BACKEND_WEIGHT_H
#define GP_BACKEND_WEIGHT_H

#include "backend/weight_format.h"
#include "gptpipe/tensor.h"

enum { GP_PAD_ROWS = 64 };

/* A weight: a tensor, and a slot for the backend's own form of it: packed, in bf16, or in a weight format. The slot is
 * sized by weight_bytes and belongs to the model's arena. It is refreshed by weights_changed; or, in a format other
 * than fp32, filled by weight_fill, and then there is nothing else: w.data is NULL. */
typedef struct gp_weight {
    /* (I,O); with `transposed` stored (O,I), as the token embedding is when it is the head. In bf16 (be->stores_bf16)
     * products read it in place, and stored (O,I) it is padded with rows of zeros to a multiple of GP_PAD_ROWS. */
    gp_tensor w;
    /* (O) or NULL: added to the product; also in the slot where products need it in their dtype */
    const gp_tensor *bias;
    bool transposed;
    bool trains;             /* backward products will be used too, and format is fp32 */
    gp_weight_format format; /* not fp32: the slot is O rows of gp_weight_row_bytes(format, I) bytes */
    void *slot;              /* weight_bytes bytes, or NULL */
    void *form;              /* private to the backend, created by weight_open, freed by weight_close */
} gp_weight;

/* I and O, and, in a format other than fp32, the row of output o. */
static inline int64_t gp_weight_inputs(const gp_weight *w)
{
    return w->w.dim[w->transposed ? 1 : 0];
}

static inline int64_t gp_weight_outputs(const gp_weight *w)
{
    return w->w.dim[w->transposed ? 0 : 1];
}

static inline void *gp_weight_row_at(const gp_weight *w, int64_t o)
{
    return (char *)w->slot + (size_t)o * gp_weight_row_bytes(w->format, gp_weight_inputs(w));
}

static inline size_t gp_weight_format_bytes(const gp_weight *w)
{
    return (size_t)gp_weight_outputs(w) * gp_weight_row_bytes(w->format, gp_weight_inputs(w));
}

#endif

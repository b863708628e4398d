/* loader.h: a token stream as (B,T) batches. Stateless: micro-batch n depends on n and the options alone, so
 * resuming, ranks and threads need nothing kept.
 *
 *     gp_loader *l = gp_loader_open(tokens, &(gp_loader_options){.B = 12, .T = 64, .order = "random", .seed = 1});
 *     int32_t inputs[12 * 64], targets[12 * 64];
 *     gp_loader_batch(l, 0, inputs, targets);        // targets[i] is the token after inputs[i]
 *     gp_loader_close(l);
 *
 * random      each row starts anywhere: uniform, keyed by (seed, n, row)
 * shuffle     windows of T that do not overlap, all of them once an epoch, in an order keyed by (seed, epoch);
 *             each epoch's windows start at an offset of its own, so that no token is always left over
 * sequential  row b of micro-batch n starts at token (n*B + b)*T; after the last whole micro-batch it begins
 *             again at the first, as llm.c does
 * documents   each row starts at a document: any of them, keyed by (seed, n, row), every other one (by lot) with the
 *             separator before it; what follows in the row is the next document. It teaches a model to begin at its
 *             first position, be it behind a separator or at a bare prompt.
 */
#ifndef GPTPIPE_LOADER_H
#define GPTPIPE_LOADER_H

#include <stdint.h>

#include "gptpipe/error.h"
#include "gptpipe/tokens.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gp_loader_options {
    int64_t B, T;        /* rows, tokens a row */
    int64_t first, last; /* tokens [first, last) of the stream; last 0: its end */
    const char *order;   /* "random", "shuffle", "sequential", "documents" */
    uint64_t seed;
} gp_loader_options;

typedef struct gp_loader gp_loader;

/* NULL when the range has fewer than T + 1 tokens. The stream stays open, and the caller's. */
GP_API gp_loader *gp_loader_open(const gp_tokens *tokens, const gp_loader_options *options);
GP_API void gp_loader_close(gp_loader *l);

/* Fills inputs and targets, (B,T) each. -1 when an id is out of the vocabulary. */
GP_API int gp_loader_batch(const gp_loader *l, int64_t n, int32_t *inputs, int32_t *targets);

/* The token at which row b of micro-batch n starts. */
GP_API int64_t gp_loader_start(const gp_loader *l, int64_t n, int64_t b);

/* Windows of T tokens in the range: an epoch of shuffle. */
GP_API int64_t gp_loader_windows(const gp_loader *l);

#ifdef __cplusplus
}
#endif
#endif

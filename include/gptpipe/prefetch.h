/* prefetch.h: batches of a source in their order, prepared ahead by threads.
 *
 *     gp_prefetch *p = gp_prefetch_open(source, &(gp_prefetch_options){.workers = 2});
 *     for (int64_t n = 0; n < source->batches; n++) {
 *         const gp_batch *batch = gp_prefetch_next(p); // as gp_source_fill(source, n, ...) fills it
 *         if (!batch)
 *             return -1;
 *         ...
 *     }
 *     gp_prefetch_close(p);
 */
#ifndef GPTPIPE_PREFETCH_H
#define GPTPIPE_PREFETCH_H

#include <stdint.h>

#include "gptpipe/batch.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gp_prefetch_options {
    int workers;   /* threads that prepare batches; 0: gp_prefetch_next fills each when it is called */
    int ahead;     /* maximum number of batches prepared in advance; 0: two for each worker */
    int64_t first; /* the batch to begin with: where another run stopped */
} gp_prefetch_options;

typedef struct gp_prefetch gp_prefetch;

/* The caller owns the source, which must outlive it. NULL on failure. */
GP_API gp_prefetch *gp_prefetch_open(const gp_source *s, const gp_prefetch_options *o);

/* Waits for the threads; each finishes its current batch. */
GP_API void gp_prefetch_close(gp_prefetch *p);

/* The next batch: first, first + 1, ... without end; valid until the next call. NULL when it cannot be filled; the call
 * after that gives the batch after it. Call it from one thread at a time. */
GP_API const gp_batch *gp_prefetch_next(gp_prefetch *p);

#ifdef __cplusplus
}
#endif
#endif

/* stream_check.h: checks the ids of token streams, and their CRCs, on a separate thread while training begins. Streams
 * without a CRC come first: nothing else verifies their vocabulary. */
#ifndef GP_TRAIN_STREAM_CHECK_H
#define GP_TRAIN_STREAM_CHECK_H

#include <pthread.h>

#include "data/mixture.h"

/* Zero-initialise. */
typedef struct gp_stream_check {
    const gp_mixture *train, *val;
    pthread_t thread;
    bool begun;
    _Atomic bool stop, raw_done, done;
    char *why; /* once done: what is wrong, or NULL */
} gp_stream_check;

/* Begins to check every stream of both, which must outlive c. */
void gp_stream_check_begin(gp_stream_check *c, const gp_mixture *train, const gp_mixture *val);

/* -1 once a stream was found to be damaged, else 0. */
int gp_stream_check_result(gp_stream_check *c);

/* The same after waiting until all streams, or (raw_only) all without a CRC, are checked, or interrupted() is not 0. */
int gp_stream_check_wait(gp_stream_check *c, bool raw_only, int (*interrupted)(void));

/* Ends the check, finished or not. */
void gp_stream_check_end(gp_stream_check *c);

#endif

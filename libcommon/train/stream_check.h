/* stream_check.h: checks the ids of token streams, and their CRCs, on a thread of its own while training begins. Those
 * without a CRC come first: whether their vocabulary is the right one is not known otherwise. */
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

/* Begins with every stream of both, which must outlive it. */
void gp_stream_check_begin(gp_stream_check *c, const gp_mixture *train, const gp_mixture *val);

/* -1 once a stream was found to be wrong; 0 while none was. */
int gp_stream_check_result(gp_stream_check *c);

/* The same when all of those without a CRC, or all of them, are checked; earlier where `interrupted` says so. */
int gp_stream_check_wait_raw(gp_stream_check *c, int (*interrupted)(void));
int gp_stream_check_wait(gp_stream_check *c, int (*interrupted)(void));

/* Ends it wherever it is. */
void gp_stream_check_end(gp_stream_check *c);

#endif

/* stream_check.h: compares the CRCs of token streams on a thread of its own, while training begins. */
#ifndef GP_TRAIN_STREAM_CHECK_H
#define GP_TRAIN_STREAM_CHECK_H

#include <pthread.h>

#include "data/mixture.h"

/* Zero-initialise. */
typedef struct gp_stream_check {
    const gp_mixture *train, *val;
    pthread_t thread;
    bool begun;
    _Atomic bool stop, done;
    char *why; /* once done: what is wrong, or NULL */
} gp_stream_check;

/* Begins with every stream of both, which must outlive it. */
void gp_stream_check_begin(gp_stream_check *c, const gp_mixture *train, const gp_mixture *val);

/* -1 once a stream was found to be damaged; 0 while none was. */
int gp_stream_check_result(gp_stream_check *c);

/* The same when all of them are compared; earlier where `interrupted` says so. */
int gp_stream_check_wait(gp_stream_check *c, int (*interrupted)(void));

/* Ends it wherever it is. */
void gp_stream_check_end(gp_stream_check *c);

#endif

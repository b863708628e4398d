/* threads.h: batches of one source that several threads fill at once. */
#ifndef THREADS_H
#define THREADS_H

#include "gptpipe/batch.h"
#include "test.h"

#include <pthread.h>

enum { FILLING_THREADS = 3 };

typedef struct filling {
    const gp_source *source;
    gp_batch *batches;
    int64_t first, count, begin; /* this thread's are begin, begin + FILLING_THREADS, ... */
    int rc;
} filling;

static void *fill_some(void *self)
{
    filling *f = self;
    for (int64_t i = f->begin; i < f->count && !f->rc; i += FILLING_THREADS)
        f->rc = gp_source_fill(f->source, f->first + i, &f->batches[i]);
    return NULL;
}

/* Fills batches [first, first + count) of a source into batches (count), which are opened here. */
static inline void fill_at_once(const gp_source *s, int64_t first, int64_t count, gp_batch *batches)
{
    pthread_t threads[FILLING_THREADS];
    filling parts[FILLING_THREADS];
    for (int64_t i = 0; i < count; i++)
        batches[i] = gp_batch_open(s);
    for (int i = 0; i < FILLING_THREADS; i++) {
        parts[i] = (filling){.source = s, .batches = batches, .first = first, .count = count, .begin = i};
        assert_int_equal(pthread_create(&threads[i], NULL, fill_some, &parts[i]), 0);
    }
    for (int i = 0; i < FILLING_THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(parts[i].rc, 0);
    }
}

#endif

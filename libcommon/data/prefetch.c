/* prefetch.c: see prefetch.h. */
#include "gptpipe/prefetch.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

enum { MAX_WORKERS = 1024, MAX_AHEAD = 1 << 20 };

/* Batch n goes into slot n % slot_count. */
typedef struct ring_slot {
    gp_batch batch;
    bool ready;
    char *error; /* why the batch could not be filled, or NULL */
} ring_slot;

/* Batches [released, taken) are being filled or are ready; workers may take up to batch released + slot_count - 1. The
 * lock guards all numbers here and `ready`; a slot that is not ready belongs to the worker that took its batch. */
struct gp_prefetch {
    const gp_source *source;
    gp_prefetch_options o;
    ring_slot *slots;
    int slot_count;
    pthread_t *workers;
    int worker_count;
    pthread_mutex_t lock;
    pthread_cond_t slot_free, batch_ready;
    int64_t released, taken;
    bool in_use; /* the caller is using batch `released` */
    bool stop;
};

static int fill(const gp_prefetch *p, int64_t n, ring_slot *s)
{
    if (!s->batch.memory)
        s->batch = gp_batch_open(p->source);
    return gp_source_fill(p->source, n, &s->batch);
}

/* ---- the threads ----------------------------------------------------------------------------------------- */

static void *work(void *self)
{
    gp_prefetch *p = self;
    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (!p->stop && p->taken >= p->released + p->slot_count)
            pthread_cond_wait(&p->slot_free, &p->lock);
        if (p->stop)
            break;
        int64_t n = p->taken++;
        ring_slot *s = &p->slots[n % p->slot_count];
        pthread_mutex_unlock(&p->lock);
        if (fill(p, n, s))
            s->error = gp_strdup(gp_error());
        pthread_mutex_lock(&p->lock);
        s->ready = true;
        pthread_cond_signal(&p->batch_ready);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* Frees the slot of the batch that the caller was using. */
static void release_last(gp_prefetch *p)
{
    ring_slot *s = &p->slots[p->released % p->slot_count];
    if (!p->in_use)
        return;
    free(s->error);
    s->error = NULL;
    s->ready = false;
    p->in_use = false;
    p->released++;
    pthread_cond_signal(&p->slot_free);
}

const gp_batch *gp_prefetch_next(gp_prefetch *p)
{
    pthread_mutex_lock(&p->lock);
    release_last(p);
    int64_t n = p->released;
    ring_slot *s = &p->slots[n % p->slot_count];
    while (p->worker_count && !s->ready)
        pthread_cond_wait(&p->batch_ready, &p->lock);
    p->in_use = true;
    pthread_mutex_unlock(&p->lock);
    if (!p->worker_count)
        return fill(p, n, s) ? NULL : &s->batch;
    if (!s->error)
        return &s->batch;
    fail("%s", s->error);
    return NULL;
}

static int start(gp_prefetch *p)
{
    p->workers = gp_calloc((size_t)p->o.workers, sizeof *p->workers);
    for (int i = 0; i < p->o.workers; i++) {
        int error = pthread_create(&p->workers[i], NULL, work, p);
        if (error)
            return fail("cannot start thread %d of %d to prepare batches: %s", i + 1, p->o.workers, strerror(error));
        p->worker_count++; /* not guarded: workers do not read it */
    }
    return 0;
}

void gp_prefetch_close(gp_prefetch *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->slot_free);
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < p->worker_count; i++)
        pthread_join(p->workers[i], NULL);
    for (int i = 0; i < p->slot_count; i++) {
        gp_batch_close(&p->slots[i].batch);
        free(p->slots[i].error);
    }
    pthread_cond_destroy(&p->slot_free);
    pthread_cond_destroy(&p->batch_ready);
    pthread_mutex_destroy(&p->lock);
    free(p->workers);
    free(p->slots);
    free(p);
}

gp_prefetch *gp_prefetch_open(const gp_source *source, const gp_prefetch_options *o)
{
    if (o->workers < 0 || o->workers > MAX_WORKERS || o->ahead < 0 || o->ahead > MAX_AHEAD || o->first < 0)
        return fail("invalid prefetch options: %d threads, %d batches ahead, first batch %lld", o->workers, o->ahead,
                    (long long)o->first),
               NULL;
    gp_prefetch *p = gp_calloc(1, sizeof *p);
    *p = (gp_prefetch){.source = source, .o = *o, .released = o->first, .taken = o->first};
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->slot_free, NULL);
    pthread_cond_init(&p->batch_ready, NULL);
    p->slot_count = o->workers ? (o->ahead ? o->ahead : 2 * o->workers) + 1 : 1; /* one more for the caller */
    p->slots = gp_calloc((size_t)p->slot_count, sizeof *p->slots);
    if (!o->workers || !start(p))
        return p;
    gp_prefetch_close(p);
    return NULL;
}

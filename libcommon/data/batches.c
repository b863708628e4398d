/* batches.c: see gptpipe/batches.h. */
#include "gptpipe/batches.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/rng.h"

enum { MOST_WORKERS = 1024, MOST_AHEAD = 1 << 20 };

/* A place in the ring: batch n goes into slot n % slots. */
typedef struct ring_slot {
    gp_item_batch batch;
    bool ready;
    char *error; /* why the batch could not be made, or NULL */
} ring_slot;

/* Batches [released, taken) are being made or wait in their slots, and [released, released + slots) may be. The lock
 * guards all numbers here and `ready`; a slot that is not ready belongs to the worker that took its batch. */
struct gp_batches {
    const gp_dataset *d;
    const gp_tokenizer *t;
    gp_batches_options o;
    int64_t items, per_epoch;
    ring_slot *slots;
    int slot_count;
    pthread_t *workers;
    int worker_count;
    pthread_mutex_t lock;
    pthread_cond_t room, done; /* a batch was released; a batch is ready */
    int64_t released, taken;
    bool given; /* the caller has the batch `released` in its hands */
    bool stop;
};

/* ---- one batch ------------------------------------------------------------------------------------------- */

void gp_item_batch_release(gp_item_batch *batch)
{
    free(batch->ids);
    free(batch->items);
    free(batch->lengths);
    free(batch->labels);
    *batch = (gp_item_batch){0};
}

static void make_room(const gp_batches *b, gp_item_batch *batch)
{
    size_t B = (size_t)b->o.B, T = (size_t)b->o.T;
    if (batch->ids)
        return;
    batch->ids = gp_calloc(B * T, sizeof *batch->ids);
    batch->items = gp_calloc(B, sizeof *batch->items);
    batch->lengths = gp_calloc(B, sizeof *batch->lengths);
    batch->labels = gp_calloc(B, sizeof *batch->labels);
}

static int64_t item_of(const gp_batches *b, int64_t epoch, int64_t row)
{
    if (b->o.in_order)
        return row;
    return (int64_t)gp_random_permute((uint64_t)row, (uint64_t)b->items, b->o.seed, GP_RNG_ITEMS, 0, (uint64_t)epoch);
}

static int fill_row(const gp_batches *b, gp_item_batch *batch, int64_t r, gp_dataset_item *item)
{
    int32_t *ids = NULL;
    int64_t count = 0, T = b->o.T;
    if (gp_dataset_get(b->d, batch->items[r], item))
        return -1;
    if (gp_tokenizer_encode(b->t, item->text, item->length, &ids, &count)) {
        char *which = gp_format("item %lld", (long long)batch->items[r]);
        gp_fail_in(which);
        free(which);
        return -1;
    }
    count = gp_min(count, T);
    if (count)
        memcpy(batch->ids + r * T, ids, (size_t)count * sizeof *ids);
    free(ids);
    batch->lengths[r] = (int32_t)count;
    batch->labels[r] = item->label;
    return 0;
}

int gp_batches_get(const gp_batches *b, int64_t n, gp_item_batch *batch)
{
    BUG_ON(n < 0);
    int64_t epoch = n / b->per_epoch, first = n % b->per_epoch * b->o.B;
    gp_dataset_item item = {0};
    int rc = 0;
    make_room(b, batch);
    batch->n = n;
    batch->rows = gp_min(b->o.B, b->items - first);
    for (int64_t i = 0; i < b->o.B * b->o.T; i++)
        batch->ids[i] = b->o.pad;
    for (int64_t r = 0; r < b->o.B; r++) {
        batch->items[r] = r < batch->rows ? item_of(b, epoch, first + r) : -1;
        batch->lengths[r] = 0;
        batch->labels[r] = -1;
        if (!rc && r < batch->rows)
            rc = fill_row(b, batch, r, &item);
    }
    gp_dataset_item_release(&item);
    return rc;
}

/* ---- the threads ----------------------------------------------------------------------------------------- */

static void *work(void *self)
{
    gp_batches *b = self;
    pthread_mutex_lock(&b->lock);
    for (;;) {
        while (!b->stop && b->taken >= b->released + b->slot_count)
            pthread_cond_wait(&b->room, &b->lock);
        if (b->stop)
            break;
        int64_t n = b->taken++;
        ring_slot *s = &b->slots[n % b->slot_count];
        pthread_mutex_unlock(&b->lock);
        if (gp_batches_get(b, n, &s->batch))
            s->error = gp_strdup(gp_error());
        pthread_mutex_lock(&b->lock);
        s->ready = true;
        pthread_cond_signal(&b->done);
    }
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

/* The caller is done with the batch that it had: its slot is free. */
static void release_given(gp_batches *b)
{
    ring_slot *s = &b->slots[b->released % b->slot_count];
    if (!b->given)
        return;
    free(s->error);
    s->error = NULL;
    s->ready = false;
    b->given = false;
    b->released++;
    pthread_cond_signal(&b->room);
}

const gp_item_batch *gp_batches_next(gp_batches *b)
{
    pthread_mutex_lock(&b->lock);
    release_given(b);
    int64_t n = b->released;
    ring_slot *s = &b->slots[n % b->slot_count];
    while (b->worker_count && !s->ready)
        pthread_cond_wait(&b->done, &b->lock);
    b->given = true;
    pthread_mutex_unlock(&b->lock);
    if (!b->worker_count)
        return gp_batches_get(b, n, &s->batch) ? NULL : &s->batch;
    if (!s->error)
        return &s->batch;
    fail("%s", s->error);
    return NULL;
}

static int start(gp_batches *b)
{
    b->workers = gp_calloc((size_t)b->o.workers, sizeof *b->workers);
    for (int i = 0; i < b->o.workers; i++) {
        int error = pthread_create(&b->workers[i], NULL, work, b);
        if (error)
            return fail("thread %d of %d that should prepare batches cannot be started: %s", i + 1, b->o.workers,
                        strerror(error));
        /* Only this thread reads it, and the workers never do. */
        b->worker_count++;
    }
    return 0;
}

void gp_batches_close(gp_batches *b)
{
    if (!b)
        return;
    pthread_mutex_lock(&b->lock);
    b->stop = true;
    pthread_cond_broadcast(&b->room);
    pthread_mutex_unlock(&b->lock);
    for (int i = 0; i < b->worker_count; i++)
        pthread_join(b->workers[i], NULL);
    for (int i = 0; i < b->slot_count; i++) {
        gp_item_batch_release(&b->slots[i].batch);
        free(b->slots[i].error);
    }
    pthread_cond_destroy(&b->room);
    pthread_cond_destroy(&b->done);
    pthread_mutex_destroy(&b->lock);
    free(b->workers);
    free(b->slots);
    free(b);
}

static int check(gp_batches *b)
{
    const gp_batches_options *o = &b->o;
    int64_t bytes;
    b->items = gp_dataset_length(b->d);
    if (o->B < 1 || o->T < 1 || !gp_mul(o->B, o->T, &bytes) || !gp_mul(bytes, 4, &bytes))
        return fail("batches of %lld rows of %lld tokens cannot be made", (long long)o->B, (long long)o->T);
    if (o->workers < 0 || o->workers > MOST_WORKERS || o->ahead < 0 || o->ahead > MOST_AHEAD || o->first < 0)
        return fail("batches by %d threads, %d ahead, from number %lld on cannot be made", o->workers, o->ahead,
                    (long long)o->first);
    if (!b->items)
        return fail("the data set has no items to make batches of");
    b->per_epoch = b->items / o->B + (!o->drop_last && b->items % o->B);
    if (!b->per_epoch)
        return fail("the data set has %lld items, which make no batch of %lld", (long long)b->items, (long long)o->B);
    return 0;
}

gp_batches *gp_batches_open(const gp_dataset *d, const gp_tokenizer *t, const gp_batches_options *o)
{
    gp_batches *b = gp_calloc(1, sizeof *b);
    *b = (gp_batches){.d = d, .t = t, .o = *o, .released = o->first, .taken = o->first};
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->room, NULL);
    pthread_cond_init(&b->done, NULL);
    int rc = check(b);
    if (!rc) {
        b->slot_count = o->workers ? (o->ahead ? o->ahead : 2 * o->workers) + 1 : 1; /* one is the caller's */
        b->slots = gp_calloc((size_t)b->slot_count, sizeof *b->slots);
        rc = o->workers ? start(b) : 0;
    }
    if (!rc)
        return b;
    gp_batches_close(b);
    return NULL;
}

int64_t gp_batches_per_epoch(const gp_batches *b)
{
    return b->per_epoch;
}

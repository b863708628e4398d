/* encode_workers.c: see encode_workers.h.
 *
 * With several threads the text is divided into chunks of 256 KB, at the ends of documents and where the pre-tokenizer
 * has a boundary regardless of context. The chunks form a ring: the calling thread fills them, workers encode them, and
 * the calling thread passes on their ids, all in the same order. Short texts are encoded on the calling thread. */
#include "corpus/encode_workers.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "text/text.h"

enum { CHUNK = 1 << 18, MAX_MARKS = CHUNK / 16, MAX_THREADS = 64 };

/* The end of a document within a chunk. */
typedef struct text_end {
    size_t at;   /* offset in the chunk's text */
    int64_t ids; /* of the chunk before it */
    int what;
    int32_t label;
} text_end;

typedef struct chunk {
    gp_buf text;
    text_end *marks;
    int64_t mark_count;
    int32_t *ids;
    int64_t id_count, id_capacity;
    bool done;
} chunk;

struct gp_encoding {
    gp_encoding_options o;
    gp_encoder *encoder; /* one thread's, or NULL */
    size_t searched;     /* bytes of the chunk being filled that contain no boundary */
    chunk *ring;         /* (size) chunk number n is ring[n % size] */
    int64_t size;
    int64_t filled, emitted; /* chunks submitted to the workers; chunks passed on. Chunk `filled` is being filled */
    pthread_t threads[MAX_THREADS];
    int running;
    pthread_mutex_t lock; /* of the members below, and of chunk.done */
    pthread_cond_t change;
    int64_t available, taken; /* chunks that workers may take; chunks taken */
    bool over;
};

/* ---- a chunk's ids --------------------------------------------------------------------------------------- */

static int collect(void *self, const int32_t *ids, int64_t count)
{
    chunk *c = self;
    if (c->id_count + count > c->id_capacity) {
        c->id_capacity = gp_max(2 * c->id_capacity, c->id_count + count + CHUNK / 4);
        c->ids = gp_realloc(c->ids, (size_t)c->id_capacity, sizeof *c->ids);
    }
    memcpy(c->ids + c->id_count, ids, (size_t)count * sizeof *ids);
    c->id_count += count;
    return 0;
}

/* Encodes each run of text between marks, and between a mark and an end of the chunk, separately. */
static void encode_chunk(gp_encoder *encoder, chunk *c)
{
    size_t at = 0;
    c->id_count = 0;
    for (int64_t i = 0; i <= c->mark_count; i++) {
        size_t end = i < c->mark_count ? c->marks[i].at : c->text.len;
        int rc = gp_encoder_finish(encoder, c->text.data + at, end - at);
        BUG_ON(rc); /* BPE and WordPiece have an id for every text */
        if (i < c->mark_count)
            c->marks[i].ids = c->id_count;
        at = end;
    }
}

static int collect_current(void *self, const int32_t *ids, int64_t count)
{
    return collect(*(chunk **)self, ids, count);
}

static void *work(void *self)
{
    gp_encoding *e = self;
    chunk *c = NULL;
    gp_encoder *encoder = gp_encoder_open(e->o.t, collect_current, &c);
    pthread_mutex_lock(&e->lock);
    for (;;) {
        while (e->taken == e->available && !e->over)
            pthread_cond_wait(&e->change, &e->lock);
        if (e->taken == e->available)
            break;
        c = &e->ring[e->taken++ % e->size];
        pthread_mutex_unlock(&e->lock);
        encode_chunk(encoder, c);
        pthread_mutex_lock(&e->lock);
        c->done = true;
        pthread_cond_broadcast(&e->change);
    }
    pthread_mutex_unlock(&e->lock);
    gp_encoder_close(encoder);
    return NULL;
}

/* ---- the ring -------------------------------------------------------------------------------------------- */

static int pass_on(gp_encoding *e, chunk *c)
{
    int64_t at = 0;
    int rc = 0;
    for (int64_t i = 0; i <= c->mark_count && !rc; i++) {
        int64_t end = i < c->mark_count ? c->marks[i].ids : c->id_count;
        if (end > at)
            rc = e->o.put(e->o.self, c->ids + at, end - at);
        if (!rc && i < c->mark_count)
            rc = e->o.mark(e->o.self, c->marks[i].what, c->marks[i].label);
        at = end;
    }
    c->text.len = 0;
    c->mark_count = 0;
    c->done = false;
    return rc;
}

/* Waits for the oldest chunk and passes on its ids. */
static int emit(gp_encoding *e)
{
    chunk *c = &e->ring[e->emitted % e->size];
    pthread_mutex_lock(&e->lock);
    while (!c->done)
        pthread_cond_wait(&e->change, &e->lock);
    pthread_mutex_unlock(&e->lock);
    e->emitted++;
    return pass_on(e, c);
}

/* Submits the chunk being filled, up to `cut`, to the workers; the rest moves to the next chunk. */
static int submit(gp_encoding *e, size_t cut)
{
    chunk *c = &e->ring[e->filled % e->size];
    if (e->filled + 1 - e->emitted == e->size) {
        int rc = emit(e);
        if (rc)
            return rc;
    }
    chunk *next = &e->ring[(e->filled + 1) % e->size];
    gp_buf_add(&next->text, c->text.data + cut, c->text.len - cut);
    c->text.len = cut;
    e->filled++;
    e->searched = 0;
    while (e->running < e->o.threads && !pthread_create(&e->threads[e->running], NULL, work, e))
        e->running++;
    if (!e->running)
        die("cannot start a thread");
    pthread_mutex_lock(&e->lock);
    e->available = e->filled;
    pthread_cond_broadcast(&e->change);
    pthread_mutex_unlock(&e->lock);
    return 0;
}

/* ---- filling --------------------------------------------------------------------------------------------- */

gp_encoding *gp_encoding_open(const gp_encoding_options *o)
{
    gp_encoding *e = gp_calloc(1, sizeof *e);
    e->o = *o;
    e->o.threads = (int)gp_min(o->threads, MAX_THREADS);
    if (o->threads < 2 || o->allow_special ||
        !gp_tokenizer_can_split(o->t)) { /* characters are encoded faster than written */
        e->encoder = gp_encoder_open(o->t, o->put, o->self);
        if (o->allow_special)
            gp_encoder_allow_special(e->encoder);
        return e;
    }
    e->size = e->o.threads + 2;
    e->ring = gp_calloc((size_t)e->size, sizeof *e->ring);
    pthread_mutex_init(&e->lock, NULL);
    pthread_cond_init(&e->change, NULL);
    return e;
}

void gp_encoding_close(gp_encoding *e)
{
    if (!e)
        return;
    gp_encoder_close(e->encoder);
    if (e->ring) {
        pthread_mutex_lock(&e->lock);
        e->over = true;
        e->available = e->taken; /* drops chunks that no worker has taken */
        pthread_cond_broadcast(&e->change);
        pthread_mutex_unlock(&e->lock);
        for (int i = 0; i < e->running; i++)
            pthread_join(e->threads[i], NULL);
        for (int64_t i = 0; i < e->size; i++) {
            gp_buf_release(&e->ring[i].text);
            free(e->ring[i].marks);
            free(e->ring[i].ids);
        }
        pthread_mutex_destroy(&e->lock);
        pthread_cond_destroy(&e->change);
    }
    free(e->ring);
    free(e);
}

void gp_encoding_place(gp_encoding *e, const char *name, int64_t offset)
{
    if (e->encoder)
        gp_encoder_place(e->encoder, name, offset);
}

int gp_encoding_feed(gp_encoding *e, const char *text, size_t length, bool last)
{
    if (e->encoder)
        return last ? gp_encoder_finish(e->encoder, text, length) : gp_encoder_feed(e->encoder, text, length);
    while (length) {
        chunk *c = &e->ring[e->filled % e->size];
        size_t n = length < CHUNK ? length : CHUNK;
        gp_buf_add(&c->text, text, n);
        text += n;
        length -= n;
        if (c->text.len < CHUNK)
            continue;
        size_t first = c->mark_count ? c->marks[c->mark_count - 1].at : 0;
        size_t from = e->searched > first ? e->searched : first;
        size_t cut = gp_tokenizer_cut(e->o.t, c->text.data, c->text.len, from);
        e->searched = c->text.len;
        int rc = cut ? submit(e, cut) : 0;
        if (rc)
            return rc;
    }
    return 0;
}

int gp_encoding_end(gp_encoding *e, int what, int32_t label)
{
    if (e->encoder) {
        int rc = gp_encoder_end(e->encoder);
        return rc ? rc : e->o.mark(e->o.self, what, label);
    }
    chunk *c = &e->ring[e->filled % e->size];
    c->marks = gp_grow(c->marks, c->mark_count, sizeof *c->marks);
    c->marks[c->mark_count++] = (text_end){.at = c->text.len, .what = what, .label = label};
    return c->text.len < CHUNK && c->mark_count < MAX_MARKS ? 0 : submit(e, c->text.len);
}

int gp_encoding_finish(gp_encoding *e)
{
    int rc = 0;
    if (e->encoder)
        return gp_encoder_end(e->encoder);
    while (e->emitted < e->filled && !rc)
        rc = emit(e);
    chunk *c = &e->ring[e->filled % e->size];
    if (rc || (!c->text.len && !c->mark_count))
        return rc;
    gp_encoder *encoder = gp_encoder_open(e->o.t, collect, c); /* the last chunk is encoded on this thread */
    encode_chunk(encoder, c);
    gp_encoder_close(encoder);
    return pass_on(e, c);
}

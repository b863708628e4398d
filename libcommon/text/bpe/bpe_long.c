/* bpe_long.c: merges one long piece (a line of dashes, a gene, ten megabytes of one letter) in linear time.
 *
 * Every byte is a node of a doubly linked list. The pairs that have a rank wait in buckets, one a rank; a bitmap
 * tells which are not empty, and the lowest is emptied first. A merge takes two nodes into one and moves at most two
 * pairs to other buckets, so n bytes cost at most n - 1 merges of constant work: no heap, no sorting. Within a
 * bucket the order does not matter, except where a pair overlaps itself (a a a): such runs are merged from their
 * left end. It does matter where a merge makes what an earlier one takes, because that one comes next then: with such
 * merges the list is searched for the best pair each time, in windows that are small.
 *
 * The list covers a window that fits in the cache, and the windows are joined exactly. A sequence of tokens is the
 * encoding of its text if and only if each two neighbours, encoded alone, stay as they are. (If: take the first
 * merge that would cross a boundary; until then both sides went as they go alone, so alone it would be made too.
 * Only if: inside the two, merges go as they go in the whole.) Each window begins at a token that the one before it
 * found near its end. When it finds the same token first, the two fit, because those neighbours stood side by side
 * in the window before. When it does not, the window before was cut too early and is made again, larger. The last
 * window has the true end of the piece; from it back, all that fits is final. */
#include "text/bpe/bpe.h"

#include <stdlib.h>
#include <string.h>

enum { WINDOW = 1 << 14, SMALL_WINDOW = 1 << 8 }; /* bytes at first */

typedef struct token_node {
    int32_t id;
    int32_t before, after; /* neighbours, -1 at the ends */
    int32_t up, down;      /* in the bucket of the pair (this, after); up -1: the first */
    int32_t rank;          /* of that pair; -1: none, and in no bucket */
} token_node;

struct gp_long {
    token_node *nodes; /* (capacity) */
    size_t capacity;
    int32_t *ids; /* of the piece so far */
    int64_t id_capacity;
    int32_t *bucket;  /* (merges) first node, -1: empty; all empty between pieces */
    uint64_t *filled; /* (merges) bits */
    size_t lowest;    /* no word of `filled` below this has a bit */
};

void gp_long_free(struct gp_long *w)
{
    if (!w)
        return;
    free(w->nodes);
    free(w->ids);
    free(w->bucket);
    free(w->filled);
    free(w);
}

static void put_id(struct gp_long *w, int64_t i, int32_t id)
{
    if (i >= w->id_capacity) {
        w->id_capacity = i + i / 2 + 1024;
        w->ids = gp_realloc(w->ids, (size_t)w->id_capacity, sizeof *w->ids);
    }
    w->ids[i] = id;
}

static struct gp_long *new_workspace(const gp_bpe *b)
{
    struct gp_long *w = gp_calloc(1, sizeof *w);
    w->bucket = gp_malloc((size_t)b->count * sizeof *w->bucket);
    memset(w->bucket, 0xff, (size_t)b->count * sizeof *w->bucket);
    w->filled = gp_calloc((size_t)b->count / 64 + 1, sizeof *w->filled);
    return w;
}

/* Takes the pair that begins at i out of its bucket. */
static void leave(struct gp_long *w, int32_t i)
{
    token_node *n = &w->nodes[i];
    int32_t rank = n->rank;
    if (rank < 0)
        return;
    if (n->down >= 0)
        w->nodes[n->down].up = n->up;
    if (n->up >= 0)
        w->nodes[n->up].down = n->down;
    else if ((w->bucket[rank] = n->down) < 0)
        w->filled[rank / 64] &= ~((uint64_t)1 << rank % 64);
    n->rank = -1;
}

/* Puts the pair that begins at i into the bucket of its rank, if it has one. */
static void enter(const gp_bpe *b, struct gp_long *w, int32_t i)
{
    token_node *n = &w->nodes[i];
    int32_t rank = n->rank = n->after < 0 ? -1 : gp_bpe_find(b, n->id, w->nodes[n->after].id);
    if (rank < 0)
        return;
    n->up = -1;
    n->down = w->bucket[rank];
    if (n->down >= 0)
        w->nodes[n->down].up = i;
    w->bucket[rank] = i;
    w->filled[rank / 64] |= (uint64_t)1 << rank % 64;
    if ((size_t)rank / 64 < w->lowest)
        w->lowest = (size_t)rank / 64;
}

/* Makes node i and the one after it one node. */
static void merge(const gp_bpe *b, struct gp_long *w, int32_t i)
{
    token_node *n = &w->nodes[i];
    int32_t id = b->list[n->rank].id, gone = n->after;
    leave(w, i);
    leave(w, gone);
    n->id = id;
    n->after = w->nodes[gone].after;
    if (n->after >= 0)
        w->nodes[n->after].before = i;
    if (n->before >= 0) {
        leave(w, n->before);
        enter(b, w, n->before);
    }
    enter(b, w, i);
}

/* Merges the pair at i everywhere in the run that it is part of. */
static void merge_run(const gp_bpe *b, struct gp_long *w, int32_t i)
{
    int32_t rank = w->nodes[i].rank;
    const gp_merge *pair = &b->list[rank];
    if (pair->left != pair->right) {
        merge(b, w, i);
        return;
    }
    while (w->nodes[i].before >= 0 && w->nodes[w->nodes[i].before].id == pair->left)
        i = w->nodes[i].before;
    while (i >= 0 && w->nodes[i].rank == rank) {
        merge(b, w, i);
        i = w->nodes[i].after;
    }
}

/* The first node of the lowest bucket; -1 when all are empty. */
static int32_t best(const gp_bpe *b, struct gp_long *w)
{
    for (size_t words = (size_t)b->count / 64 + 1; w->lowest < words; w->lowest++)
        if (w->filled[w->lowest])
            return w->bucket[64 * w->lowest + (size_t)__builtin_ctzll(w->filled[w->lowest])];
    return -1;
}

/* The first node of the leftmost pair with the lowest rank, by looking at all of them; -1 when there is none. */
static int32_t leftmost_best(const struct gp_long *w)
{
    int32_t found = -1;
    for (int32_t i = 0; i >= 0; i = w->nodes[i].after)
        if (w->nodes[i].rank >= 0 && (found < 0 || w->nodes[i].rank < w->nodes[found].rank))
            found = i;
    return found;
}

/* Merges the n bytes at p: node 0 is the first token. */
static void merge_window(const gp_bpe *b, struct gp_long *w, const uint8_t *p, size_t n)
{
    if (n > w->capacity) {
        BUG_ON(n > INT32_MAX);
        free(w->nodes);
        w->nodes = gp_malloc(n * sizeof *w->nodes);
        w->capacity = n;
    }
    w->lowest = (size_t)b->count / 64 + 1;
    for (size_t i = 0; i < n; i++)
        w->nodes[i] =
            (token_node){.id = b->byte_id[p[i]], .rank = -1, .before = (int32_t)i - 1, .after = (int32_t)i + 1};
    w->nodes[n - 1].after = -1;
    for (size_t i = n; i-- > 0;)
        enter(b, w, (int32_t)i);
    for (int32_t i; b->disordered && (i = leftmost_best(w)) >= 0;)
        merge(b, w, i);
    for (int32_t i; (i = best(b, w)) >= 0;)
        merge_run(b, w, i);
}

/* A place where a window begins. */
typedef struct window_start {
    size_t at;
    int64_t ids;   /* how many ids come before it */
    int32_t first; /* the token that must begin there; -1: any */
} window_start;

/* Encodes the n bytes at p into w->ids; gives their number. */
static int64_t join_windows(const gp_bpe *b, struct gp_long *w, const uint8_t *p, size_t n)
{
    size_t window = b->disordered ? SMALL_WINDOW : WINDOW, top = 0, capacity = 0;
    window_start *marks = NULL, m = {.first = -1};
    for (;;) {
        if (top == capacity) {
            capacity = capacity ? 2 * capacity : 64;
            marks = gp_realloc(marks, capacity, sizeof *marks);
        }
        marks[top] = m;
        size_t length = n - m.at < window ? n - m.at : window;
        bool last = m.at + length == n;
        merge_window(b, w, p + m.at, length);
        bool fits = m.first < 0 || w->nodes[0].id == m.first;
        int32_t i = 0;
        while (fits && i >= 0 && (last || (size_t)i < length - length / 32)) {
            put_id(w, m.ids++, w->nodes[i].id);
            i = w->nodes[i].after;
        }
        if (fits && last)
            break;
        if (fits && i >= 0) {
            m.at += (size_t)i;
            m.first = w->nodes[i].id;
            top++;
        } else { /* too small: this one, or the one before */
            top -= !fits;
            m = marks[top];
            window *= 2;
        }
    }
    free(marks);
    return m.ids;
}

int gp_bpe_encode_long(const gp_bpe *b, struct gp_long **workspace, const uint8_t *p, size_t n, gp_ids *out)
{
    struct gp_long *w = *workspace ? *workspace : (*workspace = new_workspace(b));
    int64_t count = join_windows(b, w, p, n);
    for (int64_t i = 0; i < count; i++) {
        if (gp_ids_room(out, 1))
            return -1;
        gp_ids_put(out, w->ids[i]);
    }
    return 0;
}

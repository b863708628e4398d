/* bpe_long.c: merges one long piece (a line of dashes, a gene, ten megabytes of one letter) in linear time.
 *
 * Every byte is a node of a doubly linked list. The pairs that have a rank wait in buckets, one a rank; a
 * bitmap tells which are not empty, and the lowest is emptied first. A merge takes two nodes into one and
 * moves at most two pairs to other buckets, so n bytes cost at most n - 1 merges of constant work: no heap,
 * no sorting.
 *
 * Within a bucket the order does not matter, except where a pair overlaps itself (a a a): such runs are
 * merged from their left end. */
#include "text/bpe.h"

#include <stdlib.h>
#include <string.h>

typedef struct node {
    int32_t id;
    int32_t before, after; /* neighbours, -1 at the ends */
    int32_t up, down;      /* in the bucket of the pair (this, after); up -1: the first */
    int32_t rank;          /* of that pair; -1: none, and in no bucket */
} node;

struct gp_long {
    node *nodes;
    size_t capacity;
    int32_t *bucket;  /* (merges) first node, -1: empty; all empty between pieces */
    uint64_t *filled; /* (merges) bits */
    size_t lowest;    /* no word of `filled` below this has a bit */
};

void gp_long_free(struct gp_long *w)
{
    if (!w)
        return;
    free(w->nodes);
    free(w->bucket);
    free(w->filled);
    free(w);
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
    node *n = &w->nodes[i];
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
    node *n = &w->nodes[i];
    const gp_merge *pair = n->after < 0 ? NULL : gp_bpe_find(b, n->id, w->nodes[n->after].id);
    if (!pair)
        return;
    int32_t rank = n->rank = pair->rank;
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
    node *n = &w->nodes[i];
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
    const gp_merge *pair = &b->list[w->nodes[i].rank];
    if (pair->left != pair->right) {
        merge(b, w, i);
        return;
    }
    while (w->nodes[i].before >= 0 && w->nodes[w->nodes[i].before].id == pair->left)
        i = w->nodes[i].before;
    while (i >= 0 && w->nodes[i].rank == pair->rank) {
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

int gp_bpe_encode_long(const gp_bpe *b, struct gp_long **workspace, const uint8_t *p, size_t n, gp_ids *out)
{
    if (n > INT32_MAX)
        return fail("a piece of text of %zu bytes without a break is more than a BPE can take", n);
    struct gp_long *w = *workspace ? *workspace : (*workspace = new_workspace(b));
    if (n > w->capacity) {
        free(w->nodes);
        w->nodes = gp_malloc(n * sizeof *w->nodes);
        w->capacity = n;
    }
    w->lowest = (size_t)b->count / 64 + 1;
    for (size_t i = 0; i < n; i++)
        w->nodes[i] = (node){.id = b->byte_id[p[i]],
                             .rank = -1,
                             .before = (int32_t)i - 1,
                             .after = i + 1 < n ? (int32_t)i + 1 : -1};
    for (size_t i = n; i-- > 0;)
        enter(b, w, (int32_t)i);
    for (int32_t i; (i = best(b, w)) >= 0;)
        merge_run(b, w, i);
    for (int32_t i = 0; i >= 0; i = w->nodes[i].after) {
        if (gp_ids_room(out, 1))
            return -1;
        gp_ids_put(out, w->nodes[i].id);
    }
    if (w->capacity > 1 << 20) { /* rare: give the memory back */
        free(w->nodes);
        w->nodes = NULL;
        w->capacity = 0;
    }
    return 0;
}

/* bpe_long.c: encodes one long piece (a line of dashes, a gene, ten megabytes of one letter) in linear time.
 *
 * Every byte is a node of a doubly linked list. Pairs with a rank are in buckets, one per rank; a bitmap tells which
 * buckets are not empty, and the lowest is processed first. A merge joins two nodes and moves at most two pairs to
 * other buckets, so n bytes take at most n - 1 merges of constant time, without a heap or sorting. Within a bucket the
 * order does not matter, except if a pair overlaps itself (a a a): such runs are merged from the left. The order does
 * matter if a merge makes a part of an earlier merge, which must then come next: with such merges, the list is searched
 * for the best pair each time, in small windows.
 *
 * The list covers a window that fits in the cache, and windows are joined exactly. A sequence of tokens is the encoding
 * of its text if and only if each two adjacent tokens, encoded alone, stay the same. (If: consider the first merge that
 * would cross a boundary; until then both sides were merged as they are alone, so it would happen alone too. Only if:
 * within the two, merges happen as they do in the whole text.) Each window begins at a token that the previous window
 * found near its end. If it finds the same first token, the windows fit, since the two tokens at the boundary were
 * adjacent in the previous window. If not, the previous window ended too early and is encoded again, larger. The last
 * window ends at the end of the piece, so once it fits, all is final. */
#include "text/bpe/bpe.h"

#include <stdlib.h>
#include <string.h>

enum { WINDOW = 1 << 14, SMALL_WINDOW = 1 << 8 }; /* initial size in bytes */

typedef struct token_node {
    int32_t id;
    int32_t before, after; /* adjacent nodes, -1 at the ends */
    int32_t up, down;      /* neighbours of the pair (this, after) in its bucket; up -1: it is the first */
    int32_t rank;          /* of that pair; -1: none, so it is in no bucket */
} token_node;

struct gp_long {
    token_node *nodes; /* (capacity) */
    size_t capacity;
    int32_t *ids; /* of the piece so far */
    int64_t id_capacity;
    int32_t *bucket;  /* (merges) first node, or -1; all empty between pieces */
    uint64_t *filled; /* (merges) bitmap of buckets that are not empty */
    size_t lowest;    /* all words of `filled` below this are 0 */
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

/* Removes the pair that begins at i from its bucket. */
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

/* Adds the pair that begins at i to the bucket of its rank, if it has one. */
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

/* Joins node i and the node after it. */
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

/* Merges the pair at i; if its two ids are equal, everywhere in the run of that id. */
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

/* The first node of the lowest bucket, or -1. */
static int32_t best(const gp_bpe *b, struct gp_long *w)
{
    for (size_t words = (size_t)b->count / 64 + 1; w->lowest < words; w->lowest++)
        if (w->filled[w->lowest])
            return w->bucket[64 * w->lowest + (size_t)__builtin_ctzll(w->filled[w->lowest])];
    return -1;
}

/* The leftmost pair with the lowest rank, by linear search; -1 if there is none. */
static int32_t leftmost_best(const struct gp_long *w)
{
    int32_t found = -1;
    for (int32_t i = 0; i >= 0; i = w->nodes[i].after)
        if (w->nodes[i].rank >= 0 && (found < 0 || w->nodes[i].rank < w->nodes[found].rank))
            found = i;
    return found;
}

/* Encodes the n bytes at p; node 0 is the first token. */
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
    for (int32_t i; b->out_of_order && (i = leftmost_best(w)) >= 0;)
        merge(b, w, i);
    for (int32_t i; (i = best(b, w)) >= 0;)
        merge_run(b, w, i);
}

/* The start of a window. */
typedef struct window_start {
    size_t at;
    int64_t ids;   /* number of ids before it */
    int32_t first; /* the token that must begin there, or -1 */
} window_start;

/* Encodes the n bytes at p into w->ids; returns the number of ids. */
static int64_t join_windows(const gp_bpe *b, struct gp_long *w, const uint8_t *p, size_t n)
{
    size_t window = b->out_of_order ? SMALL_WINDOW : WINDOW, top = 0;
    window_start *starts = NULL, m = {.first = -1};
    for (;;) {
        starts = gp_grow(starts, (int64_t)top, sizeof *starts);
        starts[top] = m;
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
        } else { /* this window, or the one before, is too small */
            top -= !fits;
            m = starts[top];
            window *= 2;
        }
    }
    free(starts);
    return m.ids;
}

int gp_bpe_encode_long(const gp_bpe *b, struct gp_long **workspace, const uint8_t *p, size_t n, gp_ids *out)
{
    struct gp_long *w = *workspace ? *workspace : (*workspace = new_workspace(b));
    int64_t count = join_windows(b, w, p, n);
    for (int64_t i = 0; i < count; i++) {
        if (gp_ids_reserve(out, 1))
            return -1;
        gp_ids_put(out, w->ids[i]);
    }
    return 0;
}

/* bpe_train.c: learns merges (Sennrich et al. 2016): repeatedly, the adjacent pair with the highest count over all
 * pieces becomes a token everywhere. Ties are broken by the lower left id, then the lower right id, as in Hugging
 * Face's tokenizers.
 *
 * Each distinct piece is stored once, with its count. A merge visits only the occurrences of its pair and updates the
 * counts of the adjacent pairs, so the work is proportional to the number of tokens merged. A heap yields the pair with
 * the highest count; its counts may be outdated (too high), in which case the pair is reinserted with the current one.
 *
 * All occurrences of a pair arise in a single step, the one that made the newer of its two tokens, because each token
 * is made by only one pair. (If no merge crosses the ends of a token, its bytes are merged as they would be alone; so
 * wherever it occurs, it arises in the same step and from the same two parts.) */
#include "text/bpe/bpe_train.h"

#include <stdlib.h>
#include <string.h>

enum { BORDER = GP_PIECE_BORDER };

typedef struct counted_pair {
    gp_pair ids;
    int32_t first, last; /* list of its occurrences in order: of a a a, the first two are merged */
    int64_t count;
} counted_pair;

typedef struct place {
    int32_t at; /* in text */
    int32_t next;
} place;

typedef struct candidate {
    int64_t count;
    gp_pair ids;
    int32_t pair;
} candidate;

typedef struct learner {
    /* One element for each initial token of the pieces, and a BORDER around each piece: the id of a token at its first
     * element, ~id at its last one if that is another, any negative number in between. */
    int32_t *text;
    const int32_t *piece_of; /* (text) index of the piece */
    const gp_pieces *pieces;
    gp_token_list *d;
    int32_t *lengths; /* of the tokens, in elements */
    const gp_learning *how;

    counted_pair *pairs;
    int32_t pair_count, pair_capacity;
    int32_t fresh;  /* pairs from here on arose in this step */
    int32_t *slots; /* open addressing by ids: indices in pairs, or -1 */
    size_t mask;
    uint64_t multiplier; /* of their hash: odd, from gp_hash_seed */

    place *places;
    int32_t place_count, place_capacity;
    int32_t unused; /* first of the list of free places, or -1 */

    candidate *heap;
    int32_t heap_count, heap_capacity;
} learner;

/* Makes space for one more element. */
static void *grow(void *list, int32_t count, int32_t *capacity, size_t size)
{
    if (count < *capacity)
        return list;
    if (count > INT32_MAX / 2)
        die("the text has too many pairs of tokens to train a BPE on; use a part of it");
    *capacity = count < 512 ? 1024 : 2 * count;
    return gp_realloc(list, (size_t)*capacity, size);
}

/* ---- pairs and their occurrences ------------------------------------------------------------------------- */

/* The slot of a pair, or the empty slot where it belongs. */
static int32_t *slot_of(const learner *l, int32_t left, int32_t right)
{
    uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    size_t at = gp_hash_mix(key, l->multiplier) & l->mask;
    for (; l->slots[at] >= 0; at = (at + 1) & l->mask) {
        const gp_pair *ids = &l->pairs[l->slots[at]].ids;
        if (ids->left == left && ids->right == right)
            break;
    }
    return &l->slots[at];
}

static void grow_slots(learner *l)
{
    size_t slots = l->slots ? 2 * (l->mask + 1) : 1 << 16;
    free(l->slots);
    l->slots = gp_malloc(slots * sizeof *l->slots);
    memset(l->slots, 0xff, slots * sizeof *l->slots);
    l->mask = slots - 1;
    for (int32_t i = 0; i < l->pair_count; i++)
        *slot_of(l, l->pairs[i].ids.left, l->pairs[i].ids.right) = i;
}

static counted_pair *find_or_add(learner *l, int32_t left, int32_t right)
{
    int32_t *slot = slot_of(l, left, right);
    if (*slot < 0) {
        if (2 * (size_t)l->pair_count > l->mask) {
            grow_slots(l);
            slot = slot_of(l, left, right);
        }
        l->pairs = grow(l->pairs, l->pair_count, &l->pair_capacity, sizeof *l->pairs);
        l->pairs[l->pair_count] = (counted_pair){.ids = {left, right}, .first = -1, .last = -1};
        *slot = l->pair_count++;
    }
    return &l->pairs[*slot];
}

/* Adds an occurrence of a pair. */
static void add_pair(learner *l, int32_t left, int32_t right, int32_t at)
{
    counted_pair *p = find_or_add(l, left, right);
    int32_t i = l->unused;
    BUG_ON(p < l->pairs + l->fresh);
    if (i >= 0) {
        l->unused = l->places[i].next;
    } else {
        l->places = grow(l->places, l->place_count, &l->place_capacity, sizeof *l->places);
        i = l->place_count++;
    }
    l->places[i] = (place){.at = at, .next = -1};
    if (p->last >= 0)
        l->places[p->last].next = i;
    else
        p->first = i;
    p->last = i;
    p->count += l->pieces->list[l->piece_of[at]].count;
}

/* Subtracts an occurrence from the count of a pair; merge_at skips it in the list. */
static void remove_pair(learner *l, int32_t left, int32_t right, int32_t at)
{
    l->pairs[*slot_of(l, left, right)].count -= l->pieces->list[l->piece_of[at]].count;
}

/* ---- the heap -------------------------------------------------------------------------------------------- */

static bool before(const candidate *a, const candidate *b)
{
    if (a->count != b->count)
        return a->count > b->count;
    return a->ids.left != b->ids.left ? a->ids.left < b->ids.left : a->ids.right < b->ids.right;
}

static void push(learner *l, candidate c)
{
    l->heap = grow(l->heap, l->heap_count, &l->heap_capacity, sizeof *l->heap);
    int32_t i = l->heap_count++;
    for (; i > 0 && before(&c, &l->heap[(i - 1) / 2]); i = (i - 1) / 2)
        l->heap[i] = l->heap[(i - 1) / 2];
    l->heap[i] = c;
}

/* Replaces the first candidate by c. */
static void replace_first(learner *l, candidate c)
{
    int32_t i = 0, child;
    while ((child = 2 * i + 1) < l->heap_count) {
        child += child + 1 < l->heap_count && before(&l->heap[child + 1], &l->heap[child]);
        if (!before(&l->heap[child], &c))
            break;
        l->heap[i] = l->heap[child];
        i = child;
    }
    l->heap[i] = c;
}

/* Removes the best pair from the heap and returns its index; -1 if no pairs are left. */
static int32_t pop(learner *l)
{
    while (l->heap_count) {
        candidate first = l->heap[0];
        int64_t count = l->pairs[first.pair].count;
        bool current = first.count == count;
        first.count = count;
        if (!current && count > 0) { /* counts of pairs in the heap only decrease */
            replace_first(l, first);
            continue;
        }
        candidate last = l->heap[--l->heap_count];
        if (l->heap_count)
            replace_first(l, last);
        if (count > 0)
            return first.pair;
    }
    return -1;
}

/* At the end of a step, pushes the pairs that arose in it. */
static void push_fresh(learner *l)
{
    for (; l->fresh < l->pair_count; l->fresh++) {
        const counted_pair *p = &l->pairs[l->fresh];
        push(l, (candidate){.count = p->count, .ids = p->ids, .pair = l->fresh});
    }
}

/* ---- merging --------------------------------------------------------------------------------------------- */

/* Merges the pair at p into one token, unless an overlapping merge has changed it. */
static void merge_at(learner *l, int32_t p, gp_pair pair, int32_t id)
{
    int32_t *text = l->text, second = p + l->lengths[pair.left];
    if (text[p] != pair.left || text[second] != pair.right)
        return;
    int32_t end = second + l->lengths[pair.right];
    if (text[p - 1] != BORDER) {
        int32_t other = text[p - 1] < 0 ? ~text[p - 1] : text[p - 1];
        remove_pair(l, other, pair.left, p);
        add_pair(l, other, id, p - l->lengths[other]);
    }
    text[p] = id;
    text[second] = text[end - 1] = ~id;
    if (text[end] != BORDER) {
        remove_pair(l, pair.right, text[end], p);
        add_pair(l, id, text[end], p);
    }
}

/* Adds the token of a merge. */
static int32_t join(learner *l, gp_pair pair)
{
    gp_token_list *d = l->d;
    const gp_token *left = &d->tokens[pair.left], *right = &d->tokens[pair.right];
    gp_buf both = {0};
    gp_buf_add(&both, d->bytes.data + left->at, left->length);
    gp_buf_add(&both, d->bytes.data + right->at + l->how->prefix, right->length - l->how->prefix);
    int32_t id = (int32_t)d->count;
    gp_token_list_add(d, id, both.data, both.len);
    l->lengths[id] = l->lengths[pair.left] + l->lengths[pair.right];
    gp_buf_release(&both);
    return id;
}

/* Merges the best pair, and returns its ids in *merged; false if there is none. */
static bool merge_best(learner *l, gp_pair *merged)
{
    int32_t best = pop(l);
    if (best < 0 || l->pairs[best].count < l->how->min_count)
        return false;
    gp_pair ids = *merged = l->pairs[best].ids;
    int32_t id = join(l, ids);
    for (int32_t i = l->pairs[best].first, next; i >= 0; i = next) {
        int32_t at = l->places[i].at;
        next = l->places[i].next;
        l->places[i].next = l->unused;
        l->unused = i;
        merge_at(l, at, ids, id);
    }
    push_fresh(l);
    return true;
}

/* ---- learning -------------------------------------------------------------------------------------------- */

void gp_initial_init(gp_initial *t, const gp_pieces *pieces)
{
    *t = (gp_initial){.capacity = pieces->bytes.len + (size_t)pieces->count + 1};
    BUG_ON(t->capacity > INT32_MAX);
    t->ids = gp_malloc(t->capacity * sizeof *t->ids);
    t->piece_of = gp_malloc(t->capacity * sizeof *t->piece_of);
    gp_initial_add(t, BORDER, 0);
}

void gp_initial_add(gp_initial *t, int32_t id, int64_t piece)
{
    BUG_ON(t->size == t->capacity);
    t->ids[t->size] = id;
    t->piece_of[t->size++] = (int32_t)piece;
}

void gp_initial_release(gp_initial *t)
{
    free(t->ids);
    free(t->piece_of);
    *t = (gp_initial){0};
}

int64_t gp_bpe_learn(gp_initial *text, const gp_pieces *pieces, const gp_learning *how, gp_token_list *d,
                     gp_pair **merges)
{
    int64_t count = 0, max = gp_max(0, how->vocab_size - d->count);
    learner l = {.text = text->ids,
                 .piece_of = text->piece_of,
                 .pieces = pieces,
                 .d = d,
                 .how = how,
                 .lengths = gp_malloc((size_t)(d->count + max) * sizeof *l.lengths),
                 .multiplier = gp_hash_seed() | 1,
                 .unused = -1};
    for (int64_t i = 0; i < d->count; i++)
        l.lengths[i] = 1;
    *merges = gp_malloc((size_t)max * sizeof **merges);
    grow_slots(&l);
    for (size_t i = 1; i + 1 < text->size; i++)
        if (l.text[i] != BORDER && l.text[i + 1] != BORDER)
            add_pair(&l, l.text[i], l.text[i + 1], (int32_t)i);
    push_fresh(&l);
    while (count < max && merge_best(&l, &(*merges)[count]))
        count++;
    free(l.lengths);
    free(l.pairs);
    free(l.slots);
    free(l.places);
    free(l.heap);
    return count;
}

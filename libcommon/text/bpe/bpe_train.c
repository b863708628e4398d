/* bpe_train.c: learns merges (Sennrich et al. 2016): of all pairs of neighbours in the pieces, the one with the
 * highest count becomes a token, everywhere; then again. Of equal counts, the pair with the lower ids wins, left
 * first, then right, as in Hugging Face's tokenizers.
 *
 * Each different piece is there once, with how often it occurs. A merge looks at the places of its pair alone and
 * changes the counts of the pairs beside them, so the work is proportional to the tokens that are merged away. A heap
 * gives the highest pair; the counts in it are those from when a pair was put in, and one that proves too high is
 * put back with the right one.
 *
 * All places of a pair are found in one step, which made the newer of its two tokens, because a token is made by
 * one pair only. (Where no merge crosses a token's ends, its bytes go as they go alone. So wherever it comes about,
 * it does so at the same step and from the same two parts.) */
#include "text/bpe/bpe_train.h"

#include <stdlib.h>
#include <string.h>

enum { BORDER = INT32_MIN };

typedef struct counted_pair {
    gp_pair ids;
    int32_t first, last; /* its places, in their order: of a a a, the first two are merged */
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
    /* One number for each byte of the pieces and for each border between them: a token's id where it begins, ~id
     * where it ends (when that is another place), something negative inside. */
    int32_t *text;
    int32_t *piece_of; /* (text) */
    const gp_pieces *pieces;
    gp_draft *d;

    counted_pair *pairs;
    int32_t pair_count, pair_capacity;
    int32_t fresh;  /* pairs from here on were found in this step */
    int32_t *slots; /* open addressing by ids: in pairs, or -1 */
    size_t mask;
    uint64_t multiplier; /* of their hash: odd, from gp_hash_seed */

    place *places;
    int32_t place_count, place_capacity;
    int32_t unused; /* the first of a list of places, or -1 */

    candidate *heap;
    int32_t heap_count, heap_capacity;
} learner;

/* A list with room for one more. */
static void *grown(void *list, int32_t count, int32_t *capacity, size_t size)
{
    if (count < *capacity)
        return list;
    if (count > INT32_MAX / 2)
        die("the text has too many pairs of tokens to train a BPE; use a part of it");
    *capacity = count < 512 ? 1024 : 2 * count;
    return gp_realloc(list, (size_t)*capacity, size);
}

/* ---- pairs and their places ------------------------------------------------------------------------------ */

/* The slot of a pair, or the empty one where it belongs. */
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
        l->pairs = grown(l->pairs, l->pair_count, &l->pair_capacity, sizeof *l->pairs);
        l->pairs[l->pair_count] = (counted_pair){.ids = {left, right}, .first = -1, .last = -1};
        *slot = l->pair_count++;
    }
    return &l->pairs[*slot];
}

/* Text at `at` has this pair now. */
static void gain(learner *l, int32_t left, int32_t right, int32_t at)
{
    counted_pair *p = find_or_add(l, left, right);
    int32_t i = l->unused;
    BUG_ON(p < l->pairs + l->fresh);
    if (i >= 0) {
        l->unused = l->places[i].next;
    } else {
        l->places = grown(l->places, l->place_count, &l->place_capacity, sizeof *l->places);
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

static void lose(learner *l, int32_t left, int32_t right, int32_t at)
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
    l->heap = grown(l->heap, l->heap_count, &l->heap_capacity, sizeof *l->heap);
    int32_t i = l->heap_count++;
    for (; i > 0 && before(&c, &l->heap[(i - 1) / 2]); i = (i - 1) / 2)
        l->heap[i] = l->heap[(i - 1) / 2];
    l->heap[i] = c;
}

/* Puts c where the first candidate was. */
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

/* Takes the best pair off the heap: its place in pairs, -1 when no two neighbours are left. */
static int32_t pop(learner *l)
{
    while (l->heap_count) {
        candidate first = l->heap[0];
        int64_t count = l->pairs[first.pair].count;
        bool right = first.count == count;
        first.count = count;
        if (!right && count > 0) { /* a count only falls once the pair is in the heap */
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

/* The step is over: the pairs that it found are candidates. */
static void push_fresh(learner *l)
{
    for (; l->fresh < l->pair_count; l->fresh++) {
        const counted_pair *p = &l->pairs[l->fresh];
        push(l, (candidate){.count = p->count, .ids = p->ids, .pair = l->fresh});
    }
}

/* ---- merging --------------------------------------------------------------------------------------------- */

/* Makes the pair at place p one token, if it is still there. */
static void merge_at(learner *l, int32_t p, gp_pair pair, int32_t id)
{
    int32_t *text = l->text, second = p + (int32_t)l->d->tokens[pair.left].length;
    if (text[p] != pair.left || text[second] != pair.right)
        return;
    int32_t end = second + (int32_t)l->d->tokens[pair.right].length;
    if (text[p - 1] != BORDER) {
        int32_t other = text[p - 1] < 0 ? ~text[p - 1] : text[p - 1];
        lose(l, other, pair.left, p);
        gain(l, other, id, p - (int32_t)l->d->tokens[other].length);
    }
    text[p] = id;
    text[second] = text[end - 1] = ~id;
    if (text[end] != BORDER) {
        lose(l, pair.right, text[end], p);
        gain(l, id, text[end], p);
    }
}

/* The bytes of both become a token. */
static int32_t join(gp_draft *d, gp_pair pair)
{
    const gp_token *left = &d->tokens[pair.left], *right = &d->tokens[pair.right];
    gp_buf both = {0};
    gp_buf_add(&both, d->bytes.data + left->at, left->length);
    gp_buf_add(&both, d->bytes.data + right->at, right->length);
    int32_t id = (int32_t)d->count;
    gp_draft_add(d, id, both.data, both.len);
    gp_buf_release(&both);
    return id;
}

/* Merges the best pair, and gives its ids; false when there is none. */
static bool merge_best(learner *l, gp_pair *merged)
{
    int32_t best = pop(l);
    if (best < 0)
        return false;
    gp_pair ids = *merged = l->pairs[best].ids;
    int32_t id = join(l->d, ids);
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

/* ---- the whole ------------------------------------------------------------------------------------------- */

static void lay_out(learner *l, const int32_t byte_id[256])
{
    const gp_pieces *pieces = l->pieces;
    size_t size = pieces->bytes.len + (size_t)pieces->count + 1, at = 0;
    BUG_ON(size > INT32_MAX);
    l->text = gp_malloc(size * sizeof *l->text);
    l->piece_of = gp_malloc(size * sizeof *l->piece_of);
    l->text[at++] = BORDER;
    for (int64_t i = 0; i < pieces->count; i++) {
        const char *bytes = pieces->bytes.data + pieces->list[i].at;
        for (uint32_t k = 0; k < pieces->list[i].length; k++, at++) {
            l->text[at] = byte_id[(uint8_t)bytes[k]];
            l->piece_of[at] = (int32_t)i;
        }
        l->text[at++] = BORDER;
    }
    grow_slots(l);
    for (size_t i = 1; i + 1 < size; i++)
        if (l->text[i] != BORDER && l->text[i + 1] != BORDER)
            gain(l, l->text[i], l->text[i + 1], (int32_t)i);
    push_fresh(l);
}

int64_t gp_bpe_learn(const gp_pieces *pieces, const int32_t byte_id[256], int64_t vocab_size, gp_draft *d,
                     gp_pair **merges)
{
    learner l = {.pieces = pieces, .d = d, .multiplier = gp_hash_seed() | 1, .unused = -1};
    int64_t count = 0, most = gp_max(0, vocab_size - d->count);
    *merges = gp_malloc((size_t)most * sizeof **merges);
    lay_out(&l, byte_id);
    while (count < most && merge_best(&l, &(*merges)[count]))
        count++;
    free(l.text);
    free(l.piece_of);
    free(l.pairs);
    free(l.slots);
    free(l.places);
    free(l.heap);
    return count;
}

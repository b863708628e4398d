/* bpe.c: the tables of byte-pair encoding, and encoding a short piece. */
#include "text/bpe/bpe.h"

#include <stdlib.h>
#include <string.h>

/* ---- tables ---------------------------------------------------------------------------------------------- */

int gp_bpe_init(gp_bpe *b, const gp_vocab *v, int64_t max_merges, const char *where)
{
    for (int i = 0; i < 256; i++) {
        char byte = (char)i;
        b->byte_id[i] = gp_vocab_find(v, &byte, 1);
        b->missing.any |= b->byte_id[i] < 0;
    }
    b->missing.unknown = -1;
    if (v->size > GP_BPE_MAX || max_merges > GP_BPE_MAX)
        return fail("%s: has %lld ids and %lld merges; the limit of a BPE is %d", where, (long long)v->size,
                    (long long)max_merges, GP_BPE_MAX);
    size_t slots = 64;
    b->multiplier = gp_hash_seed() | 1;
    b->shift = 64 - 6;
    for (; slots < 2 * (size_t)max_merges + 1; slots *= 2)
        b->shift--;
    b->slots = gp_malloc(slots * sizeof *b->slots);
    memset(b->slots, 0xff, slots * sizeof *b->slots);
    b->filter = gp_calloc(slots / 16, sizeof *b->filter);
    b->bytes_rank = gp_malloc(256 * sizeof *b->bytes_rank);
    memset(b->bytes_rank, 0xff, 256 * sizeof *b->bytes_rank);
    b->list = gp_malloc((size_t)max_merges * sizeof *b->list);
    b->in_merge = gp_calloc((size_t)v->size, sizeof *b->in_merge);
    return 0;
}

void gp_bpe_release(gp_bpe *b)
{
    free(b->slots);
    free(b->filter);
    free(b->bytes_rank);
    free(b->list);
    free(b->in_merge);
    free(b->missing.name);
    *b = (gp_bpe){0};
}

void gp_bpe_put(gp_bpe *b, const gp_vocab *v, gp_merge m)
{
    size_t n;
    uint64_t *slot = gp_bpe_slot(b, m.left, m.right);
    *slot = (uint64_t)m.left << 2 * GP_BPE_BITS | (uint64_t)m.right << GP_BPE_BITS | (uint64_t)b->count;
    uint64_t bit = gp_bpe_hash(b, m.left, m.right) >> (b->shift - 2);
    b->filter[bit / 64] |= (uint64_t)1 << bit % 64;
    const char *both = gp_vocab_bytes(v, m.id, &n);
    if (n == 2)
        b->bytes_rank[(uint8_t)both[0]][(uint8_t)both[1]] = (int32_t)b->count;
    b->in_merge[m.left] = b->in_merge[m.right] = true;
    b->out_of_order |= b->in_merge[m.id];
    b->list[b->count++] = m;
}

/* Some bytes, of which 16 are readable, and their key. */
typedef struct word {
    const char *bytes;
    size_t length;
    gp_key key;
} word;

static word prefetch(const gp_vocab *v, const char *bytes, size_t length)
{
    word w = {bytes, length, gp_key_of(bytes, length <= GP_KEY_BYTES ? length : 0)};
    gp_vocab_prefetch(v, &w.key);
    return w;
}

static int32_t find(const gp_vocab *v, const word *w)
{
    return w->length <= GP_KEY_BYTES ? gp_vocab_find_key(v, &w->key) : gp_vocab_find(v, w->bytes, w->length);
}

/* The id of what a merge makes, which nearly always follows that of the merge before (guess). */
static int32_t find_whole(const gp_vocab *v, const gp_bpe_parts *p, int32_t guess)
{
    size_t n = 0;
    const char *bytes = guess < v->size ? gp_vocab_bytes(v, guess, &n) : NULL;
    if (bytes && n == p->length && !memcmp(bytes, p->bytes, n) && !(v->flags[guess] & GP_TOKEN_UNINDEXED))
        return guess;
    return gp_vocab_find(v, p->bytes, p->length);
}

static int check_merge(const gp_merge *m, const gp_bpe_parts *p, int64_t number, const char *where)
{
    size_t left = p->left, right = p->length - p->left;
    const char *problem = !left || !right               ? "a part is empty"
                          : m->left < 0 || m->right < 0 ? "a part is not in the vocabulary"
                          : m->id < 0                   ? "the merged token is not in the vocabulary"
                                                        : NULL;
    if (!problem)
        return 0;
    return fail("%s: merge %lld, \"%s\" + \"%s\": %s", where, (long long)number,
                gp_printable_bytes(p->bytes, gp_min((int64_t)left, 60)),
                gp_printable_bytes(p->bytes + left, gp_min((int64_t)right, 60)), problem);
}

int gp_bpe_add(gp_bpe *b, const gp_vocab *v, const gp_bpe_parts *parts, int64_t count, const char *where)
{
    word left[GP_BPE_BATCH], right[GP_BPE_BATCH];
    gp_merge m[GP_BPE_BATCH];
    int32_t guess = b->count ? b->list[b->count - 1].id + 1 : 0;
    BUG_ON(count > GP_BPE_BATCH);
    for (int64_t i = 0; i < count; i++) {
        left[i] = prefetch(v, parts[i].bytes, parts[i].left);
        right[i] = prefetch(v, parts[i].bytes + parts[i].left, parts[i].length - parts[i].left);
    }
    for (int64_t i = 0; i < count; i++) {
        m[i] = (gp_merge){find(v, &left[i]), find(v, &right[i]), find_whole(v, &parts[i], guess)};
        if (check_merge(&m[i], &parts[i], b->count + i + 1, where))
            return -1;
        guess = m[i].id + 1;
        __builtin_prefetch(gp_bpe_first_slot(b, m[i].left, m[i].right));
    }
    for (int64_t i = 0; i < count; i++)
        gp_bpe_put(b, v, m[i]); /* the last of equal pairs counts in tokenizers too */
    return 0;
}

/* ---- one short piece ------------------------------------------------------------------------------------- */

int gp_bpe_encode_short(const gp_bpe *b, const uint8_t *p, int n, int32_t *ids)
{
    uint32_t rank[GP_BPE_SHORT]; /* of the pair that begins at i, or UINT32_MAX */
    for (int i = 0; i < n; i++)
        ids[i] = b->byte_id[p[i]];
    for (int i = 0; i + 1 < n; i++)
        rank[i] = (uint32_t)b->bytes_rank[p[i]][p[i + 1]];
    while (n > 1) {
        int best = 0;
        for (int i = 1; i + 1 < n; i++)
            if (rank[i] < rank[best])
                best = i;
        if (rank[best] == UINT32_MAX)
            break;
        ids[best] = b->list[rank[best]].id;
        n--;
        for (int i = best + 1; i < n; i++) {
            ids[i] = ids[i + 1];
            rank[i - 1] = rank[i];
        }
        if (best > 0)
            rank[best - 1] = (uint32_t)gp_bpe_find(b, ids[best - 1], ids[best]);
        if (best + 1 < n)
            rank[best] = (uint32_t)gp_bpe_find(b, ids[best], ids[best + 1]);
    }
    return n;
}

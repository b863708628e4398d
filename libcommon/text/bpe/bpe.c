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

/* The id of the concatenation. */
static int32_t find_both(const gp_vocab *v, const char *left, size_t left_length, const char *right,
                         size_t right_length)
{
    char few[64], *both = left_length + right_length <= sizeof few ? few : gp_malloc(left_length + right_length);
    memcpy(both, left, left_length);
    memcpy(both + left_length, right, right_length);
    int32_t id = gp_vocab_find(v, both, left_length + right_length);
    if (both != few)
        free(both);
    return id;
}

bool gp_bpe_put(gp_bpe *b, const gp_vocab *v, gp_merge m)
{
    size_t n;
    uint64_t *slot = gp_bpe_slot(b, m.left, m.right);
    bool new = *slot == UINT64_MAX;
    *slot = (uint64_t)m.left << 2 * GP_BPE_BITS | (uint64_t)m.right << GP_BPE_BITS | (uint64_t)b->count;
    uint64_t bit = gp_bpe_hash(b, m.left, m.right) >> (b->shift - 2);
    b->filter[bit / 64] |= (uint64_t)1 << bit % 64;
    const char *both = gp_vocab_bytes(v, m.id, &n);
    if (n == 2)
        b->bytes_rank[(uint8_t)both[0]][(uint8_t)both[1]] = (int32_t)b->count;
    b->in_merge[m.left] = b->in_merge[m.right] = true;
    b->out_of_order |= b->in_merge[m.id];
    b->list[b->count++] = m;
    return new;
}

int gp_bpe_add(gp_bpe *b, const gp_vocab *v, const char *left, size_t left_length, const char *right,
               size_t right_length, const char *where)
{
    gp_merge m = {gp_vocab_find(v, left, left_length), gp_vocab_find(v, right, right_length),
                  find_both(v, left, left_length, right, right_length)};
    const char *problem = !left_length || !right_length ? "a part is empty"
                          : m.left < 0 || m.right < 0   ? "a part is not in the vocabulary"
                          : m.id < 0                    ? "the merged token is not in the vocabulary"
                                                        : NULL;
    if (problem)
        return fail("%s: merge %lld, \"%s\" + \"%s\": %s", where, (long long)b->count + 1,
                    gp_printable_bytes(left, gp_min((int64_t)left_length, 60)),
                    gp_printable_bytes(right, gp_min((int64_t)right_length, 60)), problem);
    gp_bpe_put(b, v, m); /* of equal merges the last one counts, as in tokenizers */
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

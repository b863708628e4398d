/* bpe.h: byte-pair encoding: in each piece of the pre-split, the pair of neighbours with the lowest rank is
 * merged until no pair is left that has one (Sennrich et al. 2016). */
#ifndef GP_TEXT_BPE_H
#define GP_TEXT_BPE_H

#include "text/ids.h"
#include "text/pretokenize.h"
#include "text/vocab.h"

typedef struct gp_merge {
    int32_t left, right; /* ids */
    int32_t rank;        /* lower is merged earlier; -1: an empty slot */
    int32_t id;          /* what they become */
} gp_merge;

typedef struct gp_bpe {
    gp_classes classes;
    int32_t byte_id[256];
    gp_merge *slots; /* pair -> merge, open addressing */
    size_t mask;
    gp_merge *list; /* by rank */
    int64_t count;
} gp_bpe;

/* From the vocabulary (which must have all 256 bytes). Merges are added after it, in the order of their
 * ranks. */
int gp_bpe_init(gp_bpe *b, const gp_vocab *v, int64_t merges_most, const char *where);
int gp_bpe_add(gp_bpe *b, const gp_vocab *v, const char *left, size_t left_length, const char *right,
               size_t right_length, const char *where);
void gp_bpe_release(gp_bpe *b);

/* The merge of a pair, or NULL. */
static inline const gp_merge *gp_bpe_find(const gp_bpe *b, int32_t left, int32_t right)
{
    uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    for (size_t i = (key * 0x9E3779B97F4A7C15u >> 32) & b->mask;; i = (i + 1) & b->mask) {
        const gp_merge *m = &b->slots[i];
        if (m->left == left && m->right == right)
            return m;
        if (m->rank < 0)
            return NULL;
    }
}

/* What encoding needs beside the tables: one for each encoder. */
typedef struct gp_bpe_state {
    struct gp_piece *cache; /* short pieces met before, direct-mapped */
    struct gp_long *large;  /* workspace for long pieces; NULL until there is one */
} gp_bpe_state;

void gp_bpe_state_init(gp_bpe_state *s);
void gp_bpe_state_release(gp_bpe_state *s);

/* Encodes the pieces of the n bytes at p: all, or with `more` to come, those that no later byte can change.
 * Gives how many bytes that was, or -1. */
int64_t gp_bpe_encode(const gp_bpe *b, gp_bpe_state *s, const uint8_t *p, size_t n, bool more, gp_ids *out);

/* bpe_long.c: one piece of any length in time proportional to it. 0, or not when out said stop. */
int gp_bpe_encode_long(const gp_bpe *b, struct gp_long **workspace, const uint8_t *p, size_t n, gp_ids *out);
void gp_long_free(struct gp_long *w);

#endif

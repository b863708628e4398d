/* bpe_train.h: trains a BPE vocabulary on counted pieces of text. */
#ifndef GP_TEXT_BPE_BPE_TRAIN_H
#define GP_TEXT_BPE_BPE_TRAIN_H

#include "text/text.h"

/* A piece of the pre-tokenization, and how often it occurs. */
typedef struct gp_counted {
    size_t at; /* offset in gp_pieces.bytes */
    uint32_t length, hash;
    int64_t count;
} gp_counted;

/* The distinct pieces, in the order of their first occurrence. */
typedef struct gp_pieces {
    gp_buf bytes;
    gp_counted *list;
    int64_t count, capacity;
    int32_t *slots; /* open addressing: indices in list, or -1 */
    size_t mask;
    uint64_t seed; /* of the hash */
} gp_pieces;

/* Counts a piece; false if it is new and the limit of distinct pieces is reached. */
bool gp_pieces_count(gp_pieces *t, const uint8_t *p, size_t n);
void gp_pieces_release(gp_pieces *t);

/* What is learnt from: the pieces as initial tokens, in their order, with a border before and after each. */
enum { GP_PIECE_BORDER = INT32_MIN };

typedef struct gp_initial {
    int32_t *ids;      /* (size) initial tokens and borders */
    int32_t *piece_of; /* (size) index of the piece */
    size_t size, capacity;
} gp_initial;

void gp_initial_init(gp_initial *t, const gp_pieces *pieces);
void gp_initial_add(gp_initial *t, int32_t id, int64_t piece);
void gp_initial_release(gp_initial *t);

typedef struct gp_learning {
    int64_t vocab_size;
    int64_t min_count; /* of a pair that is merged; at least 1 */
    size_t prefix;     /* the bytes of the right token that are left out when a pair becomes one: 2 of "##" */
} gp_learning;

/* Learns merges until d has vocab_size tokens or no pairs are left. d holds the initial tokens, and each merge adds a
 * token to it. Changes text. Returns the number of merges; the caller frees *merges, which are in order of rank. */
int64_t gp_bpe_learn(gp_initial *text, const gp_pieces *pieces, const gp_learning *how, gp_token_list *d,
                     gp_pair **merges);

#endif

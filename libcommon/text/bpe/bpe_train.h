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

/* Learns merges until d has vocab_size tokens or no pairs are left. d holds the initial tokens, of which those in
 * byte_id are the bytes, and each merge adds a token to it. Returns the number of merges; the caller frees *merges,
 * which are in order of rank. The pieces, with one more byte for each, must have fewer than INT32_MAX bytes. */
int64_t gp_bpe_learn(const gp_pieces *pieces, const int32_t byte_id[256], int64_t vocab_size, gp_token_list *d,
                     gp_pair **merges);

#endif

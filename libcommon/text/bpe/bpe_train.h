/* bpe_train.h: a BPE vocabulary out of counted pieces of text. */
#ifndef GP_TEXT_BPE_BPE_TRAIN_H
#define GP_TEXT_BPE_BPE_TRAIN_H

#include "text/text.h"

/* A piece of the pre-split, and how often the text has it. */
typedef struct gp_counted {
    size_t at; /* in bytes */
    uint32_t length, hash;
    int64_t count;
} gp_counted;

/* Each different piece once, in the order in which they came. */
typedef struct gp_pieces {
    gp_buf bytes;
    gp_counted *list;
    int64_t count, capacity;
    int32_t *slots; /* open addressing: in list, or -1 */
    size_t mask;
    uint64_t seed; /* of the hash */
} gp_pieces;

/* Learns merges until d has vocab_size tokens or no two neighbours are left. d comes with the tokens that are there
 * before (byte_id tells which of them are the bytes), and each merge adds one to it. *merges, in order of rank, is
 * the caller's to free; gives how many there are. The pieces, one byte more for each, must have fewer than INT32_MAX
 * bytes. */
int64_t gp_bpe_learn(const gp_pieces *pieces, const int32_t byte_id[256], int64_t vocab_size, gp_draft *d,
                     gp_pair **merges);

#endif

/* vocab.h: maps ids to their bytes, and bytes to ids. */
#ifndef GP_TEXT_VOCAB_H
#define GP_TEXT_VOCAB_H

#include <string.h>

#include "base/base.h"

enum {
    GP_VOCAB_PAD = 16,
    GP_VOCAB_MAX = 1 << 21, /* of the largest id + 1, if some ids are unused: memory is proportional to it */
};

/* Flags of an id. The names of LSTRIP to NORMALIZED are those of tokenizer.json, and apply to SPECIAL and ADDED. */
enum {
    GP_TOKEN_SPECIAL = 1,        /* recognized in text only on request */
    GP_TOKEN_ADDED = 2,          /* its name is recognized in every text */
    GP_TOKEN_LSTRIP = 4,         /* includes white space before its name */
    GP_TOKEN_RSTRIP = 8,         /* includes white space after its name */
    GP_TOKEN_SINGLE_WORD = 16,   /* not recognized inside a word */
    GP_TOKEN_NORMALIZED = 32,    /* searched for after the others */
    GP_TOKEN_UNINDEXED = 64,     /* not found by its bytes; also an unused id */
    GP_TOKEN_NOT_IN_MODEL = 128, /* an added token that is not in the vocabulary of the model */
    GP_TOKEN_NAMED = GP_TOKEN_SPECIAL | GP_TOKEN_ADDED,
};

typedef struct gp_vocab {
    int64_t size;
    char *bytes;                 /* of id 0, of id 1, ..., then GP_VOCAB_PAD zeros */
    uint32_t *at;                /* (size + 1) their offsets in bytes */
    uint8_t *flags;              /* (size) GP_TOKEN_... */
    struct gp_vocab_slot *slots; /* bytes -> id, open addressing */
    size_t mask;
    uint64_t seeds[2]; /* of the hash, from gp_hash_seed */
} gp_vocab;

/* Up to 15 bytes as two words: the bytes, padded with zeros, and their number in the last byte. */
enum { GP_KEY_BYTES = 15 };

typedef struct gp_key {
    uint64_t words[2];
} gp_key;

/* The key of the n <= GP_KEY_BYTES bytes at p, where 16 bytes are readable; n == GP_KEY_BYTES + 1 gives one that no n
 * bytes have. Without a branch on n, which would be unpredictable. */
static inline gp_key gp_key_of(const void *p, size_t n)
{
    static const uint8_t masks[32] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                      0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    gp_key k, mask;
    __builtin_memcpy(&k, p, 16); /* not memcpy, whose fortified version is optimized too late */
    __builtin_memcpy(&mask, masks + 16 - n, 16);
    k.words[0] &= mask.words[0];
    k.words[1] = (k.words[1] & mask.words[1]) | (uint64_t)n << 56;
    return k;
}

static inline bool gp_key_is(const gp_key *a, const gp_key *b)
{
    return a->words[0] == b->words[0] && a->words[1] == b->words[1];
}

/* 0 if they are equal. The compiler makes no branches of it, which would be unpredictable. */
static inline uint64_t gp_key_difference(const gp_key *a, const gp_key *b)
{
    uint64_t difference = (a->words[0] ^ b->words[0]) | (a->words[1] ^ b->words[1]);
    __asm__("" : "+r"(difference)); /* it does not know what this does */
    return difference;
}

/* An unseeded hash for caches, where a collision costs only a miss. */
static inline uint64_t gp_key_hash(const gp_key *k)
{
    return (k->words[0] ^ k->words[1] * 0x9E3779B97F4A7C15u) * 0xD6E8FEB86659FD93u;
}

/* A token from which a vocabulary is built. */
typedef struct gp_token {
    int32_t id;
    uint32_t length;
    size_t at;     /* offset of its bytes in a buffer */
    uint8_t flags; /* GP_TOKEN_... */
} gp_token;

/* -1: as many ids or bytes of names do not fit a vocabulary. */
int gp_vocab_check_size(int64_t count, size_t bytes, const char *where);

/* Builds v from `count` tokens whose bytes are in b; sorts tokens by id. No two may have the same id, nor the same
 * bytes unless GP_TOKEN_UNINDEXED. Unused ids become empty GP_TOKEN_UNINDEXED tokens. `where` names the file in
 * messages. */
int gp_vocab_build(gp_vocab *v, gp_token *tokens, int64_t count, const gp_buf *b, const char *where);

/* Builds the rest of a v that has size, bytes, at and, if not NULL, flags. */
int gp_vocab_index(gp_vocab *v, const char *where);
void gp_vocab_release(gp_vocab *v);

/* Whether the token has this name. */
bool gp_vocab_is(const gp_vocab *v, int32_t id, const char *name);

/* The id of these bytes, or -1. */
int32_t gp_vocab_find(const gp_vocab *v, const char *bytes, size_t length);
int32_t gp_vocab_find_key(const gp_vocab *v, const gp_key *key);
void gp_vocab_prefetch(const gp_vocab *v, const gp_key *key); /* for a later gp_vocab_find_key */

static inline const char *gp_vocab_bytes(const gp_vocab *v, int32_t id, size_t *length)
{
    *length = v->at[id + 1] - v->at[id];
    return v->bytes + v->at[id];
}

#endif

/* vocab.h: the bytes of each id, and the id of some bytes. */
#ifndef GP_TEXT_VOCAB_H
#define GP_TEXT_VOCAB_H

#include <string.h>

#include "base/base.h"

enum {
    GP_VOCAB_PAD = 16,
    GP_VOCAB_MAX = 1 << 21, /* ids where there are holes among them: memory goes by the largest */
};

/* What an id may be beside a word of the vocabulary. */
enum {
    GP_TOKEN_SPECIAL = 1,   /* no text gives it, unless names of special tokens are looked for */
    GP_TOKEN_ADDED = 2,     /* its name is looked for in every text */
    GP_TOKEN_LSTRIP = 4,    /* of these two: takes the white space before its name, ... */
    GP_TOKEN_RSTRIP = 8,    /* ... and after it; ... */
    GP_TOKEN_SINGLE = 16,   /* ... its name is none inside a word; ... */
    GP_TOKEN_LATER = 32,    /* ... and is looked for after those of all others ("normalized") */
    GP_TOKEN_APART = 64,    /* its bytes do not find it, as those of a hole */
    GP_TOKEN_OUTSIDE = 128, /* an added token that is not in the model's vocabulary */
    GP_TOKEN_NAMED = GP_TOKEN_SPECIAL | GP_TOKEN_ADDED,
};

typedef struct gp_vocab {
    int64_t size;
    char *bytes;                 /* of id 0, of id 1, ..., and GP_VOCAB_PAD zeros */
    uint32_t *at;                /* (size + 1) where they begin */
    uint8_t *flags;              /* (size) GP_TOKEN_... */
    struct gp_vocab_slot *slots; /* bytes -> id, open addressing */
    size_t mask;
    uint64_t seeds[2]; /* of the hash, from gp_hash_seed */
} gp_vocab;

/* Few bytes as two words: the bytes, zeros behind them, their number in the last one. */
enum { GP_KEY_BYTES = 15 };

typedef struct gp_key {
    uint64_t words[2];
} gp_key;

/* The key of n <= GP_KEY_BYTES bytes at p, of which 16 can be read. Without a branch on n, which is a coin's toss. */
static inline gp_key gp_key_of(const void *p, size_t n)
{
    static const uint8_t masks[32] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                      0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    gp_key k, mask;
    __builtin_memcpy(&k, p, 16); /* as the compiler knows it: a checked one it takes apart too late */
    __builtin_memcpy(&mask, masks + 16 - n, 16);
    k.words[0] &= mask.words[0];
    k.words[1] = (k.words[1] & mask.words[1]) | (uint64_t)n << 56;
    return k;
}

static inline bool gp_key_is(const gp_key *a, const gp_key *b)
{
    return a->words[0] == b->words[0] && a->words[1] == b->words[1];
}

/* For caches, where a collision costs a miss; it has no seed. */
static inline uint64_t gp_key_hash(const gp_key *k)
{
    return (k->words[0] ^ k->words[1] * 0x9E3779B97F4A7C15u) * 0xD6E8FEB86659FD93u;
}

/* One token on the way into a vocabulary. */
typedef struct gp_token {
    int32_t id;
    uint32_t length;
    size_t at;     /* in a buffer */
    uint8_t flags; /* GP_TOKEN_... */
} gp_token;

/* Builds v from `count` tokens whose bytes are in b. No two may have the same id, or the same bytes if bytes find them.
 * Ids that none has are holes: tokens of no bytes that are GP_TOKEN_APART. tokens is sorted by id. `where` names the
 * file in messages. */
int gp_vocab_build(gp_vocab *v, gp_token *tokens, int64_t count, const gp_buf *b, const char *where);

/* The same where v has its size, bytes and at already, and flags or NULL. */
int gp_vocab_index(gp_vocab *v, const char *where);
void gp_vocab_release(gp_vocab *v);

/* The id of these bytes, or -1. */
int32_t gp_vocab_find(const gp_vocab *v, const char *bytes, size_t length);
int32_t gp_vocab_find_key(const gp_vocab *v, const gp_key *key);
void gp_vocab_ask(const gp_vocab *v,
                  const gp_key *key); /* it will be looked for soon: a table is far from the processor */

static inline const char *gp_vocab_bytes(const gp_vocab *v, int32_t id, size_t *length)
{
    *length = v->at[id + 1] - v->at[id];
    return v->bytes + v->at[id];
}

#endif

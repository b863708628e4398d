/* bpe.h: byte-pair encoding. In each piece of the pre-tokenization, the adjacent pair with the lowest rank, the
 * leftmost if there are several, is merged until no pair has a rank (Sennrich et al. 2016). */
#ifndef GP_TEXT_BPE_BPE_H
#define GP_TEXT_BPE_BPE_H

#include "text/ids.h"
#include "text/pretokenize.h"
#include "text/vocab.h"

typedef struct gp_merge {
    int32_t left, right; /* ids */
    int32_t id;          /* of the merged token */
} gp_merge;

/* Ids and ranks have 21 bits, so that a pair and its rank fit in a word: the table of GPT-2's 50,000 merges takes a
 * megabyte, which fits in a cache. */
enum { GP_BPE_BITS = 21, GP_BPE_MAX = 1 << GP_BPE_BITS };

/* How bytes that are missing in the vocabulary are encoded, as in Hugging Face's tokenizers: as the tokens <0xNN> of
 * the bytes of their character in GPT-2's alphabet, else as the unknown token, else not at all. */
typedef struct gp_missing {
    bool any;                 /* a byte is missing */
    bool fuse;                /* consecutive unknown tokens become one */
    bool byte_fallback;       /* as in the file, for writing it */
    int32_t unknown;          /* id of the unknown token, or -1 */
    int32_t fallback[256][2]; /* ids of the tokens <0xNN>, or -1 */
    char *name;               /* of the unknown token, or NULL; it may not be in the vocabulary (unknown -1) */
} gp_missing;

typedef struct gp_bpe {
    int32_t byte_id[256]; /* or -1 */
    gp_missing missing;
    bool ignore_merges;         /* a piece that is in the vocabulary gets that id, whatever the merges give */
    int32_t (*bytes_rank)[256]; /* (256, 256) rank of a pair of bytes, or -1 */
    uint64_t *slots;            /* left, right, rank; open addressing; UINT64_MAX: empty */
    int shift;                  /* 64 - log2(slots) */
    uint64_t multiplier;        /* of the hash: odd, from gp_hash_seed */
    uint64_t *filter;           /* (4 bits per slot) by the same hash: a pair whose bit is not set has no merge */
    gp_merge *list;             /* by rank */
    int64_t count;
    /* The vocabulary, if looking up a piece in it replaces merging: with ignore_merges, or if merging the bytes of each
     * id except special ones is known to give that id. Else NULL. */
    const gp_vocab *words;
    bool *in_merge;    /* (vocabulary) this id is a part of a merge */
    bool out_of_order; /* a merge makes a part of an earlier merge, which never happens in a trained vocabulary */
} gp_bpe;

/* Builds the tables of a zeroed b from the vocabulary; then merges are added in the order of their ranks. */
int gp_bpe_init(gp_bpe *b, const gp_vocab *v, int64_t max_merges, const char *where);

/* The bytes of a merge, of which the first `left` are its left part; 16 bytes are readable at each part. */
typedef struct gp_bpe_parts {
    const char *bytes;
    size_t left, length;
} gp_bpe_parts;

/* Adds at most GP_BPE_BATCH merges. Together they are faster than one by one: table entries are prefetched. */
enum { GP_BPE_BATCH = 64 };
int gp_bpe_add(gp_bpe *b, const gp_vocab *v, const gp_bpe_parts *parts, int64_t count, const char *where);

/* Adds a merge whose ids are known. Of equal pairs the last one counts. */
void gp_bpe_put(gp_bpe *b, const gp_vocab *v, gp_merge m);
void gp_bpe_release(gp_bpe *b);

static inline uint64_t gp_bpe_hash(const gp_bpe *b, int32_t left, int32_t right)
{
    return ((uint64_t)(uint32_t)left << GP_BPE_BITS | (uint32_t)right) * b->multiplier;
}

/* Linear probing for a pair starts here. */
static inline uint64_t *gp_bpe_first_slot(const gp_bpe *b, int32_t left, int32_t right)
{
    return &b->slots[gp_bpe_hash(b, left, right) >> b->shift];
}

/* The slot of a pair, or the empty slot where it belongs. */
static inline uint64_t *gp_bpe_slot(const gp_bpe *b, int32_t left, int32_t right)
{
    uint64_t key = (uint64_t)(uint32_t)left << GP_BPE_BITS | (uint32_t)right;
    size_t mask = ~(uint64_t)0 >> b->shift;
    for (size_t i = (size_t)(gp_bpe_first_slot(b, left, right) - b->slots);; i = (i + 1) & mask)
        if (b->slots[i] >> GP_BPE_BITS == key || b->slots[i] == UINT64_MAX)
            return &b->slots[i];
}

/* The rank of a pair, or -1. Most pairs have none, for which the filter, a sixteenth of the size, usually suffices. */
static inline int32_t gp_bpe_find(const gp_bpe *b, int32_t left, int32_t right)
{
    uint64_t bit = gp_bpe_hash(b, left, right) >> (b->shift - 2);
    if (!(b->filter[bit / 64] >> bit % 64 & 1))
        return -1;
    uint64_t slot = *gp_bpe_slot(b, left, right);
    return slot == UINT64_MAX ? -1 : (int32_t)(slot & (GP_BPE_MAX - 1));
}

/* Encodes one piece of n <= GP_BPE_SHORT bytes, none of them missing, and returns the number of ids. For so few,
 * searching all pairs for the best one is the fastest way. */
enum { GP_BPE_SHORT = 48 };
int gp_bpe_encode_short(const gp_bpe *b, const uint8_t *p, int n, int32_t *ids);

struct gp_long;

/* bpe_long.c: the same for a piece of any length, in linear time. 0, or the result of out's function. */
int gp_bpe_encode_long(const gp_bpe *b, struct gp_long **workspace, const uint8_t *p, size_t n, gp_ids *out);
void gp_long_free(struct gp_long *w);

/* bpe_encode.c: the mutable state of encoding, one for each encoder. */
typedef struct gp_bpe_state {
    struct gp_bpe_cache *cache; /* recent pieces */
    struct gp_long *large;      /* workspace for long pieces; NULL until there is one */
    gp_buf run;                 /* consecutive bytes of a piece that are not missing */
    int64_t unencodable;        /* offset of a byte that cannot be encoded, or -1 */
} gp_bpe_state;

/* bpe_missing.c: whether a piece has missing bytes, and encoding one that has. 0; 1 if a byte cannot be encoded, with
 * its offset in the piece in s->unencodable; -1 if out's function failed. */
bool gp_bpe_has_missing(const gp_bpe *b, const uint8_t *p, size_t n);
int gp_bpe_encode_missing(const gp_bpe *b, gp_bpe_state *s, const uint8_t *p, size_t n, gp_ids *out);

/* Completes b->missing once all merges are added. -1 if it is not supported. */
int gp_bpe_init_missing(gp_bpe *b, const gp_vocab *v, const char *where);

void gp_bpe_state_init(gp_bpe_state *s);
void gp_bpe_state_release(gp_bpe_state *s);

/* Encodes the pieces of the n bytes at p; if `more` bytes follow, those that they cannot change. Returns their length;
 * -1 if out's function failed, or s->unencodable is the offset of a byte that cannot be encoded. */
int64_t gp_bpe_encode(const gp_bpe *b, gp_bpe_state *s, const uint8_t *p, size_t n, bool more, gp_ids *out);

#endif

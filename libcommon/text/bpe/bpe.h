/* bpe.h: byte-pair encoding: in each piece of the pre-split, the pair of neighbours with the lowest rank is
 * merged until no pair is left that has one (Sennrich et al. 2016); of equal pairs, the one on the left is first. */
#ifndef GP_TEXT_BPE_BPE_H
#define GP_TEXT_BPE_BPE_H

#include "text/ids.h"
#include "text/pretokenize.h"
#include "text/vocab.h"

typedef struct gp_merge {
    int32_t left, right; /* ids */
    int32_t id;          /* what they become */
} gp_merge;

/* Ids and ranks have 21 bits, so that a pair and its rank are one word: the table of GPT-2's 50,000 merges takes a
 * megabyte, which a processor keeps near. */
enum { GP_BPE_BITS = 21, GP_BPE_MAX = 1 << GP_BPE_BITS };

/* What becomes of a byte that the vocabulary lacks, as Hugging Face's tokenizers has it: the tokens <0xNN> of the bytes
 * of its character in GPT-2's alphabet, or the unknown token, or else it cannot be encoded. */
typedef struct gp_lacking {
    bool any;                 /* a byte is lacking */
    bool fuse;                /* neighbours become one unknown token */
    bool byte_fallback;       /* as the file says, for writing it again */
    int32_t unknown;          /* or -1: there is none */
    int32_t fallback[256][2]; /* or -1 */
    char *name;               /* of the unknown token, or NULL; it may be no token (unknown -1) */
} gp_lacking;

typedef struct gp_bpe {
    int32_t byte_id[256]; /* or -1 */
    gp_lacking lacking;
    bool whole; /* a piece that is a word of the vocabulary is that word, whatever its bytes are merged to */
    int32_t (*bytes_rank)[256]; /* (256, 256) rank of the pair of two bytes, or -1 */
    uint64_t *slots;            /* left, right, rank; open addressing; all ones: empty */
    int shift;                  /* 64 - log2(slots) */
    uint64_t multiplier;        /* of the hash: odd, from gp_hash_seed */
    uint64_t *maybe;            /* (4 bits a slot) by the same hash: a pair of a bit that is not set has no merge */
    gp_merge *list;             /* by rank: the lower is merged earlier */
    int64_t count;
    /* Where a piece that is a word is that word: by `whole`, or as every id but special ones is what its bytes are
     * merged to; or NULL: not known. */
    const gp_vocab *words;
    bool *part;      /* (vocabulary) a merge takes this id */
    bool disordered; /* a merge makes what one before it takes; so no trained vocabulary is */
} gp_bpe;

/* From the vocabulary. Merges are added after it, in the order of their ranks. */
int gp_bpe_init(gp_bpe *b, const gp_vocab *v, int64_t merges_most, const char *where);
int gp_bpe_add(gp_bpe *b, const gp_vocab *v, const char *left, size_t left_length, const char *right,
               size_t right_length, const char *where);

/* The same of a merge whose ids are known. false: the pair was there already, and has this rank from now on. */
bool gp_bpe_put(gp_bpe *b, const gp_vocab *v, gp_merge m);
void gp_bpe_release(gp_bpe *b);

static inline uint64_t gp_bpe_hash(const gp_bpe *b, int32_t left, int32_t right)
{
    return ((uint64_t)(uint32_t)left << GP_BPE_BITS | (uint32_t)right) * b->multiplier;
}

/* Where a pair is looked for first. */
static inline uint64_t *gp_bpe_place(const gp_bpe *b, int32_t left, int32_t right)
{
    return &b->slots[gp_bpe_hash(b, left, right) >> b->shift];
}

/* The slot of a pair, or the empty one where it belongs. */
static inline uint64_t *gp_bpe_slot(const gp_bpe *b, int32_t left, int32_t right)
{
    uint64_t key = (uint64_t)(uint32_t)left << GP_BPE_BITS | (uint32_t)right;
    size_t mask = ~(uint64_t)0 >> b->shift;
    for (size_t i = (size_t)(gp_bpe_place(b, left, right) - b->slots);; i = (i + 1) & mask)
        if (b->slots[i] >> GP_BPE_BITS == key || b->slots[i] == UINT64_MAX)
            return &b->slots[i];
}

/* The rank of a pair's merge, or -1, as it is for most that are met: a table a sixteenth as large tells. */
static inline int32_t gp_bpe_find(const gp_bpe *b, int32_t left, int32_t right)
{
    uint64_t bit = gp_bpe_hash(b, left, right) >> (b->shift - 2);
    if (!(b->maybe[bit / 64] >> bit % 64 & 1))
        return -1;
    uint64_t slot = *gp_bpe_slot(b, left, right);
    return slot == UINT64_MAX ? -1 : (int32_t)(slot & (GP_BPE_MAX - 1));
}

/* Merges the n <= GP_BPE_SHORT bytes at p, none of them lacking, one piece, into ids; gives how many are left. To look
 * at every pair for the best one is the fastest way for so few. */
enum { GP_BPE_SHORT = 48 };
int gp_bpe_encode_short(const gp_bpe *b, const uint8_t *p, int n, int32_t *ids);

struct gp_long;

/* bpe_long.c: the same for one piece of any length, in time proportional to it. 0, or not when out said stop. */
int gp_bpe_encode_long(const gp_bpe *b, struct gp_long **workspace, const uint8_t *p, size_t n, gp_ids *out);
void gp_long_free(struct gp_long *w);

/* bpe_text.c: what encoding text needs beside the tables; each encoder and each thread has its own. */
typedef struct gp_bpe_state {
    struct gp_bpe_cache *cache; /* pieces met before */
    struct gp_long *large;      /* workspace for long pieces; NULL until there is one */
    gp_buf known;               /* bytes of a piece with others between them that are lacking */
    int64_t lacks;              /* the place of a byte that cannot be encoded; -1: none */
} gp_bpe_state;

/* bpe_lacking.c: whether a piece has a byte that is lacking; and its ids then. 0; 1 where one cannot be encoded, whose
 * place in the piece is in s->lacks; or -1 when out said stop. */
bool gp_bpe_lacks(const gp_bpe *b, const uint8_t *p, size_t n);
int gp_bpe_encode_lacking(const gp_bpe *b, gp_bpe_state *s, const uint8_t *p, size_t n, gp_ids *out);

/* Once the merges are there: what becomes of lacking bytes. -1 where that is not known. */
int gp_bpe_init_lacking(gp_bpe *b, const gp_vocab *v, const char *where);

void gp_bpe_state_init(gp_bpe_state *s);
void gp_bpe_state_release(gp_bpe_state *s);

/* Encodes the pieces of the n bytes at p: all, or with `more` to come, those that no later byte can change.
 * Gives how many bytes that was, or -1: out said stop, or s->lacks is the place of a byte that cannot be encoded. */
int64_t gp_bpe_encode(const gp_bpe *b, gp_bpe_state *s, const uint8_t *p, size_t n, bool more, gp_ids *out);

#endif

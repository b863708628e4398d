/* vocab.c: see vocab.h. */
#include "text/vocab.h"

#include <stdlib.h>
#include <string.h>

static int by_id(const void *a, const void *b)
{
    int32_t x = ((const gp_token *)a)->id, y = ((const gp_token *)b)->id;
    return (x > y) - (x < y);
}

/* The tag is the upper half of the hash; bytes are compared only if it matches. */
typedef struct gp_vocab_slot {
    uint32_t tag;
    int32_t id; /* -1: empty */
} slot;

/* Seeded, since vocabularies are untrusted. */
static inline uint64_t hash_key(const gp_vocab *v, const gp_key *k)
{
    return gp_hash_mix(k->words[0] ^ v->seeds[0], k->words[1] ^ v->seeds[1]);
}

/* For more than GP_KEY_BYTES bytes: eight at a time, of which the last eight may overlap. */
static inline uint64_t hash_long(const gp_vocab *v, const char *p, size_t n)
{
    uint64_t h = n ^ v->seeds[0], word;
    for (size_t at = 0; n - at > 8; at += 8) {
        memcpy(&word, p + at, 8);
        h = gp_hash_mix(h ^ word, v->seeds[1]);
    }
    memcpy(&word, p + n - 8, 8);
    return gp_hash_mix(h ^ word, v->seeds[1]);
}

/* Linear probing starts here. */
static inline size_t first_slot(const gp_vocab *v, uint64_t h)
{
    return h & v->mask;
}

/* The slot of the token with this key, or the empty slot where it belongs. */
static inline slot *find_key(const gp_vocab *v, const gp_key *key, uint32_t *tag)
{
    uint64_t h = hash_key(v, key);
    *tag = (uint32_t)(h >> 32);
    for (size_t i = first_slot(v, h);; i = (i + 1) & v->mask) {
        slot *s = &v->slots[i];
        if (s->id < 0)
            return s;
        if (s->tag != *tag)
            continue;
        size_t n;
        const char *p = gp_vocab_bytes(v, s->id, &n);
        gp_key other = gp_key_of(p, n <= GP_KEY_BYTES ? n : 0);
        if (gp_key_is(&other, key) && n <= GP_KEY_BYTES)
            return s;
    }
}

/* The same for more than GP_KEY_BYTES bytes. */
static slot *find_long(const gp_vocab *v, const char *bytes, size_t length, uint32_t *tag)
{
    uint64_t h = hash_long(v, bytes, length);
    *tag = (uint32_t)(h >> 32);
    for (size_t i = first_slot(v, h);; i = (i + 1) & v->mask) {
        slot *s = &v->slots[i];
        size_t n;
        if (s->id < 0)
            return s;
        if (s->tag == *tag) {
            const char *p = gp_vocab_bytes(v, s->id, &n);
            if (n == length && !memcmp(p, bytes, n))
                return s;
        }
    }
}

int32_t gp_vocab_find_key(const gp_vocab *v, const gp_key *key)
{
    uint32_t tag;
    return find_key(v, key, &tag)->id;
}

void gp_vocab_prefetch(const gp_vocab *v, const gp_key *key)
{
    __builtin_prefetch(&v->slots[first_slot(v, hash_key(v, key))]);
}

int32_t gp_vocab_find(const gp_vocab *v, const char *bytes, size_t length)
{
    uint32_t tag;
    if (length > GP_KEY_BYTES)
        return find_long(v, bytes, length, &tag)->id;
    char padded[16] = {0}; /* gp_key_of reads 16 bytes */
    memcpy(padded, bytes, length);
    gp_key key = gp_key_of(padded, length);
    return gp_vocab_find_key(v, &key);
}

/* Adds id to the table; returns an id with the same bytes, or -1. */
static int32_t insert(gp_vocab *v, int32_t id)
{
    size_t n;
    uint32_t tag;
    const char *p = gp_vocab_bytes(v, id, &n);
    gp_key key = gp_key_of(p, n <= GP_KEY_BYTES ? n : 0);
    slot *s = n <= GP_KEY_BYTES ? find_key(v, &key, &tag) : find_long(v, p, n, &tag);
    if (s->id >= 0)
        return s->id;
    *s = (slot){tag, id};
    return -1;
}

static bool in_order(const gp_token *tokens, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (tokens[i].id != i)
            return false;
    return true;
}

/* Concatenates the bytes of all tokens, one for each id in order. Usually they are consecutive in b too, and are copied
 * in long runs. */
static void put_bytes(gp_vocab *v, const gp_token *tokens, const gp_buf *b)
{
    size_t run = 0; /* first token of the current run */
    v->bytes = gp_calloc(b->len + GP_VOCAB_PAD, 1);
    v->at = gp_malloc(((size_t)v->size + 1) * sizeof *v->at);
    v->at[0] = 0;
    for (size_t i = 0; i < (size_t)v->size; i++) {
        v->at[i + 1] = v->at[i] + tokens[i].length;
        if (i + 1 < (size_t)v->size && tokens[i + 1].at == tokens[i].at + tokens[i].length)
            continue;
        if (v->at[i + 1] > v->at[run])
            memcpy(v->bytes + v->at[run], b->data + tokens[run].at, v->at[i + 1] - v->at[run]);
        run = i + 1;
    }
}

int gp_vocab_index(gp_vocab *v, const char *where)
{
    size_t slots = 64;
    while (slots < 2 * (size_t)v->size)
        slots *= 2;
    v->mask = slots - 1;
    v->seeds[0] = gp_hash_seed();
    v->seeds[1] = gp_hash_mix(v->seeds[0], 0x9E3779B97F4A7C15u) | 1;
    v->slots = gp_malloc(slots * sizeof *v->slots);
    memset(v->slots, 0xff, slots * sizeof *v->slots);
    if (!v->flags)
        v->flags = gp_calloc((size_t)v->size, sizeof *v->flags);
    for (int64_t i = 0; i < v->size; i++) {
        enum { AHEAD = 16 };
        size_t n;
        const char *next = gp_vocab_bytes(v, (int32_t)gp_min(i + AHEAD, v->size - 1), &n);
        gp_key key = gp_key_of(next, n <= GP_KEY_BYTES ? n : 0);
        gp_vocab_prefetch(v, &key);
        int32_t other = v->flags[i] & GP_TOKEN_UNINDEXED ? -1 : insert(v, (int32_t)i);
        if (other >= 0)
            return fail("%s: ids %d and %lld are both \"%s\"", where, other, (long long)i,
                        gp_printable_bytes(v->bytes + v->at[i], gp_min(v->at[i + 1] - v->at[i], 60)));
    }
    return 0;
}

/* Builds v from one token for each id. */
static int fill(gp_vocab *v, const gp_token *tokens, const gp_buf *b, const char *where)
{
    put_bytes(v, tokens, b);
    v->flags = gp_malloc((size_t)v->size * sizeof *v->flags);
    for (int64_t i = 0; i < v->size; i++)
        v->flags[i] = tokens[i].flags;
    return gp_vocab_index(v, where);
}

int gp_vocab_check_size(int64_t count, size_t bytes, const char *where)
{
    if (count <= INT32_MAX / 2 && bytes <= UINT32_MAX / 2)
        return 0;
    return fail("%s: its vocabulary is too large (%lld ids, %zu bytes)", where, (long long)count, bytes);
}

int gp_vocab_build(gp_vocab *v, gp_token *tokens, int64_t count, const gp_buf *b, const char *where)
{
    *v = (gp_vocab){.size = count};
    if (count < 1)
        return fail("%s: its vocabulary is empty", where);
    if (gp_vocab_check_size(count, b->len, where))
        return -1;
    if (!in_order(tokens, count)) /* rare */
        qsort(tokens, (size_t)count, sizeof *tokens, by_id);
    for (int64_t i = 0; i < count; i++)
        if (tokens[i].id < 0 || (i && tokens[i].id == tokens[i - 1].id))
            return fail("%s: id %d is negative or given twice", where, tokens[i].id);
    int64_t largest = tokens[count - 1].id;
    if (largest == count - 1)
        return fill(v, tokens, b, where);
    if (largest >= GP_VOCAB_MAX)
        return fail("%s: some ids are unused, and the largest is %lld; the limit is then %d", where, (long long)largest,
                    GP_VOCAB_MAX - 1);
    gp_token *all = gp_calloc((size_t)largest + 1, sizeof *all);
    for (int64_t id = 0, i = 0; id <= largest; id++)
        all[id] = tokens[i].id == id ? tokens[i++] : (gp_token){.id = (int32_t)id, .flags = GP_TOKEN_UNINDEXED};
    v->size = largest + 1;
    int rc = fill(v, all, b, where);
    free(all);
    return rc;
}

void gp_vocab_release(gp_vocab *v)
{
    free(v->bytes);
    free(v->at);
    free(v->flags);
    free(v->slots);
    *v = (gp_vocab){0};
}

bool gp_vocab_is(const gp_vocab *v, int32_t id, const char *name)
{
    size_t n;
    const char *bytes = gp_vocab_bytes(v, id, &n);
    return n == strlen(name) && !memcmp(bytes, name, n);
}

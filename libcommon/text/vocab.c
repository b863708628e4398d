/* vocab.c: see vocab.h. */
#include "text/vocab.h"

#include <stdlib.h>
#include <string.h>

#include "text/escape.h"

static int by_id(const void *a, const void *b)
{
    int32_t x = ((const gp_token *)a)->id, y = ((const gp_token *)b)->id;
    return (x > y) - (x < y);
}

/* The tag is the hash's other half: bytes are looked at only where they are almost surely the right ones. */
typedef struct gp_vocab_slot {
    uint32_t tag;
    int32_t id; /* -1: empty */
} slot;

/* Eight bytes at a time; the last ones overlap those before, or are all that there is. */
static inline uint64_t hash(const char *p, size_t n)
{
    uint64_t h = n, word = 0;
    for (size_t at = 0; n - at > 8; at += 8) {
        memcpy(&word, p + at, 8);
        h = (h ^ word) * 0x9E3779B97F4A7C15u;
        h ^= h >> 32;
    }
    if (n >= 8) {
        memcpy(&word, p + n - 8, 8);
    } else if (n >= 4) {
        uint32_t first, last;
        memcpy(&first, p, 4);
        memcpy(&last, p + n - 4, 4);
        word = (uint64_t)first << 32 | last;
    } else if (n) {
        word = (uint64_t)(uint8_t)p[0] << 16 | (uint64_t)(uint8_t)p[n / 2] << 8 | (uint8_t)p[n - 1];
    }
    h = (h ^ word) * 0xD6E8FEB86659FD93u;
    return h ^ h >> 32;
}

/* The slot that holds these bytes, or the empty one where they belong. */
static inline slot *find_slot(const gp_vocab *v, const char *bytes, size_t length, uint32_t *tag)
{
    uint64_t h = hash(bytes, length);
    *tag = (uint32_t)(h >> 32);
    for (size_t i = h & v->mask;; i = (i + 1) & v->mask) {
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

int32_t gp_vocab_find(const gp_vocab *v, const char *bytes, size_t length)
{
    uint32_t tag;
    return find_slot(v, bytes, length, &tag)->id;
}

/* Puts id into the table; gives the id that has the same bytes already, or -1. */
static int32_t insert(gp_vocab *v, int32_t id)
{
    size_t n;
    uint32_t tag;
    const char *p = gp_vocab_bytes(v, id, &n);
    slot *s = find_slot(v, p, n, &tag);
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

int gp_vocab_build(gp_vocab *v, gp_token *tokens, int64_t count, const gp_buf *b, const char *where)
{
    *v = (gp_vocab){.size = count};
    if (count < 1)
        return fail("%s: its vocabulary is empty", where);
    if (count > INT32_MAX / 2 || b->len > UINT32_MAX / 2)
        return fail("%s: its vocabulary is too large (%lld ids, %zu bytes)", where, (long long)count, b->len);
    if (!in_order(tokens, count)) /* as they nearly always are */
        qsort(tokens, (size_t)count, sizeof *tokens, by_id);
    for (int64_t i = 0; i < count; i++)
        if (tokens[i].id != i)
            return fail("%s: its %lld ids are not 0 to %lld, each once: id %lld is %s", where,
                        (long long)count, (long long)count - 1, (long long)gp_min(i, tokens[i].id),
                        tokens[i].id > i ? "missing" : "given twice or negative");
    size_t slots = 64;
    while (slots < 2 * (size_t)count)
        slots *= 2;
    v->mask = slots - 1;
    v->slots = gp_malloc(slots * sizeof *v->slots);
    memset(v->slots, 0xff, slots * sizeof *v->slots);
    v->bytes = gp_calloc(b->len + GP_VOCAB_PAD, 1);
    v->at = gp_calloc((size_t)count + 1, sizeof *v->at);
    v->special = gp_calloc((size_t)count, sizeof *v->special);
    for (int64_t i = 0; i < count; i++) {
        memcpy(v->bytes + v->at[i], b->data + tokens[i].at, tokens[i].length);
        v->at[i + 1] = v->at[i] + tokens[i].length;
        int32_t other = insert(v, (int32_t)i);
        if (other >= 0) {
            gp_buf name = {0};
            gp_escape(&name, v->bytes + v->at[i], gp_min(tokens[i].length, 60));
            fail("%s: ids %d and %lld are both \"%s\"", where, other, (long long)i, name.data);
            gp_buf_release(&name);
            return -1;
        }
    }
    return 0;
}

void gp_vocab_release(gp_vocab *v)
{
    free(v->bytes);
    free(v->at);
    free(v->special);
    free(v->slots);
    *v = (gp_vocab){0};
}

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

int32_t gp_vocab_find(const gp_vocab *v, const char *bytes, size_t length)
{
    for (size_t i = gp_hash_bytes(bytes, length) & v->mask;; i = (i + 1) & v->mask) {
        size_t n;
        if (v->slots[i] < 0)
            return -1;
        const char *p = gp_vocab_bytes(v, v->slots[i], &n);
        if (n == length && !memcmp(p, bytes, n))
            return v->slots[i];
    }
}

/* Puts id into the table; gives the id that has the same bytes already, or -1. */
static int32_t insert(gp_vocab *v, int32_t id)
{
    size_t n;
    const char *p = gp_vocab_bytes(v, id, &n);
    int32_t other = gp_vocab_find(v, p, n);
    if (other >= 0)
        return other;
    size_t i = gp_hash_bytes(p, n) & v->mask;
    while (v->slots[i] >= 0)
        i = (i + 1) & v->mask;
    v->slots[i] = id;
    return -1;
}

int gp_vocab_build(gp_vocab *v, gp_token *tokens, int64_t count, const gp_buf *b, const char *where)
{
    *v = (gp_vocab){.size = count};
    if (count < 1)
        return fail("%s: its vocabulary is empty", where);
    if (count > INT32_MAX / 2 || b->len > UINT32_MAX / 2)
        return fail("%s: its vocabulary is too large (%lld ids, %zu bytes)", where, (long long)count, b->len);
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
    v->bytes = gp_malloc(b->len);
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

/* specials.c: see specials.h. The sorted names serve as a tree: those that begin alike stand side by side, and each
 * byte that is read narrows the range, in which the shortest name is the first. */
#include "text/specials.h"

#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b, void *vocab)
{
    size_t n, m;
    const char *x = gp_vocab_bytes(vocab, *(const int32_t *)a, &n);
    const char *y = gp_vocab_bytes(vocab, *(const int32_t *)b, &m);
    int order = memcmp(x, y, n < m ? n : m);
    return order ? order : (n > m) - (n < m);
}

void gp_specials_init(gp_specials *s, const gp_vocab *v)
{
    *s = (gp_specials){.vocab = v, .ids = gp_malloc((size_t)v->size * sizeof *s->ids)};
    for (int32_t id = 0; id < v->size; id++) {
        size_t n;
        const char *name = gp_vocab_bytes(v, id, &n);
        if (!v->special[id] || !n)
            continue;
        s->ids[s->count++] = id;
        s->begins[(uint8_t)*name] = true;
    }
    qsort_r(s->ids, (size_t)s->count, sizeof *s->ids, compare, (void *)(uintptr_t)v);
}

void gp_specials_release(gp_specials *s)
{
    free(s->ids);
    *s = (gp_specials){0};
}

/* Of the names from `from` on below `to`, which are alike up to byte `at` and go on there, the first whose byte there
 * is not below `byte`. */
static int64_t lower_bound(const gp_specials *s, int64_t from, int64_t to, size_t at, int byte)
{
    while (from < to) {
        size_t n;
        int64_t middle = from + (to - from) / 2;
        if ((uint8_t)gp_vocab_bytes(s->vocab, s->ids[middle], &n)[at] < byte)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

/* The longest name that the n bytes at p begin with: its id and length, or -1. false: it depends on bytes beyond n. */
static bool match(const gp_specials *s, const uint8_t *p, size_t n, bool more, int32_t *id, size_t *length)
{
    int64_t from = 0, to = s->count;
    *id = -1;
    for (size_t at = 0;; at++) {
        size_t name;
        if (from < to && (gp_vocab_bytes(s->vocab, s->ids[from], &name), name == at)) {
            *id = s->ids[from++];
            *length = at;
        }
        if (from == to)
            return true;
        if (at == n)
            return !more;
        from = lower_bound(s, from, to, at, p[at]);
        to = lower_bound(s, from, to, at, p[at] + 1);
    }
}

size_t gp_specials_find(const gp_specials *s, const uint8_t *p, size_t n, bool more, int32_t *id,
                        size_t *length)
{
    *id = -1;
    for (size_t at = 0; at < n; at++) {
        if (!s->begins[p[at]])
            continue;
        if (!match(s, p + at, n - at, more, id, length)) {
            *id = -1;
            return at;
        }
        if (*id >= 0)
            return at;
    }
    return n;
}

/* context_window.c: which ids of a sample the model reads: all of them, or, once they exceed its context, the last half
 * window of them, which is read again. */
#include "infer/generate.h"
#include "model/model.h"

#include <stdlib.h>

/* Puts a row's ids into the cache, but for those that are already there; the last is always read, for its logits. */
static int fill(gp_generate_run *r, int64_t b)
{
    gp_sample_row *s = &r->rows[b];
    int64_t T = s->count - s->start;
    int32_t cached = (int32_t)gp_min(s->cached, T - 1);
    s->cached = 0;
    if (T > r->context) {
        s->start = s->count - gp_max(r->context / 2, 1);
        T = s->count - s->start;
        cached = 0;
    }
    const int32_t *ids = s->ids + s->start;
    return cached ? gp_model_append(r->m, b, 1, ids + cached, T - cached, &cached, NULL)
                  : gp_model_prefill(r->m, b, ids, T);
}

/* Whether a row needs another token and the cache is full. */
static bool is_past(const gp_generate_run *r, const gp_sample_row *s)
{
    return s->live && s->filled && s->issued < r->how->max_tokens && s->place >= r->context;
}

static bool any_past(const gp_generate_run *r)
{
    for (int64_t b = 0; b < r->B; b++)
        if (is_past(r, &r->rows[b]))
            return true;
    return false;
}

/* Fills row b if it has begun or is past the context; *fresh: whether it did. *same: the last row that was filled with
 * its prompt and nothing else, or -1. */
static int fill_row(gp_generate_run *r, int64_t b, int64_t *same, bool *fresh)
{
    gp_sample_row *s = &r->rows[b];
    bool past = is_past(r, s);
    *fresh = s->live && (!s->filled || past);
    if (!*fresh)
        return 0;
    r->stats.refills += past;
    if (!past && *same >= 0 && r->rows[*same].prompt == s->prompt) {
        gp_model_copy_row(r->m, *same, b);
        s->start = r->rows[*same].start;
    } else {
        if (fill(r, b))
            return -1;
        *same = past ? *same : b;
    }
    s->filled = true;
    s->place = s->count - s->start;
    gp_rows_set(r->m, b, s->number, s->drawn, s->place);
    gp_rows_see(r->m, b, s->ids, s->count);
    return 0;
}

int gp_generate_fill_rows(gp_generate_run *r)
{
    int64_t same = -1;
    int rc = any_past(r) ? gp_generate_read_steps(r, 0) : 0; /* the host needs all ids to read them again */
    bool *fresh = gp_calloc((size_t)r->B + 1, sizeof *fresh);
    for (int64_t b = 0; b < r->B && !rc; b++)
        rc = fill_row(r, b, &same, &fresh[b]);
    for (int64_t b = 0, first = 0; b < r->B && !rc; first = ++b) {
        while (fresh[b])
            b++;
        if (b == first)
            continue;
        gp_generate_note_step(r, first, b - first, NULL);
        gp_rows_draw(r->m, first, b - first);
        rc = gp_generate_read_steps(r, r->max_pending);
    }
    free(fresh);
    return rc;
}

/* draft.c: tokens that are guessed from the text itself and verified in one pass of the model. Each token is drawn from
 * the model's logits by the sample's own random number, as without a draft; a draft decides only whether these logits
 * are there already. So the text is the same.
 *
 * A pass over several tokens takes longer than one over a single token. Drafts grow while they are accepted and become
 * shorter and rarer while they are not, for matches of 1, 2 and 3 ids separately. */
#include "infer/generate.h"
#include "model/model.h"

#include <string.h>

enum { LOOK_BACK = 8192, BEGIN_WITH = 2, MAX_PAUSE = 64 };
_Static_assert((int)GP_MAX_DRAFT_TOKENS < (int)GP_APPEND_FEW, "the last id and a draft are appended by decode's ops");

int64_t gp_draft_find(const int32_t *ids, int64_t count, int32_t *draft, int64_t n)
{
    int64_t longest = 0, at = 0;
    for (int64_t end = count - 1; end > gp_max(count - LOOK_BACK, 0) && longest < GP_DRAFT_NGRAM_MAX; end--) {
        int64_t same = 0;
        while (same < gp_min(end, GP_DRAFT_NGRAM_MAX) && ids[end - 1 - same] == ids[count - 1 - same])
            same++;
        if (same > longest) {
            longest = same;
            at = end;
        }
    }
    for (int64_t i = 0; longest && i < n; i++) /* past the end of the text, what repeats goes on */
        draft[i] = at + i < count ? ids[at + i] : draft[at + i - count];
    return longest;
}

static void adapt(gp_draft_trust *t, int64_t drafted, int64_t accepted, int64_t max)
{
    t->misses = accepted ? 0 : t->misses + 1;
    t->pause = t->misses ? gp_min(MAX_PAUSE, INT64_C(1) << gp_min(t->misses, 16)) : 0;
    t->tokens = gp_min(max, accepted == drafted ? 2 * drafted : accepted + 1);
}

/* The draft for a row, as long as it is trusted and fits; 0: none. */
static int64_t make_draft(const gp_generate_run *r, gp_sample_row *s, int32_t *draft, gp_draft_trust **trust)
{
    int64_t max = gp_min(r->how->draft_tokens, gp_min(r->how->max_tokens - s->issued, r->context - s->place) - 1);
    int64_t match = max > 0 ? gp_draft_find(s->ids, s->count, draft, max) : 0;
    if (!match)
        return 0;
    gp_draft_trust *t = *trust = &s->trust[match - 1];
    if (t->pause > 0)
        return t->pause--, 0;
    return gp_min(max, t->tokens ? t->tokens : BEGIN_WITH);
}

/* Reads the row's last id and the draft, and draws until a token differs from the draft. */
static int verify(gp_generate_run *r, gp_sample_row *s, const int32_t *draft, int64_t n)
{
    int32_t ids[GP_APPEND_FEW];
    ids[0] = s->ids[s->count - 1];
    memcpy(ids + 1, draft, (size_t)n * sizeof *draft);
    int rc = gp_rows_verify(r->m, ids, n + 1);
    for (int64_t t = 0; !rc && t <= n; t++) {
        s->guess = t < n ? draft[t] : -1;
        s->place++;
        gp_generate_note_step(r, 0, 1, NULL);
        gp_rows_draw_verified(r->m, t);
        rc = gp_generate_read_steps(r, 0);
        if (!s->live || s->ids[s->count - 1] != s->guess)
            break;
    }
    s->guess = -1;
    return rc;
}

int gp_generate_verify(gp_generate_run *r, bool *did)
{
    gp_sample_row *s = &r->rows[0];
    int32_t draft[GP_MAX_DRAFT_TOKENS];
    gp_draft_trust *trust = NULL;
    double began = gp_now(), decoding = r->stats.decode_seconds;
    int64_t n = s->live && s->filled ? make_draft(r, s, draft, &trust) : 0, accepted = s->draft.accepted;
    *did = n > 0;
    if (!n)
        return 0;
    s->draft.passes++;
    s->draft.verified++;
    s->draft.drafted += n;
    r->stats.decode_bytes += gp_model_decode_bytes(r->m, s->place + n + 1);
    int rc = verify(r, s, draft, n);
    adapt(trust, n, s->draft.accepted - accepted, r->how->draft_tokens);
    r->stats.verify_seconds += gp_now() - began;
    r->stats.decode_seconds = decoding + gp_now() - began;
    return rc;
}

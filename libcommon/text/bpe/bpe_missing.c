/* bpe_missing.c: vocabularies in which some bytes are missing, as in Hugging Face's tokenizers (models/bpe/model.rs,
 * merge_word). Tokens that represent missing bytes take part in no merge, so the bytes between two of them are merged
 * separately. */
#include "base/utf8.h"
#include "text/text.h"

bool gp_bpe_has_missing(const gp_bpe *b, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (b->byte_id[p[i]] < 0)
            return true;
    return false;
}

/* Encodes the bytes in s->run. -1 if out's function failed. */
static int flush_run(const gp_bpe *b, gp_bpe_state *s, gp_ids *out)
{
    const uint8_t *p = (const uint8_t *)s->run.data;
    size_t n = s->run.len;
    s->run.len = 0;
    if (n > GP_BPE_SHORT)
        return gp_bpe_encode_long(b, &s->large, p, n, out) ? -1 : 0;
    if (gp_ids_reserve(out, GP_BPE_SHORT))
        return -1;
    if (n)
        out->count += gp_bpe_encode_short(b, p, (int)n, out->ids + out->count);
    return 0;
}

static int put(const gp_bpe *b, gp_bpe_state *s, int32_t id, gp_ids *out)
{
    if (flush_run(b, s, out) || gp_ids_reserve(out, 1))
        return -1;
    gp_ids_put(out, id);
    return 0;
}

/* An unknown token is pending until the next byte, since it may be fused with the next one. As in tokenizers, tokens
 * <0xNN> are not delayed, so they come before a pending unknown token. */
int gp_bpe_encode_missing(const gp_bpe *b, gp_bpe_state *s, const uint8_t *p, size_t n, gp_ids *out)
{
    const gp_missing *l = &b->missing;
    bool pending = false;
    int rc = 0;
    s->run.len = 0;
    for (size_t i = 0; i < n && !rc; i++) {
        const int32_t *fallback = l->fallback[p[i]];
        if (b->byte_id[p[i]] >= 0) {
            if (pending)
                rc = put(b, s, l->unknown, out);
            pending = false;
            gp_buf_add(&s->run, p + i, 1);
        } else if (fallback[0] >= 0) {
            rc = put(b, s, fallback[0], out);
            if (!rc && fallback[1] >= 0)
                rc = put(b, s, fallback[1], out);
        } else if (l->unknown >= 0) {
            if (pending && !l->fuse)
                rc = put(b, s, l->unknown, out);
            pending = true;
        } else {
            s->unencodable = (int64_t)i;
            return 1;
        }
    }
    if (!rc && pending)
        rc = put(b, s, l->unknown, out);
    return rc || flush_run(b, s, out) || gp_ids_reserve(out, GP_BPE_SHORT) ? -1 : 0;
}

/* The id of the token <0xNN>, or -1. */
static int32_t find_fallback(const gp_vocab *v, uint8_t byte)
{
    char name[8];
    snprintf(name, sizeof name, "<0x%02X>", byte);
    return gp_vocab_find(v, name, 6);
}

int gp_bpe_init_missing(gp_bpe *b, const gp_vocab *v, const char *where)
{
    gp_missing *l = &b->missing;
    gp_alphabet a;
    gp_alphabet_init(&a);
    for (int i = 0; i < 256; i++) {
        l->fallback[i][0] = l->fallback[i][1] = -1;
        if (b->byte_id[i] >= 0 || !l->byte_fallback)
            continue;
        char character[4];
        size_t n = gp_utf8_put(character, a.code[i]); /* 1 or 2 */
        int32_t ids[2] = {find_fallback(v, (uint8_t)character[0]),
                          n > 1 ? find_fallback(v, (uint8_t)character[1]) : -1};
        if (ids[0] < 0 || (n > 1 && ids[1] < 0))
            continue;
        for (size_t k = 0; k < n; k++) {
            if (b->in_merge[ids[k]])
                return fail("%s: a merge has the byte fallback token <0x%02X> as a part, which is not supported", where,
                            (uint8_t)character[k]);
            l->fallback[i][k] = ids[k];
        }
    }
    if (l->any && l->unknown >= 0 && b->in_merge[l->unknown])
        return fail("%s: a merge has the unk_token \"%.60s\" as a part, which is not supported", where, l->name);
    return 0;
}

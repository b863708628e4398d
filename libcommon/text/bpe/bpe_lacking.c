/* bpe_lacking.c: vocabularies without all 256 bytes, as Hugging Face's tokenizers takes them (models/bpe/model.rs,
 * merge_word). A token that stands for lacking bytes is no part of a merge, so what is between two of them is merged
 * alone. */
#include "base/utf8.h"
#include "text/text.h"

bool gp_bpe_lacks(const gp_bpe *b, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (b->byte_id[p[i]] < 0)
            return true;
    return false;
}

/* Merges the bytes that were gathered. -1: out said stop. */
static int flush_known(const gp_bpe *b, gp_bpe_state *s, gp_ids *out)
{
    const uint8_t *p = (const uint8_t *)s->known.data;
    size_t n = s->known.len;
    s->known.len = 0;
    if (n > GP_BPE_SHORT)
        return gp_bpe_encode_long(b, &s->large, p, n, out) ? -1 : 0;
    if (gp_ids_room(out, GP_BPE_SHORT))
        return -1;
    if (n)
        out->count += gp_bpe_encode_short(b, p, (int)n, out->ids + out->count);
    return 0;
}

static int put(const gp_bpe *b, gp_bpe_state *s, int32_t id, gp_ids *out)
{
    if (flush_known(b, s, out) || gp_ids_room(out, 1))
        return -1;
    gp_ids_put(out, id);
    return 0;
}

/* An unknown token waits for what comes after it: more of them may become one with it. Tokens <0xNN> do not wait for
 * it, so they come before it. */
int gp_bpe_encode_lacking(const gp_bpe *b, gp_bpe_state *s, const uint8_t *p, size_t n, gp_ids *out)
{
    const gp_lacking *l = &b->lacking;
    bool waiting = false;
    int rc = 0;
    s->known.len = 0;
    for (size_t i = 0; i < n && !rc; i++) {
        const int32_t *fallback = l->fallback[p[i]];
        if (b->byte_id[p[i]] >= 0) {
            if (waiting)
                rc = put(b, s, l->unknown, out);
            waiting = false;
            gp_buf_add(&s->known, p + i, 1);
        } else if (fallback[0] >= 0) {
            rc = put(b, s, fallback[0], out);
            if (!rc && fallback[1] >= 0)
                rc = put(b, s, fallback[1], out);
        } else if (l->unknown >= 0) {
            if (waiting && !l->fuse)
                rc = put(b, s, l->unknown, out);
            waiting = true;
        } else {
            s->lacks = (int64_t)i;
            return 1;
        }
    }
    if (!rc && waiting)
        rc = put(b, s, l->unknown, out);
    return rc || flush_known(b, s, out) || gp_ids_room(out, GP_BPE_SHORT) ? -1 : 0;
}

/* The token <0xNN>, or -1. */
static int32_t find_fallback(const gp_vocab *v, uint8_t byte)
{
    char name[8];
    snprintf(name, sizeof name, "<0x%02X>", byte);
    return gp_vocab_find(v, name, 6);
}

int gp_bpe_init_lacking(gp_bpe *b, const gp_vocab *v, const char *where)
{
    gp_lacking *l = &b->lacking;
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
            if (b->part[ids[k]])
                return fail("%s: a merge takes <0x%02X>, a token for bytes that are lacking, which is not known", where,
                            (uint8_t)character[k]);
            l->fallback[i][k] = ids[k];
        }
    }
    if (l->any && l->unknown >= 0 && b->part[l->unknown])
        return fail("%s: a merge takes its unk_token \"%.60s\", which is not known", where, l->name);
    return 0;
}

/* chars.c: character vocabularies: encoding, and building one from text. */
#include "text/chars.h"

#include <stdlib.h>
#include <string.h>

#include "text/text.h"
#include "base/utf8.h"

/* ---- encoding -------------------------------------------------------------------------------------------- */

static void put_char(gp_chars *c, uint32_t code, int32_t id, size_t *pages)
{
    uint16_t *page = &c->page[code >> 8];
    if (!*page) {
        *page = (uint16_t)*pages;
        c->pages = gp_realloc(c->pages, ++*pages, 256 * sizeof *c->pages);
        memset(c->pages + 256 * (size_t)*page, 0xff, 256 * sizeof *c->pages);
    }
    c->pages[256 * (size_t)*page + (code & 255)] = id;
}

int gp_chars_init(gp_chars *c, const gp_vocab *v, const char *where)
{
    size_t pages = 1;
    memset(c->byte_id, 0xff, sizeof c->byte_id);
    memset(c->page, 0, sizeof c->page);
    c->pages = gp_malloc(256 * sizeof *c->pages);
    memset(c->pages, 0xff, 256 * sizeof *c->pages);
    for (int32_t id = 0; id < v->size; id++) {
        size_t n;
        uint32_t code = 0;
        const char *bytes = gp_vocab_bytes(v, id, &n);
        bool one = n && gp_utf8_last((const uint8_t *)bytes, n, &code) == n;
        if (!one && v->flags[id]) /* an added token, or an unused id */
            continue;
        if (!one)
            return fail("%s: id %d is not a single character, as in a character vocabulary", where, id);
        if (code >= GP_BAD_BYTE)
            c->byte_id[code - GP_BAD_BYTE] = id;
        else
            put_char(c, code, id, &pages);
    }
    return 0;
}

void gp_chars_release(gp_chars *c)
{
    free(c->pages);
    c->pages = NULL;
}

static int fail_unknown(uint32_t code, int64_t offset)
{
    if (code >= GP_BAD_BYTE)
        return fail("byte 0x%02x at offset %lld, which is not UTF-8, is not in the vocabulary; build it from all "
                    "the text, or use --tokenizer bytes",
                    code - GP_BAD_BYTE, (long long)offset);
    return fail("character U+%04X at offset %lld is not in the vocabulary; build it from all the text, or use "
                "--tokenizer bytes",
                code, (long long)offset);
}

/* Encodes the ASCII characters of the vocabulary that the n bytes at p begin with, as many as out has room for. Returns
 * their number. */
static size_t encode_ascii(const gp_chars *c, const uint8_t *p, size_t n, gp_ids *out)
{
    const int32_t *ids = c->pages + 256 * (size_t)c->page[0];
    int32_t *to = out->ids + out->count;
    size_t count = 0, room = (size_t)(GP_IDS - out->count);
    for (n = n < room ? n : room; count < n && p[count] < 0x80 && ids[p[count]] >= 0; count++)
        to[count] = ids[p[count]];
    out->count += (int64_t)count;
    return count;
}

int64_t gp_chars_encode(const gp_chars *c, const uint8_t *p, size_t n, bool more, int64_t offset, gp_ids *out)
{
    size_t at = 0;
    while ((at += encode_ascii(c, p + at, n - at, out)) < n) {
        uint32_t code;
        size_t length = gp_utf8(p + at, n - at, &code);
        if (!length && more)
            break;
        length = length ? length : 1;
        if (gp_ids_reserve(out, 4)) /* a character may become 4 byte ids */
            return -1;
        int32_t id = code < GP_BAD_BYTE ? c->pages[256 * (size_t)c->page[code >> 8] + (code & 255)] : -1;
        if (id >= 0) {
            gp_ids_put(out, id);
        } else {
            for (size_t i = 0; i < length; i++) {
                if (c->byte_id[p[at + i]] < 0)
                    return fail_unknown(code, offset + (int64_t)at);
                gp_ids_put(out, c->byte_id[p[at + i]]);
            }
        }
        at += length;
    }
    return (int64_t)at;
}

/* ---- building -------------------------------------------------------------------------------------------- */

struct gp_charset {
    uint8_t seen[(GP_BAD_BYTE + 256) / 8]; /* a bit for each code point, then for each bad byte */
    int64_t length;
};

gp_charset *gp_charset_new(void)
{
    return gp_calloc(1, sizeof(gp_charset));
}

void gp_charset_add(gp_charset *c, const char *text, size_t length)
{
    const uint8_t *p = (const uint8_t *)text;
    for (size_t at = 0; at < length;) {
        uint32_t code;
        at += gp_utf8_last(p + at, length - at, &code);
        c->seen[code >> 3] |= (uint8_t)(1u << (code & 7));
    }
    c->length += (int64_t)length;
}

gp_tokenizer *gp_charset_build(gp_charset *c)
{
    gp_token_list d = {0};
    gp_tokenizer *t = NULL;
    for (uint32_t code = 0; c->length && code < GP_BAD_BYTE + 256; code++) {
        char text[4];
        if (c->seen[code >> 3] >> (code & 7) & 1)
            gp_token_list_add(&d, (int32_t)d.count, text, gp_utf8_put(text, code));
    }
    if (c->length)
        t = gp_tokenizer_from_chars(&d, "text");
    else
        fail("the text is empty: a character vocabulary cannot be built from it");
    gp_token_list_release(&d);
    free(c);
    return t;
}

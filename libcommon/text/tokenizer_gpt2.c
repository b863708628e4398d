/* tokenizer_gpt2.c: GPT-2's own tokenizer, as fast as it can be opened. Where both files are the true ones, all that
 * encoder.json says follows from vocab.bpe: the ids are the 256 bytes in the alphabet's order, what each merge makes,
 * and end-of-text. So a megabyte of JSON is hashed but not parsed. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "text/text.h"

static int check_sha256(const gp_map *m, const char *path, const char *expected)
{
    char got[65];
    gp_sha256_hex(got, m->data, m->size);
    if (strcmp(got, expected))
        return fail("%s: is not GPT-2's: its SHA-256 is %s, expected %s; remove it and run: fetch-data "
                    "gpt2-tokenizer",
                    path, got, expected);
    return 0;
}

enum { BYTES = 256, MERGES = 50000 };

/* The 256 bytes in the order of their stand-ins' code points. */
static void add_bytes(gp_draft *d, const gp_alphabet *a)
{
    for (size_t code = 0; code < ARRAY_LEN(a->byte); code++)
        if (a->byte[code] >= 0)
            gp_draft_add(d, (int32_t)d->count, &(char){(char)a->byte[code]}, 1);
}

/* Adds what the lines behind the first make, "left right", each byte in the alphabet. left: how many bytes of it are the
 * left part. */
static void add_merges(gp_draft *d, uint8_t left[MERGES], const gp_alphabet *a, const gp_map *text)
{
    const uint8_t *p = memchr(text->data, '\n', text->size), *end = (const uint8_t *)text->data + text->size;
    gp_draft_reserve(d, MERGES + 1, text->size);
    char *begin = d->bytes.data + d->bytes.len, *to = begin, *space = begin;
    for (p++; p < end; p++) {
        if (*p == ' ') {
            space = to;
        } else if (*p == '\n') {
            left[d->count - BYTES] = (uint8_t)(space - begin);
            d->tokens[d->count] = (gp_token){.id = (int32_t)d->count,
                                             .length = (uint32_t)(to - begin),
                                             .at = (size_t)(begin - d->bytes.data)};
            d->count++;
            begin = to;
        } else if (*p < 0x80) {
            *to++ = (char)*p;
        } else { /* a stand-in above ASCII has two bytes */
            *to++ = (char)a->byte[(p[0] & 0x1F) << 6 | (p[1] & 0x3F)];
            p++;
        }
    }
    d->bytes.len = (size_t)(to - d->bytes.data);
}

/* The id of n bytes that lie in v. */
static int32_t find(const gp_vocab *v, const char *bytes, size_t n)
{
    if (n > GP_KEY_BYTES)
        return gp_vocab_find(v, bytes, n);
    gp_key key = gp_key_of(bytes, n); /* more bytes, or GP_VOCAB_PAD zeros, lie behind them */
    return gp_vocab_find_key(v, &key);
}

static gp_tokenizer *build(const gp_map *merges, const char *where)
{
    static const char end_of_text[] = "<|endoftext|>";
    gp_draft d = {0};
    gp_tokenizer *t = gp_calloc(1, sizeof *t);
    uint8_t *lefts = gp_malloc(MERGES);
    gp_alphabet a;
    gp_alphabet_init(&a);
    add_bytes(&d, &a);
    add_merges(&d, lefts, &a, merges);
    gp_draft_add(&d, (int32_t)d.count, end_of_text, sizeof end_of_text - 1);
    t->kind = GP_KIND_BPE;
    t->end_of_text = (int32_t)d.count - 1;
    int rc = gp_vocab_build(&t->vocab, d.tokens, d.count, &d.bytes, where) ||
             gp_bpe_init(&t->bpe, &t->vocab, MERGES, where);
    gp_draft_release(&d);
    for (int32_t i = 0; i < MERGES && !rc; i++) {
        size_t n, left = lefts[i];
        const char *both = gp_vocab_bytes(&t->vocab, BYTES + i, &n);
        rc = !gp_bpe_put(&t->bpe, &t->vocab,
                         (gp_merge){.left = find(&t->vocab, both, left),
                                    .right = find(&t->vocab, both + left, n - left),
                                    .id = BYTES + i});
    }
    BUG_ON(rc); /* the files are known to the last bit */
    free(lefts);
    t->vocab.special[t->end_of_text] = 1;
    t->bpe.words = &t->vocab; /* tests/test_tokenizer_json.c merges them all */
    return t;
}

gp_tokenizer *gp_tokenizer_gpt2(const char *vocab_path, const char *merges_path)
{
    gp_map vocab = {0}, merges = {0};
    gp_tokenizer *t = NULL;
    if (!gp_map_open(&vocab, vocab_path) && !gp_map_open(&merges, merges_path) &&
        !check_sha256(&merges, merges_path,
                      "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5") &&
        !check_sha256(&vocab, vocab_path, "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783"))
        t = build(&merges, merges_path);
    gp_map_close(&vocab);
    gp_map_close(&merges);
    return t;
}

/* tokenizer_gpt2.c: opens GPT-2's own tokenizer quickly. If both files are the original ones, encoder.json follows from
 * vocab.bpe: the ids are the 256 bytes in the order of the alphabet, the tokens made by the merges, and end-of-text. So
 * a megabyte of JSON is hashed but not parsed. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "text/text.h"

static int check_sha256(const gp_map *m, const char *path, const char *expected)
{
    char found[65];
    gp_sha256_hex(found, m->data, m->size);
    if (strcmp(found, expected))
        return fail("%s: is not GPT-2's: its SHA-256 is %s, expected %s; remove it and run: %sfetch-data "
                    "gpt2-tokenizer",
                    path, found, expected, gp_tool_prefix());
    return 0;
}

enum { BYTES = 256, MERGES = 50000 };

/* Writes the vocabulary: the 256 bytes in the order of their code points in the alphabet, the token of each line "left
 * right" after the first line, and end-of-text. lefts: the length of the left part of each merge. */
static void put_vocab(gp_vocab *v, uint8_t lefts[MERGES], const gp_alphabet *a, const gp_map *text)
{
    static const char end_of_text[] = "<|endoftext|>";
    const uint8_t *p = memchr(text->data, '\n', text->size), *end = (const uint8_t *)text->data + text->size;
    v->size = BYTES + MERGES + 1;
    v->bytes = gp_malloc(text->size + GP_VOCAB_PAD); /* more than enough */
    v->at = gp_malloc(((size_t)v->size + 1) * sizeof *v->at);
    uint32_t *at = v->at;
    char *to = v->bytes, *space = to;
    for (size_t code = 0; code < ARRAY_LEN(a->byte); code++) {
        *at = (uint32_t)(to - v->bytes);
        if (a->byte[code] >= 0) {
            *to++ = (char)a->byte[code];
            at++;
        }
    }
    *at = (uint32_t)(to - v->bytes);
    for (p++; p < end; p++) {
        if (*p == ' ') {
            space = to;
        } else if (*p == '\n') {
            *lefts++ = (uint8_t)(space - (v->bytes + *at));
            *++at = (uint32_t)(to - v->bytes);
        } else if (*p < 0x80) {
            *to++ = (char)*p;
        } else { /* a non-ASCII character of the alphabet has two bytes */
            *to++ = (char)a->byte[(p[0] & 0x1F) << 6 | (p[1] & 0x3F)];
            p++;
        }
    }
    memcpy(to, end_of_text, sizeof end_of_text - 1);
    to += sizeof end_of_text - 1;
    *++at = (uint32_t)(to - v->bytes);
    memset(to, 0, GP_VOCAB_PAD);
}

/* Adds the merges, whose bytes are in the vocabulary. */
static int add_merges(gp_tokenizer *t, const uint8_t lefts[MERGES], const char *where)
{
    int rc = 0;
    for (int32_t first = 0; first < MERGES && !rc; first += GP_BPE_BATCH) {
        gp_bpe_parts parts[GP_BPE_BATCH];
        int32_t count = (int32_t)gp_min(GP_BPE_BATCH, MERGES - first);
        for (int32_t i = 0; i < count; i++) {
            parts[i].bytes = gp_vocab_bytes(&t->vocab, BYTES + first + i, &parts[i].length);
            parts[i].left = lefts[first + i];
        }
        rc = gp_bpe_add(&t->bpe, &t->vocab, parts, count, where);
    }
    return rc;
}

/* It follows from the files too: tests/text/test_tokenizer_json.c computes it. */
static const uint8_t fingerprint[16] = {0xa6, 0x2f, 0xfb, 0xfa, 0x8e, 0x56, 0x7f, 0x16,
                                        0x15, 0x68, 0xdf, 0x2d, 0xba, 0x25, 0x38, 0xcf};

static gp_tokenizer *build(const gp_map *merges, const char *where)
{
    gp_tokenizer *t = gp_calloc(1, sizeof *t);
    uint8_t *lefts = gp_malloc(MERGES);
    gp_alphabet a;
    gp_alphabet_init(&a);
    put_vocab(&t->vocab, lefts, &a, merges);
    t->kind = GP_KIND_BPE;
    t->end_of_text = BYTES + MERGES;
    int rc = gp_vocab_index(&t->vocab, where) || gp_bpe_init(&t->bpe, &t->vocab, MERGES, where) ||
             add_merges(t, lefts, where);
    BUG_ON(rc); /* the SHA-256 of the files has been checked */
    free(lefts);
    t->vocab.flags[t->end_of_text] = GP_TOKEN_SPECIAL;
    t->fingerprint = fingerprint;
    t->bpe.words = &t->vocab; /* tests/text/test_tokenizer_json.c checks this by merging each */
    return t;
}

gp_tokenizer *gp_tokenizer_gpt2(const char *vocab_path, const char *merges_path)
{
    gp_map vocab = {0}, merges = {0};
    gp_tokenizer *t = NULL;
    if (!gp_map_open(&vocab, vocab_path) && !gp_map_open(&merges, merges_path) &&
        !check_sha256(&merges, merges_path, "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5") &&
        !check_sha256(&vocab, vocab_path, "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783"))
        t = build(&merges, merges_path);
    gp_map_close(&vocab);
    gp_map_close(&merges);
    return t;
}

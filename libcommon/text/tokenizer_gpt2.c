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

/* The vocabulary on its way, and how many bytes of what each merge makes are its left part. */
typedef struct list {
    gp_draft draft;
    uint8_t *left;
    int64_t merges;
} list;

/* The 256 bytes in the order of their stand-ins' code points. */
static void add_bytes(gp_draft *d, const gp_alphabet *a)
{
    for (size_t code = 0; code < ARRAY_LEN(a->byte); code++)
        if (a->byte[code] >= 0)
            gp_draft_add(d, (int32_t)d->count, &(char){(char)a->byte[code]}, 1);
}

/* Adds what the lines behind the first make: "left right", each byte in the alphabet. */
static void add_merges(list *l, const gp_alphabet *a, const gp_map *text)
{
    const uint8_t *p = memchr(text->data, '\n', text->size), *end = (const uint8_t *)text->data + text->size;
    char both[256]; /* GPT-2's longest token has 128 bytes */
    size_t n = 0, left = 0;
    for (p++; p < end; p++) {
        if (*p == ' ') {
            left = n;
        } else if (*p == '\n') {
            gp_draft_add(&l->draft, (int32_t)l->draft.count, both, n);
            l->left[l->merges++] = (uint8_t)left;
            n = 0;
        } else if (*p < 0x80) {
            both[n++] = (char)*p;
        } else { /* a stand-in above ASCII has two bytes */
            both[n++] = (char)a->byte[(p[0] & 0x1F) << 6 | (p[1] & 0x3F)];
            p++;
        }
    }
}

static gp_tokenizer *build(const gp_map *merges, const char *where)
{
    static const char end_of_text[] = "<|endoftext|>";
    enum { MERGES = 50000 };
    list l = {.left = gp_malloc(MERGES)};
    gp_tokenizer *t = gp_calloc(1, sizeof *t);
    gp_alphabet a;
    gp_alphabet_init(&a);
    add_bytes(&l.draft, &a);
    add_merges(&l, &a, merges);
    gp_draft_add(&l.draft, (int32_t)l.draft.count, end_of_text, sizeof end_of_text - 1);
    t->kind = GP_KIND_BPE;
    t->end_of_text = (int32_t)l.draft.count - 1;
    int rc = gp_vocab_build(&t->vocab, l.draft.tokens, l.draft.count, &l.draft.bytes, where) ||
             gp_bpe_init(&t->bpe, &t->vocab, MERGES, where);
    for (int32_t i = 0; i < MERGES && !rc; i++) {
        size_t n, left = l.left[i];
        const char *both = gp_vocab_bytes(&t->vocab, 256 + i, &n);
        rc = gp_bpe_add(&t->bpe, &t->vocab, both, left, both + left, n - left, where);
    }
    BUG_ON(rc); /* the files are known to the last bit */
    t->vocab.special[t->end_of_text] = 1;
    gp_draft_release(&l.draft);
    free(l.left);
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

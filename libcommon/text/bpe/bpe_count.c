/* bpe_count.c: counts the pieces, or for a WordPiece the words, of the text that a vocabulary is trained on;
 * bpe_train.c learns the merges. */
#include <stdlib.h>
#include <string.h>

#include "text/bpe/bpe_train.h"
#include "text/wordpiece/wordpiece_train.h"

enum {
    SMALLEST = 256 + 1, /* the bytes and end-of-text */
    LARGEST = 1 << 20,
};

struct gp_bpe_trainer {
    int64_t vocab_size;
    gp_pending pending; /* bytes whose pieces depend on later bytes */
    gp_pieces pieces;
    gp_wordpiece *wordpiece; /* what normalizes the words of a WordPiece; or NULL */
    struct gp_wordpiece_state *words;
    bool any;      /* there was text */
    bool too_much; /* more distinct pieces than bpe_train.c can number */
};

gp_bpe_trainer *gp_bpe_trainer_new(int64_t vocab_size)
{
    if (vocab_size < SMALLEST || vocab_size > LARGEST) {
        fail("a BPE vocabulary has %d to %d ids (256 bytes, <|endoftext|>, then merges), not %lld", SMALLEST, LARGEST,
             (long long)vocab_size);
        return NULL;
    }
    gp_bpe_trainer *t = gp_calloc(1, sizeof *t);
    t->vocab_size = vocab_size;
    t->pieces.seed = gp_hash_seed() | 1;
    return t;
}

gp_bpe_trainer *gp_bpe_trainer_new_wordpiece(int64_t vocab_size, bool cased)
{
    if (vocab_size > LARGEST) {
        fail("a WordPiece vocabulary has up to %d tokens, not %lld", LARGEST, (long long)vocab_size);
        return NULL;
    }
    gp_bpe_trainer *t = gp_calloc(1, sizeof *t);
    t->vocab_size = vocab_size;
    t->pieces.seed = gp_hash_seed() | 1;
    t->wordpiece = gp_calloc(1, sizeof *t->wordpiece);
    t->wordpiece->switches = gp_wordpiece_bert(cased);
    gp_char_map_init(&t->wordpiece->map, &t->wordpiece->switches);
    t->words = gp_wordpiece_state_new();
    return t;
}

void gp_bpe_trainer_free(gp_bpe_trainer *t)
{
    if (!t)
        return;
    if (t->wordpiece)
        gp_wordpiece_release(t->wordpiece);
    free(t->wordpiece);
    gp_wordpiece_state_free(t->words);
    gp_buf_release(&t->pending.bytes);
    gp_pieces_release(&t->pieces);
    free(t);
}

/* ---- counting -------------------------------------------------------------------------------------------- */

void gp_pieces_release(gp_pieces *t)
{
    gp_buf_release(&t->bytes);
    free(t->list);
    free(t->slots);
    *t = (gp_pieces){0};
}

/* Eight bytes at a time. */
static uint32_t hash(uint64_t seed, const uint8_t *p, size_t n)
{
    uint64_t h = n ^ seed;
    while (n > 0) {
        uint64_t word = 0;
        size_t step = n < 8 ? n : 8;
        memcpy(&word, p, step);
        h = gp_hash_mix(h ^ word, seed);
        p += step;
        n -= step;
    }
    return (uint32_t)h;
}

static void grow(gp_pieces *t)
{
    size_t slots = t->slots ? 2 * (t->mask + 1) : 1024;
    free(t->slots);
    t->slots = gp_malloc(slots * sizeof *t->slots);
    memset(t->slots, 0xff, slots * sizeof *t->slots);
    t->mask = slots - 1;
    for (int64_t i = 0; i < t->count; i++) {
        size_t at = t->list[i].hash & t->mask;
        while (t->slots[at] >= 0)
            at = (at + 1) & t->mask;
        t->slots[at] = (int32_t)i;
    }
    t->capacity = (int64_t)slots / 2;
    t->list = gp_realloc(t->list, (size_t)t->capacity, sizeof *t->list);
}

bool gp_pieces_count(gp_pieces *t, const uint8_t *p, size_t n)
{
    uint32_t h = hash(t->seed, p, n);
    if (t->count == t->capacity)
        grow(t);
    size_t at = h & t->mask;
    for (; t->slots[at] >= 0; at = (at + 1) & t->mask) {
        gp_counted *known = &t->list[t->slots[at]];
        if (known->hash == h && known->length == n && !memcmp(t->bytes.data + known->at, p, n)) {
            known->count++;
            return true;
        }
    }
    if (t->bytes.len + (size_t)t->count + n + 2 > INT32_MAX)
        return false;
    t->list[t->count] = (gp_counted){.at = t->bytes.len, .length = (uint32_t)n, .hash = h, .count = 1};
    gp_buf_add(&t->bytes, p, n);
    t->slots[at] = (int32_t)t->count++;
    return true;
}

static void count_word(void *self, const uint8_t *word, size_t n)
{
    gp_bpe_trainer *t = self;
    t->too_much |= !gp_pieces_count(&t->pieces, word, n);
}

/* Counts the pieces of n bytes; if `more` bytes follow, those that they cannot change. Returns their length. */
static size_t count(gp_bpe_trainer *t, const char *text, size_t n, bool more)
{
    const uint8_t *p = (const uint8_t *)text;
    size_t at = 0, length;
    if (t->wordpiece)
        return (size_t)gp_wordpiece_words(t->wordpiece, t->words, p, n, more, count_word, t);
    while (at < n && (length = gp_pretokenize(p + at, n - at, more)) > 0) {
        t->too_much |= !gp_pieces_count(&t->pieces, p + at, length);
        at += length;
    }
    return at;
}

static int64_t count_part(void *self, const char *text, size_t n)
{
    return (int64_t)count(self, text, n, true);
}

void gp_bpe_trainer_add(gp_bpe_trainer *t, const char *text, size_t length)
{
    t->any |= length > 0;
    if (!t->too_much)
        gp_pending_feed(&t->pending, text, length, count_part, t);
}

void gp_bpe_trainer_end(gp_bpe_trainer *t)
{
    if (t->pending.bytes.len)
        count(t, t->pending.bytes.data, t->pending.bytes.len, false);
    t->pending.bytes.len = t->pending.threshold = 0;
}

/* ---- building -------------------------------------------------------------------------------------------- */

static gp_tokenizer *learn_bytes(const gp_pieces *pieces, int64_t vocab_size)
{
    gp_token_list d = {0};
    gp_pair *merges;
    gp_alphabet a;
    int32_t byte_id[256];
    gp_alphabet_init(&a);
    gp_token_list_add(&d, 0, GP_END_OF_TEXT_NAME, strlen(GP_END_OF_TEXT_NAME));
    for (size_t code = 0; code < ARRAY_LEN(a.byte); code++) {
        if (a.byte[code] < 0)
            continue;
        byte_id[a.byte[code]] = (int32_t)d.count;
        gp_token_list_add(&d, (int32_t)d.count, &(char){(char)a.byte[code]}, 1);
    }
    gp_initial text;
    gp_initial_init(&text, pieces);
    for (int64_t i = 0; i < pieces->count; i++) {
        const char *bytes = pieces->bytes.data + pieces->list[i].at;
        for (uint32_t k = 0; k < pieces->list[i].length; k++)
            gp_initial_add(&text, byte_id[(uint8_t)bytes[k]], i);
        gp_initial_add(&text, GP_PIECE_BORDER, i);
    }
    int64_t count = gp_bpe_learn(&text, pieces, &(gp_learning){.vocab_size = vocab_size, .min_count = 1}, &d, &merges);
    gp_initial_release(&text);
    gp_tokenizer *made = gp_tokenizer_from_merges(&d, merges, count, 0, "text");
    gp_token_list_release(&d);
    free(merges);
    return made;
}

gp_tokenizer *gp_bpe_trainer_build(gp_bpe_trainer *t)
{
    gp_tokenizer *made = NULL;
    gp_bpe_trainer_end(t);
    if (!t->any)
        fail("the text is empty: a vocabulary cannot be trained on it");
    else if (t->too_much)
        fail("the text has more than 2 GB of distinct words; train the vocabulary on a part of it");
    else if (t->wordpiece)
        made = gp_wordpiece_learn(&t->pieces, t->vocab_size, &t->wordpiece->switches);
    else
        made = learn_bytes(&t->pieces, t->vocab_size);
    gp_bpe_trainer_free(t);
    return made;
}

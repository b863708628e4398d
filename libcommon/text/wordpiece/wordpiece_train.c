/* wordpiece_train.c: see wordpiece_train.h. As WordPieceTrainer of Hugging Face's tokenizers, it is the training of a
 * BPE whose initial tokens are characters, those after the first of a word with "##" in front
 * (models/bpe/trainer.rs). */
#include "text/wordpiece/wordpiece_train.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

enum { ALPHABET = 1000, MIN_COUNT = 2, CODES = 0x110000 };

static const char *const special[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
enum { UNKNOWN = 1, CLS = 2, SEP = 3 };

gp_bert_switches gp_wordpiece_bert(bool cased)
{
    return (gp_bert_switches){
        .clean_text = true, .handle_chinese_chars = true, .lowercase = !cased, .strip_accents = -1};
}

/* ---- the alphabet ---------------------------------------------------------------------------------------- */

typedef struct alphabet {
    int64_t *counts; /* (CODES) how often a character occurs */
    int32_t *first;  /* (CODES) the initial token of a character that begins a word, or -1 */
    int32_t *inside; /* of one that does not */
} alphabet;

typedef struct counted_char {
    int64_t count;
    uint32_t code;
} counted_char;

static int by_count(const void *a, const void *b)
{
    const counted_char *x = a, *y = b;
    return x->count != y->count ? (x->count < y->count) - (x->count > y->count)
                                : (x->code > y->code) - (x->code < y->code);
}

static void count_chars(alphabet *a, const gp_pieces *words)
{
    for (int64_t i = 0; i < words->count; i++) {
        const uint8_t *p = (const uint8_t *)words->bytes.data + words->list[i].at;
        uint32_t c;
        for (size_t at = 0; at < words->list[i].length; a->counts[c] += words->list[i].count)
            at += gp_utf8_last(p + at, words->list[i].length - at, &c);
    }
}

/* Removes all but the ALPHABET most frequent characters; of equally frequent ones, which are in no order in
 * `tokenizers`, it keeps the lower code points. */
static void limit(alphabet *a)
{
    int64_t n = 0;
    for (uint32_t c = 0; c < CODES; c++)
        n += a->counts[c] > 0;
    counted_char *all = gp_malloc((size_t)(n + 1) * sizeof *all);
    n = 0;
    for (uint32_t c = 0; c < CODES; c++)
        if (a->counts[c] > 0)
            all[n++] = (counted_char){a->counts[c], c};
    qsort(all, (size_t)n, sizeof *all, by_count);
    for (int64_t i = ALPHABET; i < n; i++)
        a->counts[all[i].code] = 0;
    free(all);
}

static int32_t add_char(gp_token_list *d, const char *prefix, uint32_t c)
{
    char name[8];
    size_t n = strlen(prefix);
    memcpy(name, prefix, n);
    n += gp_utf8_put(name + n, c);
    gp_token_list_add(d, (int32_t)d->count, name, n);
    return (int32_t)d->count - 1;
}

/* The words as initial tokens. Characters outside the alphabet are left out. Those inside words are numbered as they
 * occur in the text; `tokenizers` numbers them in the order of a hash table, which differs from run to run. */
static void put_words(alphabet *a, const gp_pieces *words, gp_token_list *d, gp_initial *text)
{
    for (uint32_t c = 0; c < CODES; c++) {
        a->first[c] = a->counts[c] ? add_char(d, "", c) : -1;
        a->inside[c] = -1;
    }
    gp_initial_init(text, words);
    for (int64_t i = 0; i < words->count; i++) {
        const uint8_t *p = (const uint8_t *)words->bytes.data + words->list[i].at;
        uint32_t c;
        for (size_t at = 0, length; at < words->list[i].length; at += length) {
            length = gp_utf8_last(p + at, words->list[i].length - at, &c);
            if (a->first[c] < 0)
                continue;
            if (at && a->inside[c] < 0)
                a->inside[c] = add_char(d, "##", c);
            gp_initial_add(text, at ? a->inside[c] : a->first[c], i);
        }
        gp_initial_add(text, GP_PIECE_BORDER, i);
    }
}

/* ---- the vocabulary -------------------------------------------------------------------------------------- */

static gp_tokenizer *make(gp_token_list *d, const gp_bert_switches *switches)
{
    gp_tokenizer *t = gp_calloc(1, sizeof *t);
    for (size_t i = 0; i < ARRAY_LEN(special); i++)
        d->tokens[i].flags = GP_TOKEN_SPECIAL;
    t->kind = GP_KIND_WORDPIECE;
    t->wordpiece = (gp_wordpiece){.switches = *switches,
                                  .unknown = UNKNOWN,
                                  .max_chars = GP_WORD_CHARS,
                                  .prefix = gp_strdup("##"),
                                  .cleanup = true};
    gp_template_cls_sep(&t->template, CLS, SEP, false);
    if (gp_vocab_build(&t->vocab, d->tokens, d->count, &d->bytes, "text") ||
        gp_wordpiece_init(&t->wordpiece, &t->vocab, "text")) {
        gp_tokenizer_close(t);
        return NULL;
    }
    gp_tokenizer_find_added(t);
    return t;
}

gp_tokenizer *gp_wordpiece_learn(const gp_pieces *words, int64_t vocab_size, const gp_bert_switches *switches)
{
    alphabet a = {.counts = gp_calloc(CODES, sizeof *a.counts),
                  .first = gp_malloc(CODES * sizeof *a.first),
                  .inside = gp_malloc(CODES * sizeof *a.inside)};
    gp_token_list d = {0};
    gp_initial text;
    gp_pair *merges = NULL;
    gp_tokenizer *t = NULL;
    for (size_t i = 0; i < ARRAY_LEN(special); i++)
        gp_token_list_add(&d, (int32_t)i, special[i], strlen(special[i]));
    count_chars(&a, words);
    limit(&a);
    put_words(&a, words, &d, &text);
    if (d.count > vocab_size) {
        fail(
            "a WordPiece vocabulary of %lld tokens is too small: the text's characters and the special tokens are %lld",
            (long long)vocab_size, (long long)d.count);
    } else {
        gp_bpe_learn(&text, words,
                     &(gp_learning){.vocab_size = vocab_size, .min_count = MIN_COUNT, .prefix = strlen("##")}, &d,
                     &merges);
        t = make(&d, switches);
    }
    gp_initial_release(&text);
    gp_token_list_release(&d);
    free(merges);
    free(a.counts);
    free(a.first);
    free(a.inside);
    return t;
}

/* wordpiece.h: WordPiece, BERT's tokenization. The text is normalized as by BertNormalizer, split into words at white
 * space, punctuation and CJK characters as by BertPreTokenizer, and each word is divided from its start into the
 * longest tokens of the vocabulary, those inside it with a prefix, "##" (Schuster and Nakajima 2012; Devlin et al.
 * 2019).
 *
 * The vocabulary is a trie, in which the tokens inside a word begin at the node of the prefix (Song et al. 2021). A
 * word has up to max_chars characters, each of which is read up to max_chars times: time is linear in the text. */
#ifndef GP_TEXT_WORDPIECE_WORDPIECE_H
#define GP_TEXT_WORDPIECE_WORDPIECE_H

#include "text/ids.h"
#include "text/vocab.h"
#include "text/wordpiece/char_map.h"

enum {
    GP_WORD_CHARS = 100,      /* the default of max_input_chars_per_word */
    GP_WORD_CHARS_MAX = 1000, /* its limit here */
};

/* The nodes are numbered from the root, 0, level by level, so that the children of one follow each other. */
typedef struct gp_trie_node {
    uint32_t children; /* the first of them; the last is before that of the next node */
    int32_t id;        /* of the token that ends here, or -1 */
} gp_trie_node;

typedef struct gp_wordpiece {
    gp_bert_switches switches;
    int32_t unknown;  /* of words that the vocabulary cannot form */
    int max_chars;    /* of a word; longer ones are unknown */
    char *prefix;     /* of the tokens inside a word */
    bool cleanup;     /* the decoder's: no space before punctuation */
    bool cleans_text; /* transformers' clean_up_tokenization_spaces: the same once more, in the text as a whole */
    gp_char_map map;
    gp_trie_node *nodes;
    uint8_t *labels;         /* the byte by which each node is reached; 16 more are readable */
    uint32_t starts[2][256]; /* the nodes of the first byte of a word, and of a byte after the prefix; or 0 */
} gp_wordpiece;

/* Builds the tables of w, whose settings are complete, from the vocabulary, except ids with GP_TOKEN_UNINDEXED. */
int gp_wordpiece_init(gp_wordpiece *w, const gp_vocab *v, const char *where);
void gp_wordpiece_release(gp_wordpiece *w);

/* Encodes a word of n normalized bytes; returns the number of its ids, at most max_chars. */
int gp_wordpiece_encode_word(const gp_wordpiece *w, const uint8_t *p, size_t n, int32_t *ids);

/* The text that a token of n bytes adds to that of the tokens before it, or begins a text with: written to `to`, which
 * has n + 1 bytes. Returns its length. It is that of the WordPiece decoder of `tokenizers`. */
size_t gp_wordpiece_decode(const gp_wordpiece *w, const char *bytes, size_t n, bool first, char *to);

/* Applies clean_up_tokenization_spaces to a decoded text of n bytes; returns its new length. */
size_t gp_wordpiece_clean_text(char *text, size_t n);

/* wordpiece_encode.c: the mutable state of encoding, one for each encoder. */
struct gp_wordpiece_state *gp_wordpiece_state_new(void);
void gp_wordpiece_state_free(struct gp_wordpiece_state *s);

/* Encodes the words of the n bytes at p; if `more` bytes follow, those that they cannot change. A byte that is not
 * UTF-8 is read as U+FFFD. Returns the length of the bytes that are done, or -1 if out's function failed. */
int64_t gp_wordpiece_encode(const gp_wordpiece *w, struct gp_wordpiece_state *s, const uint8_t *p, size_t n, bool more,
                            gp_ids *out);

/* The same for the words, normalized, without their ids. Of a word of more than 4,008 bytes, only the first ones. */
typedef void gp_word_fn(void *self, const uint8_t *word, size_t n);
int64_t gp_wordpiece_words(const gp_wordpiece *w, struct gp_wordpiece_state *s, const uint8_t *p, size_t n, bool more,
                           gp_word_fn *fn, void *self);

/* Encodes the words of p[from, to), which are normalized (normalize.h): calls fn for each token with its place in p,
 * until it returns -1. Returns as gp_wordpiece_encode. Slower, without the cache. */
typedef int gp_placed_fn(void *self, int32_t id, int64_t start, int64_t end);
int64_t gp_wordpiece_place(const gp_wordpiece *w, const gp_vocab *v, const uint8_t *p, size_t from, size_t to,
                           bool more, gp_placed_fn *fn, void *self);

/* The last offset in (from, n) at which the text can be cut and each side encoded on its own, or 0. */
size_t gp_wordpiece_cut(const gp_wordpiece *w, const uint8_t *p, size_t n, size_t from);

#endif

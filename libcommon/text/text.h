/* text.h: the inside of a tokenizer, for the files of this room. */
#ifndef GP_TEXT_TEXT_H
#define GP_TEXT_TEXT_H

#include "gptpipe/tokenizer.h"
#include "text/bpe/bpe.h"
#include "text/chars.h"
#include "text/vocab.h"

#define GP_END_OF_TEXT_NAME "<|endoftext|>"

/* char and bytes differ in their vocabulary alone: that of bytes is the 256 bytes in their order. */
typedef enum gp_vocab_kind { GP_KIND_CHAR, GP_KIND_BYTES, GP_KIND_BPE } gp_vocab_kind;

/* Ids before a text and after it. */
typedef struct gp_template {
    int32_t *before, *after;
    int64_t before_count, after_count;
} gp_template;

struct gp_tokenizer {
    gp_vocab_kind kind;
    gp_vocab vocab;
    int32_t end_of_text;        /* or -1 */
    bool adds;                  /* it has GP_TOKEN_ADDED tokens */
    bool prefix_space;          /* a text that does not begin with a space gets one in front; bpe */
    gp_template around;         /* what a post_processor puts around a text */
    char *warning;              /* or NULL */
    gp_chars chars;             /* char and bytes */
    gp_bpe bpe;                 /* bpe */
    const uint8_t *fingerprint; /* (16) where it is known before it is computed, or NULL */
};

/* A vocabulary being gathered. */
typedef struct gp_draft {
    gp_token *tokens;
    int64_t count, capacity;
    gp_buf bytes;
} gp_draft;

void gp_draft_add(gp_draft *d, int32_t id, const char *bytes, size_t length);
void gp_draft_release(gp_draft *d);

/* char, or bytes where the vocabulary is that. `where` names the file in messages. NULL on failure. */
gp_tokenizer *gp_tokenizer_from_chars(gp_draft *d, const char *where);

/* The 256 bytes. */
gp_tokenizer *gp_tokenizer_bytes_alone(void);

/* A BPE: the vocabulary, its merges by rank as pairs of ids, and which id is end-of-text (-1: none). */
typedef struct gp_pair {
    int32_t left, right;
} gp_pair;

gp_tokenizer *gp_tokenizer_from_merges(gp_draft *d, const gp_pair *merges, int64_t count, int32_t end_of_text,
                                       const char *where);

/* Which tokens are end-of-text and added ones, once the vocabulary is there. */
void gp_tokenizer_index_names(gp_tokenizer *t);

/* Whether a text may be cut where a piece of the split ends, and each side encoded alone. */
bool gp_tokenizer_cuts(const gp_tokenizer *t);

/* Adds a text (malloc, taken over) to what t has to remark: "a; b". */
void gp_tokenizer_add_warning(gp_tokenizer *t, char *text);
void gp_template_release(gp_template *t);

/* gp_tokenizer_from_json with what stands beside it in its folder. changes: the text alone is another tokenizer. */
gp_tokenizer *gp_tokenizer_from_json_in(const char *dir, const char *json, size_t length, const char *where,
                                        bool *changes);

/* encoder.json or vocab.json and its merges: two files, and what stands beside them in dir (or NULL). */
gp_tokenizer *gp_tokenizer_from_files(const char *vocab_path, const char *merges_path, const char *dir);

/* tiktoken.c: whether text looks like a .tiktoken file, and the tokenizer in it. */
bool gp_is_tiktoken(const char *text, size_t length);
gp_tokenizer *gp_tokenizer_from_tiktoken(const char *text, size_t length, const char *where);

/* GPT-2's own two files, known by their SHA-256. */
gp_tokenizer *gp_tokenizer_gpt2(const char *vocab_path, const char *merges_path);

/* GPT-2's alphabet: each byte has a printable character that stands for it in vocabulary files. */
typedef struct gp_alphabet {
    uint16_t code[256]; /* byte -> code point, below 324 */
    int16_t byte[324];  /* code point -> byte, or -1 */
} gp_alphabet;

void gp_alphabet_init(gp_alphabet *a);

/* Appends the bytes that text stands for; false (and nothing) when a character is not of the alphabet. */
bool gp_alphabet_decode(const gp_alphabet *a, gp_buf *b, const char *text, size_t length);
void gp_alphabet_encode(const gp_alphabet *a, gp_buf *b, const char *bytes, size_t length);

#endif

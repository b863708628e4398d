/* text.h: the implementation of tokenizers, for this module. */
#ifndef GP_TEXT_TEXT_H
#define GP_TEXT_TEXT_H

#include "gptpipe/tokenizer.h"
#include "text/bpe/bpe.h"
#include "text/chars.h"
#include "text/template.h"
#include "text/vocab.h"
#include "text/wordpiece/wordpiece.h"

#define GP_END_OF_TEXT_NAME "<|endoftext|>"

enum { GP_TOKENIZER_FILE_MAX = 1 << 28 }; /* bytes of each file of a tokenizer */

/* bytes is a char vocabulary of the 256 bytes in order. */
typedef enum gp_vocab_kind { GP_KIND_CHAR, GP_KIND_BYTES, GP_KIND_BPE, GP_KIND_WORDPIECE } gp_vocab_kind;

/* What special tokens are for, by their names in BERT or RoBERTa. */
typedef enum gp_token_role {
    GP_ROLE_MASK,
    GP_ROLE_PAD,
    GP_ROLE_UNKNOWN,
    GP_ROLE_SEPARATOR,
    GP_TOKEN_ROLES
} gp_token_role;

struct gp_tokenizer {
    gp_vocab_kind kind;
    gp_vocab vocab;
    int32_t end_of_text;           /* or -1 */
    int32_t roles[GP_TOKEN_ROLES]; /* id + 1 of the first special token with a name of the role; 0: none */
    bool has_added;                /* GP_TOKEN_ADDED tokens */
    bool prefix_space;             /* bpe: a text that does not begin with a space gets one in front */
    gp_template template;          /* of the post_processor */
    gp_trim trim;                  /* of the post_processor */
    char *warning;                 /* or NULL */
    gp_chars chars;                /* char and bytes */
    gp_bpe bpe;                    /* bpe */
    gp_wordpiece wordpiece;        /* wordpiece */
    const uint8_t *fingerprint;    /* (16) if known in advance, or NULL */
};

/* Tokens of which a vocabulary will be built. */
typedef struct gp_token_list {
    gp_token *tokens;
    int64_t count;
    gp_buf bytes;
} gp_token_list;

/* Adds a token, without flags; returns it, until the next one is added. */
gp_token *gp_token_list_add(gp_token_list *d, int32_t id, const char *bytes, size_t length);
void gp_token_list_release(gp_token_list *d);

/* A char tokenizer, or bytes if the vocabulary is the 256 bytes. `where` names the file in messages. NULL on
 * failure. */
gp_tokenizer *gp_tokenizer_from_chars(gp_token_list *d, const char *where);
gp_tokenizer *gp_tokenizer_new_bytes(void);

/* A BPE tokenizer: the vocabulary, its merges by rank as pairs of ids, and the end-of-text id (-1: none). */
typedef struct gp_pair {
    int32_t left, right;
} gp_pair;

gp_tokenizer *gp_tokenizer_from_merges(gp_token_list *d, const gp_pair *merges, int64_t count, int32_t end_of_text,
                                       const char *where);

/* A gp_ids_fn that appends ids to a gp_buf, self. */
int gp_ids_collect(void *self, const int32_t *ids, int64_t count);

/* Sets t->end_of_text, t->has_added and t->roles from the vocabulary. */
void gp_tokenizer_find_added(gp_tokenizer *t);

/* Whether a text may be cut where gp_tokenizer_cut says and each side encoded on its own; and the last such offset in
 * (from, n), or 0. */
bool gp_tokenizer_can_split(const gp_tokenizer *t);
size_t gp_tokenizer_cut(const gp_tokenizer *t, const char *text, size_t n, size_t from);

/* Fails because a model, whose vocabulary has V ids, has no row for this added token. */
int gp_tokenizer_no_row(const gp_tokenizer *t, int32_t id, int64_t V);

/* gp_tokenizer_decode of ids that begin a text or not. */
int64_t gp_tokenizer_decode_part(const gp_tokenizer *t, bool first, const int32_t *ids, int64_t count, char *text,
                                 size_t capacity, size_t *length);

/* gp_tokenizer_from_json with the other files in its folder. *changes: they change the tokenizer. */
gp_tokenizer *gp_tokenizer_from_json_in(const char *dir, const char *json, size_t length, const char *where,
                                        bool *changes);

/* From encoder.json or vocab.json and its file of merges, and the other files in dir, which may be NULL. */
gp_tokenizer *gp_tokenizer_from_files(const char *vocab_path, const char *merges_path, const char *dir);

/* tokenizer_wordpiece.c: whether text looks like a vocab.txt, which has a line [UNK]; and the tokenizer in it, with the
 * settings of the other files in dir, which may be NULL. */
bool gp_is_vocab_txt(const char *text, size_t length);
gp_tokenizer *gp_tokenizer_from_vocab_txt(const char *text, size_t length, const char *where, const char *dir);

/* tiktoken.c: whether text looks like a .tiktoken file, and the tokenizer in it. */
bool gp_is_tiktoken(const char *text, size_t length);
gp_tokenizer *gp_tokenizer_from_tiktoken(const char *text, size_t length, const char *where);

/* tokenizer_open.c: whether a folder has the files of a vocabulary, apart from a tokenizer.json: 1, 0 or -1. */
int gp_vocabulary_exists(const char *dir);

/* From GPT-2's own files, which are checked by their SHA-256. */
gp_tokenizer *gp_tokenizer_gpt2(const char *vocab_path, const char *merges_path);

/* The length of the line at p, without its end (\n or \r\n); *next: the start of the next line, or end. */
static inline size_t gp_line_length(const char *p, const char *end, const char **next)
{
    const char *newline = memchr(p, '\n', (size_t)(end - p));
    size_t n = (size_t)((newline ? newline : end) - p);
    *next = newline ? newline + 1 : end;
    return n && p[n - 1] == '\r' ? n - 1 : n;
}

/* GPT-2's alphabet: a printable character for each byte, used in vocabulary files. */
typedef struct gp_alphabet {
    uint16_t code[256]; /* byte -> code point, below 324 */
    int16_t byte[324];  /* code point -> byte, or -1 */
} gp_alphabet;

void gp_alphabet_init(gp_alphabet *a);

/* Appends the bytes that text represents; false, appending nothing, if a character is not in the alphabet. */
bool gp_alphabet_decode(const gp_alphabet *a, gp_buf *b, const char *text, size_t length);
void gp_alphabet_encode(const gp_alphabet *a, gp_buf *b, const char *bytes, size_t length);

#endif

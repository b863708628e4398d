/* token_finder.h: finds the names of special and other added tokens in text. */
#ifndef GP_TEXT_TOKEN_FINDER_H
#define GP_TEXT_TOKEN_FINDER_H

#include "text/vocab.h"
#include "text/wordpiece/char_map.h"

typedef struct gp_token_name {
    int32_t id;
    uint32_t length;
    size_t at; /* in gp_token_finder.bytes */
} gp_token_name;

typedef struct gp_token_finder {
    const gp_vocab *vocab;
    gp_token_name *names; /* sorted */
    int64_t count;
    gp_buf bytes;
    int32_t nothing;  /* a token of whose name the normalizer leaves nothing, which is not searched for; or -1 */
    bool begins[256]; /* a name begins with this byte */
    int only;         /* the byte that all names begin with, or -1 */
    bool strips;      /* any token has GP_TOKEN_LSTRIP */
} gp_token_finder;

/* A finder for the added tokens with (flags & mask) == flags, by their names as they are or, unless it is NULL, as the
 * normalizer leaves them. v must outlive s. */
void gp_token_finder_init(gp_token_finder *s, const gp_vocab *v, uint8_t mask, uint8_t flags,
                          const gp_bert_switches *normalizer);
void gp_token_finder_release(gp_token_finder *s);

/* The first of two equal names, which follow each other; or NULL. */
const gp_token_name *gp_token_finder_twice(const gp_token_finder *s);

/* The offset of the first name in the n bytes at p; of several that begin there, the longest. Sets *id and *length. If
 * there is none, *id is -1 and the result is n or, if `more` bytes follow, where a name that they complete may begin.
 * Time: at most n times the length of the longest name. */
size_t gp_token_finder_find(const gp_token_finder *s, const uint8_t *p, size_t n, bool more, int32_t *id,
                            size_t *length);

/* Applies the flags of token id to its name found at *begin to *end in the n bytes at p (tokenizers:
 * added_vocabulary.rs, find_matches): whether it matches there, and *begin and *end with the white space that it
 * strips, not below `from`. word_before: the text before p ends in a word character. */
typedef enum gp_match { GP_MATCH, GP_NO_MATCH, GP_UNDECIDED /* depends on later bytes */ } gp_match;

gp_match gp_token_finder_check(const gp_token_finder *s, int32_t id, const uint8_t *p, size_t n, bool more,
                               bool word_before, size_t from, size_t *begin, size_t *end);

/* The end of p[from, end) without the white space there. */
size_t gp_strip_spaces(const uint8_t *p, size_t from, size_t end);

/* The number of bytes of white space, and of an incomplete character after it, at the end of the n bytes at p. */
size_t gp_trailing_spaces(const uint8_t *p, size_t n);

/* Whether the n bytes at p end in a word character; `before` if n is 0. */
bool gp_ends_in_word(const uint8_t *p, size_t n, bool before);

#endif

/* names.h: the names of special and other added tokens, found in text. */
#ifndef GP_TEXT_NAMES_H
#define GP_TEXT_NAMES_H

#include "text/vocab.h"

typedef struct gp_names {
    const gp_vocab *vocab;
    int32_t *ids; /* sorted by name */
    int64_t count;
    bool begins[256]; /* a name begins with this byte */
    int only;         /* the byte that all of them begin with, or -1 */
    bool strips;      /* a token takes the white space before it */
} gp_names;

/* Those tokens whose flags, of `mask`, are `flags`. v must outlive s. */
void gp_names_init(gp_names *s, const gp_vocab *v, uint8_t mask, uint8_t flags);
void gp_names_release(gp_names *s);

/* Where the first name in the n bytes at p is; of several that begin there, the longest. Its id in *id, and its bytes
 * in *length. Where there is none, *id is -1 and n comes back; with `more` to come, the place from which on later
 * bytes could make one. Time: n times the longest name at most. */
size_t gp_names_find(const gp_names *s, const uint8_t *p, size_t n, bool more, int32_t *id, size_t *length);

/* Whether the match of token id in the n bytes at p, from *begin to *end, is one (tokenizers: added_vocabulary.rs,
 * find_matches). word_before: what stands before p ends in a word. Where it is, they are moved to what it takes of the
 * white space beside it, down to p + from. */
typedef enum gp_match { GP_MATCH, GP_NO_MATCH, GP_UNDECIDED /* later bytes decide */ } gp_match;

gp_match gp_names_check(const gp_names *s, int32_t id, const uint8_t *p, size_t n, bool more, bool word_before,
                        size_t from, size_t *begin, size_t *end);

/* Bytes of white space at the end of the n at p, and of a character that is cut there. */
size_t gp_names_spaces_before(const uint8_t *p, size_t n);

/* Whether the n bytes at p end in a word's character; of none: before. */
bool gp_names_word_before(const uint8_t *p, size_t n, bool before);

#endif

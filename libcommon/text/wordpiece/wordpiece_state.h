/* wordpiece_state.h: the state of finding words, for the files of this folder. */
#ifndef GP_TEXT_WORDPIECE_WORDPIECE_STATE_H
#define GP_TEXT_WORDPIECE_WORDPIECE_STATE_H

#include "text/piece_cache.h"
#include "text/wordpiece/ascii_blocks.h"
#include "text/wordpiece/long_chunks.h"
#include "text/wordpiece/wordpiece.h"

enum {
    GP_WORD_GROWTH = 3,                          /* of a character's UTF-8 by normalization, at most */
    GP_WORD_BYTES = 4 * (GP_WORD_CHARS_MAX + 2), /* of a word; what is beyond is dropped */
    GP_WORDS_MAX = 1024,
    GP_WORDS_TEXT = 4096, /* bytes of the words before the last one */
    GP_CHUNK_SLICE = 4096,
    GP_CHUNK_BOUNDS = GP_CHUNK_SLICE + GP_ASCII_BLOCK,
};

struct gp_wordpiece_state {
    gp_piece_cache chunks; /* text between two spaces, as it is */
    gp_piece_cache words;  /* normalized */
    gp_long_chunks long_chunks;
    const gp_ascii_functions *ascii;
    uint16_t chunk_bounds[GP_CHUNK_BOUNDS]; /* the start of a chunk, its end, the start of the next one, ... */
    uint8_t last_slice[GP_CHUNK_SLICE + 16];
    /* The normalized text, and the words in it from starts[i] to ends[i]. The last word may not have ended. 16 bytes
     * after it are readable. */
    uint8_t text[GP_WORDS_TEXT + GP_WORD_BYTES + GP_WORD_GROWTH * GP_ASCII_BLOCK + 16];
    size_t length;
    uint16_t starts[GP_WORDS_MAX + 3 * GP_ASCII_BLOCK], ends[GP_WORDS_MAX + 3 * GP_ASCII_BLOCK];
    size_t started, ended;
    uint8_t orders[GP_WORD_CHARS_MAX]; /* of the combining characters at the end of the text, after a starter */
    size_t combining;
};

static inline bool gp_words_are_full(const struct gp_wordpiece_state *s)
{
    return s->length >= GP_WORDS_TEXT || s->started >= GP_WORDS_MAX;
}

/* Takes the words that have ended; not 0: stop. */
typedef int gp_take_words(const gp_wordpiece *w, struct gp_wordpiece_state *s, void *self);

/* gp_wordpiece_encode without the cache of chunks. */
int64_t gp_wordpiece_encode_text(const gp_wordpiece *w, struct gp_wordpiece_state *s, const uint8_t *p, size_t n,
                                 bool more, gp_ids *out);

/* Finds the words of the n bytes at p; returns as gp_wordpiece_encode. */
int64_t gp_wordpiece_read(const gp_wordpiece *w, struct gp_wordpiece_state *s, const uint8_t *p, size_t n, bool more,
                          gp_take_words *take, void *self);

#endif

/* specials.h: the names of special tokens, found in text. */
#ifndef GP_TEXT_SPECIALS_H
#define GP_TEXT_SPECIALS_H

#include "text/vocab.h"

typedef struct gp_specials {
    const gp_vocab *vocab;
    int32_t *ids; /* sorted by name */
    int64_t count;
    bool begins[256]; /* a name begins with this byte */
} gp_specials;

void gp_specials_init(gp_specials *s, const gp_vocab *v); /* v must outlive s */
void gp_specials_release(gp_specials *s);

/* Where the first name in the n bytes at p is; of several that begin there, the longest. Its id in *id, and its bytes
 * in *length. Where there is none, *id is -1 and n comes back; with `more` to come, the place from which on later
 * bytes could make one. Time: n times the longest name at most. */
size_t gp_specials_find(const gp_specials *s, const uint8_t *p, size_t n, bool more, int32_t *id,
                        size_t *length);

#endif

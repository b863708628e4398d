/* vocab.h: the bytes of each id, and the id of some bytes. */
#ifndef GP_TEXT_VOCAB_H
#define GP_TEXT_VOCAB_H

#include "base/base.h"

enum { GP_VOCAB_PAD = 16 };

typedef struct gp_vocab {
    int64_t size;
    char *bytes;                 /* of id 0, of id 1, ..., and GP_VOCAB_PAD zeros */
    uint32_t *at;                /* (size + 1) where they begin */
    uint8_t *special;            /* (size) 1: an id that no text gives */
    struct gp_vocab_slot *slots; /* bytes -> id, open addressing */
    size_t mask;
} gp_vocab;

/* One token on the way into a vocabulary. */
typedef struct gp_token {
    int32_t id;
    uint32_t length;
    size_t at; /* in a buffer */
} gp_token;

/* Builds v from `count` tokens whose bytes are in b. Their ids must be 0 .. count-1, each once, and no two
 * may have the same bytes. tokens is sorted by id. None is special yet. `where` names the file in messages.
 */
int gp_vocab_build(gp_vocab *v, gp_token *tokens, int64_t count, const gp_buf *b, const char *where);
void gp_vocab_release(gp_vocab *v);

/* The id of these bytes, or -1. */
int32_t gp_vocab_find(const gp_vocab *v, const char *bytes, size_t length);

static inline const char *gp_vocab_bytes(const gp_vocab *v, int32_t id, size_t *length)
{
    *length = v->at[id + 1] - v->at[id];
    return v->bytes + v->at[id];
}

#endif

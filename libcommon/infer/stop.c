/* stop.c: the ids and texts that end a sample; and how much of its text may be emitted before one of them is
 * complete. */
#include "infer/generate.h"

#include <string.h>

#include "base/utf8.h"

/* How many bytes at the end of text are the beginning of a UTF-8 character. */
static size_t incomplete_utf8(const char *text, size_t n)
{
    uint32_t c;
    for (size_t back = n < 3 ? n : 3; back > 0; back--)
        if (!gp_utf8((const uint8_t *)text + n - back, back, &c))
            return back;
    return 0;
}

size_t gp_text_whole(const char *text, size_t n)
{
    return n - incomplete_utf8(text, n);
}

size_t gp_text_sure(const char *text, size_t n, char *const *stops, const char **stop)
{
    size_t at = n, held_back = incomplete_utf8(text, n);
    *stop = NULL;
    for (; stops && *stops; stops++) {
        size_t length = strlen(*stops);
        const char *hit = length ? memmem(text, n, *stops, length) : NULL;
        if (hit && (size_t)(hit - text) < at) {
            at = (size_t)(hit - text);
            *stop = *stops;
        }
        for (size_t k = length ? length - 1 : 0; k > held_back; k--) /* the text ends with the first k bytes of it */
            if (k <= n && !memcmp(text + n - k, *stops, k))
                held_back = k;
    }
    return gp_text_whole(text, *stop ? at : n - held_back); /* a stop given as \xHH may begin within a character */
}

const char *gp_finish_name(gp_finish f)
{
    static const char *const names[] = {"going_on", "length", "end_of_text", "stop_id", "stop_text"};
    BUG_ON(f < 0 || f >= (int)ARRAY_LEN(names));
    return names[f];
}

/* The configuration's end ids; if it names none, the tokenizer's end-of-text. */
static bool ends_text(const gp_config *c, const gp_tokenizer *t, int32_t id)
{
    for (int i = 0; i < c->end_count; i++)
        if (id == c->ends[i])
            return true;
    return !c->end_count && !c->no_end && t && id == gp_tokenizer_end_of_text(t);
}

gp_finish gp_finish_of(const gp_generation *how, const gp_config *c, const gp_tokenizer *t, int64_t drawn, int32_t id)
{
    if (how->stop_at_end_of_text && ends_text(c, t, id))
        return GP_FINISH_END_OF_TEXT;
    for (int64_t i = 0; i < how->stop_id_count; i++)
        if (id == how->stop_ids[i])
            return GP_FINISH_STOP_ID;
    return drawn >= how->max_tokens ? GP_FINISH_LENGTH : GP_FINISH_NONE;
}

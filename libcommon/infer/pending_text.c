/* pending_text.c: text that may be handed out, and what must be held back. */
#include "infer/generate.h"

#include <string.h>

#include "base/utf8.h"

/* How many bytes at the end of text begin a UTF-8 character whose rest has not come yet. */
static size_t unfinished_utf8(const char *text, size_t n)
{
    uint32_t c;
    for (size_t back = n < 3 ? n : 3; back > 0; back--)
        if (!gp_utf8((const uint8_t *)text + n - back, back, &c))
            return back;
    return 0;
}

size_t gp_text_whole(const char *text, size_t n)
{
    return n - unfinished_utf8(text, n);
}

size_t gp_text_sure(const char *text, size_t n, char *const *stops, const char **stop)
{
    size_t at = n, held = unfinished_utf8(text, n);
    *stop = NULL;
    for (; stops && *stops; stops++) {
        size_t length = strlen(*stops);
        const char *hit = length ? memmem(text, n, *stops, length) : NULL;
        if (hit && (size_t)(hit - text) < at) {
            at = (size_t)(hit - text);
            *stop = *stops;
        }
        for (size_t k = length ? length - 1 : 0; k > held; k--) /* its beginning, at the end */
            if (k <= n && !memcmp(text + n - k, *stops, k))
                held = k;
    }
    return gp_text_whole(text, *stop ? at : n - held); /* a stop of bytes may begin within a character */
}

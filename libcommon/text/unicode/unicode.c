/* unicode.c: see unicode.h. */
#include "text/unicode/unicode.h"

bool gp_is_word(uint32_t c)
{
    int from = 0, to = gp_word_change_count; /* how many changes are at c or before it */
    while (from < to) {
        int middle = from + (to - from) / 2;
        if (gp_word_changes[middle] <= c)
            from = middle + 1;
        else
            to = middle;
    }
    return from % 2 == 1;
}

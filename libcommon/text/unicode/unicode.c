/* unicode.c: see unicode.h. */
#include "text/unicode/unicode.h"

bool gp_is_word(uint32_t c)
{
    int64_t low = 0; /* how many changes are at c or before it */
    GP_LOWER_BOUND(low, gp_word_change_count, i, gp_word_changes[i] <= c);
    return low % 2 == 1;
}

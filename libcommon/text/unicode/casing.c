/* casing.c: see casing.h. */
#include "text/unicode/casing.h"
#include "base/utf8.h"

#include <stdlib.h>

bool gp_python_is_space(uint32_t c)
{
    return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

uint32_t gp_case_map(const gp_case_run *runs, size_t count, uint32_t c)
{
    int64_t low = 0; /* the first run that does not end before c */
    GP_LOWER_BOUND(low, (int64_t)count, i, runs[i].last < c);
    for (; low < (int64_t)count && runs[low].first <= c; low++) /* runs with a step of 2 may interleave */
        if (c <= runs[low].last && (c - runs[low].first) % runs[low].step == 0)
            return (uint32_t)((int32_t)c + runs[low].delta);
    return c;
}

static bool among(const gp_case_range *ranges, size_t count, uint32_t c)
{
    int64_t low = 0;
    GP_LOWER_BOUND(low, (int64_t)count, i, ranges[i].last < c);
    return low < (int64_t)count && ranges[low].first <= c;
}

static void put(gp_buf *b, uint32_t c)
{
    char text[4];
    gp_buf_add(b, text, gp_utf8_put(text, c));
}

static void put_title(gp_buf *b, uint32_t c)
{
    for (size_t i = 0; i < gp_title_long_count; i++)
        if (gp_title_long[i].c == c) {
            for (int k = 0; k < 3 && gp_title_long[i].to[k]; k++)
                put(b, gp_title_long[i].to[k]);
            return;
        }
    put(b, gp_case_map(gp_title_runs, gp_title_runs_count, c));
}

/* Whether the sigma at c[i] is final, as in CPython's handle_capital_sigma: ignoring case-ignorable characters, it is
 * preceded but not followed by a cased letter. */
static bool is_final(const uint32_t *c, size_t n, size_t i)
{
    size_t j = i, k = i + 1;
    while (j && among(gp_case_ignorable, gp_case_ignorable_count, c[j - 1]))
        j--;
    while (k < n && among(gp_case_ignorable, gp_case_ignorable_count, c[k]))
        k++;
    return j && among(gp_cased, gp_cased_count, c[j - 1]) && (k == n || !among(gp_cased, gp_cased_count, c[k]));
}

static void put_lower(gp_buf *b, const uint32_t *c, size_t n, size_t i)
{
    enum { SIGMA = 0x3A3, SMALL_SIGMA = 0x3C3, FINAL_SIGMA = 0x3C2, DOTTED_I = 0x130, DOT = 0x307 };
    if (c[i] == SIGMA) {
        put(b, is_final(c, n, i) ? FINAL_SIGMA : SMALL_SIGMA);
    } else if (c[i] == DOTTED_I) {
        put(b, 'i');
        put(b, DOT);
    } else {
        put(b, gp_case_map(gp_lower_runs, gp_lower_runs_count, c[i]));
    }
}

void gp_python_capitalize(gp_buf *b, const char *s, size_t n)
{
    uint32_t *c = gp_calloc(n + 1, sizeof *c);
    size_t count = 0;
    for (size_t i = 0; i < n; count++)
        i += gp_utf8_last((const uint8_t *)s + i, n - i, &c[count]);
    for (size_t i = 0; i < count; i++)
        if (c[i] >= GP_BAD_BYTE)
            put(b, c[i]);
        else if (!i)
            put_title(b, c[i]);
        else
            put_lower(b, c, count, i);
    free(c);
}

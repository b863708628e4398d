/* string.c: allocation that dies on failure, strings, growing buffers, and names looked up in lists. See base.h. */
#include "base/base.h"

#include <stdlib.h>
#include <string.h>

void *gp_malloc(size_t bytes)
{
    void *p = malloc(bytes ? bytes : 1);
    if (!p)
        die("out of memory (%zu bytes)", bytes);
    return p;
}

void *gp_calloc(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size ? size : 1);
    if (!p)
        die("out of memory (%zu x %zu bytes)", n, size);
    return p;
}

void *gp_realloc(void *p, size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes))
        die("out of memory (%zu x %zu bytes)", n, size);
    p = realloc(p, bytes ? bytes : 1);
    if (!p)
        die("out of memory (%zu bytes)", bytes);
    return p;
}

void *gp_grow(void *array, int64_t count, size_t size)
{
    return count & (count - 1) ? array : gp_realloc(array, (size_t)gp_max(2 * count, 1), size);
}

char *gp_strndup(const char *s, size_t n)
{
    char *copy = gp_malloc(n + 1);
    memcpy(copy, s, n);
    copy[n] = 0;
    return copy;
}

char *gp_strdup(const char *s)
{
    return gp_strndup(s, strlen(s));
}

char *gp_format(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    BUG_ON(n < 0);
    char *s = gp_malloc((size_t)n + 1);
    va_start(ap, fmt);
    vsnprintf(s, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return s;
}

void gp_warning_add(char **warnings, char *text)
{
    char *all = *warnings ? gp_format("%s; %s", *warnings, text) : gp_strdup(text);
    free(*warnings);
    free(text);
    *warnings = all;
}

void gp_buf_reserve(gp_buf *b, size_t extra)
{
    size_t need = b->len + extra + 1;
    if (need <= b->cap)
        return;
    size_t cap = b->cap ? b->cap : 64;
    while (cap < need)
        cap += cap / 2;
    b->data = gp_realloc(b->data, cap, 1);
    b->cap = cap;
}

void gp_buf_add(gp_buf *b, const void *data, size_t n)
{
    gp_buf_reserve(b, n);
    if (n)
        memcpy(b->data + b->len, data, n);
    b->len += n;
    b->data[b->len] = 0;
}

void gp_buf_puts(gp_buf *b, const char *s)
{
    gp_buf_add(b, s, strlen(s));
}

void gp_buf_printf(gp_buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    BUG_ON(n < 0);
    gp_buf_reserve(b, (size_t)n);
    va_start(ap, fmt);
    vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n;
}

void gp_buf_number(gp_buf *b, uint64_t v, int bytes)
{
    char text[8];
    for (int i = 0; i < bytes; i++)
        text[i] = (char)(v >> (8 * i));
    gp_buf_add(b, text, (size_t)bytes);
}

void gp_buf_release(gp_buf *b)
{
    free(b->data);
    *b = (gp_buf){0};
}

/* Levenshtein distance, one row at a time; 1000 for strings of more than 63 bytes, which are no names. */
static int distance(const char *a, const char *b)
{
    size_t la = strlen(a), lb = strlen(b);
    int row[64];
    if (la > 63 || lb > 63)
        return 1000;
    for (size_t j = 0; j <= lb; j++)
        row[j] = (int)j;
    for (size_t i = 1; i <= la; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= lb; j++) {
            int substitute = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            int insert_or_delete = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            row[j] = substitute < insert_or_delete ? substitute : insert_or_delete;
        }
    }
    return row[lb];
}

int gp_compare_bytes(const void *a, size_t n, const void *b, size_t m)
{
    size_t least = n < m ? n : m;
    int order = least ? memcmp(a, b, least) : 0;
    return order ? order : (n > m) - (n < m);
}

bool gp_ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n > m && !strcmp(s + n - m, end);
}

int gp_find_name(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(names[i], name))
            return (int)i;
    return -1;
}

const char *gp_nearest(const char *word, const char *const *names, size_t count)
{
    const char *best = NULL;
    int best_distance = (int)strlen(word) / 3 + 2; /* names at this distance or more are unrelated */
    for (size_t i = 0; i < count; i++) {
        int d = distance(word, names[i]);
        if (d < best_distance) {
            best_distance = d;
            best = names[i];
        }
    }
    return best;
}

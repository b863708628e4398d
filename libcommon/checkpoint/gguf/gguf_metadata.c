/* gguf_metadata.c: metadata values by their keys. */
#include "checkpoint/gguf/gguf.h"

#include <stdlib.h>
#include <string.h>

/* Of an integer, in which a set bit `negative` means a number below 0; none: it is unsigned. */
static const struct {
    const char *name;
    int size;
    bool integer;
    uint64_t negative;
} types[GP_GGUF_TYPES] = {
    [GP_GGUF_UINT8] = {"UINT8", 1, true},   [GP_GGUF_INT8] = {"INT8", 1, true, 1u << 7},
    [GP_GGUF_UINT16] = {"UINT16", 2, true}, [GP_GGUF_INT16] = {"INT16", 2, true, 1u << 15},
    [GP_GGUF_UINT32] = {"UINT32", 4, true}, [GP_GGUF_INT32] = {"INT32", 4, true, 1u << 31},
    [GP_GGUF_UINT64] = {"UINT64", 8, true}, [GP_GGUF_INT64] = {"INT64", 8, true, UINT64_C(1) << 63},
    [GP_GGUF_FLOAT32] = {"FLOAT32", 4},     [GP_GGUF_FLOAT64] = {"FLOAT64", 8},
    [GP_GGUF_BOOL] = {"BOOL", 1},           [GP_GGUF_STRING] = {"STRING", 0},
    [GP_GGUF_ARRAY] = {"ARRAY", 0},
};

int gp_gguf_value_size(gp_gguf_type type)
{
    return types[type].size;
}

const gp_gguf_pair *gp_gguf_find(const gp_gguf *g, const char *key)
{
    size_t n = strlen(key);
    int64_t low = 0;
    GP_LOWER_BOUND(low, g->pair_count, i, gp_compare_bytes(g->pairs[i].key, g->pairs[i].key_length, key, n) < 0);
    const gp_gguf_pair *p = g->pairs + low;
    return low < g->pair_count && p->key_length == n && !memcmp(p->key, key, n) ? p : NULL;
}

bool gp_gguf_integer_at(const char *data, gp_gguf_type type, int64_t *v)
{
    uint64_t x = 0;
    memcpy(&x, data, (size_t)types[type].size); /* the low bytes come first */
    *v = (int64_t)((x ^ types[type].negative) - types[type].negative);
    return types[type].integer && (types[type].negative || x <= INT64_MAX);
}

static int wrong_type(const gp_gguf *g, const gp_gguf_pair *p, const char *expected)
{
    gp_buf text = {0};
    gp_gguf_print(&text, p);
    fail("%s: %.*s is %s (%s), expected %s", g->path, (int)p->key_length, p->key, text.data, types[p->type].name,
         expected);
    gp_buf_release(&text);
    return -1;
}

int gp_gguf_integer(const gp_gguf *g, const char *key, int64_t *v)
{
    const gp_gguf_pair *p = gp_gguf_find(g, key);
    if (p && !gp_gguf_integer_at(p->data, p->type, v))
        return wrong_type(g, p, "an integer");
    return p != NULL;
}

/* The decimal with the fewest digits that rounds to this float: 1e-5 was written as such, and not as
 * 9.99999974737875e-06. */
static double shortest(float x)
{
    double v = (double)x;
    for (int digits = 1; digits <= 9; digits++) {
        char text[32];
        snprintf(text, sizeof text, "%.*g", digits, (double)x);
        v = strtod(text, NULL);
        if ((float)v == x)
            break;
    }
    return v;
}

int gp_gguf_real(const gp_gguf *g, const char *key, double *v)
{
    const gp_gguf_pair *p = gp_gguf_find(g, key);
    float x;
    if (p && p->type == GP_GGUF_FLOAT32) {
        memcpy(&x, p->data, sizeof x);
        *v = shortest(x);
    } else if (p && p->type == GP_GGUF_FLOAT64) {
        memcpy(v, p->data, sizeof *v);
    } else if (p) {
        return wrong_type(g, p, "a number");
    }
    return p != NULL;
}

int gp_gguf_bool(const gp_gguf *g, const char *key, bool *v)
{
    const gp_gguf_pair *p = gp_gguf_find(g, key);
    if (p && (p->type != GP_GGUF_BOOL || (*p->data != 0 && *p->data != 1)))
        return wrong_type(g, p, "true or false");
    if (p)
        *v = *p->data;
    return p != NULL;
}

int gp_gguf_text(const gp_gguf *g, const char *key, const char **text, size_t *length)
{
    const gp_gguf_pair *p = gp_gguf_find(g, key);
    if (p && p->type != GP_GGUF_STRING)
        return wrong_type(g, p, "a string");
    if (p) {
        *text = p->data;
        *length = (size_t)p->count;
    }
    return p != NULL;
}

const char *gp_gguf_next_string(const char **at, size_t *length)
{
    uint64_t n;
    memcpy(&n, *at, sizeof n);
    const char *text = *at + sizeof n;
    *length = (size_t)n;
    *at = text + n;
    return text;
}

/* ---- for people ------------------------------------------------------------------------------------------ */

static void print_text(gp_buf *b, const char *text, int64_t length)
{
    enum { MAX_TEXT = 100 };
    gp_buf_puts(b, "\"");
    gp_buf_printable(b, text, (size_t)gp_min(length, MAX_TEXT));
    gp_buf_puts(b, length > MAX_TEXT ? "...\"" : "\"");
}

static void print_number(gp_buf *b, const char *data, gp_gguf_type type)
{
    int64_t v;
    float x;
    double y;
    uint64_t u;
    if (gp_gguf_integer_at(data, type, &v)) {
        gp_buf_printf(b, "%lld", (long long)v);
    } else if (type == GP_GGUF_UINT64) {
        memcpy(&u, data, sizeof u);
        gp_buf_printf(b, "%llu", (unsigned long long)u);
    } else if (type == GP_GGUF_FLOAT32) {
        memcpy(&x, data, sizeof x);
        gp_buf_printf(b, "%.9g", shortest(x));
    } else if (type == GP_GGUF_FLOAT64) {
        memcpy(&y, data, sizeof y);
        gp_buf_printf(b, "%.17g", y);
    } else {
        gp_buf_puts(b, *data ? "true" : "false");
    }
}

void gp_gguf_print(gp_buf *b, const gp_gguf_pair *p)
{
    enum { MAX_ITEMS = 8 };
    const char *at = p->data;
    if (p->type == GP_GGUF_STRING) {
        print_text(b, p->data, p->count);
    } else if (p->type != GP_GGUF_ARRAY) {
        print_number(b, p->data, p->type);
    } else {
        gp_buf_printf(b, "%lld x %s [", (long long)p->count, types[p->item].name);
        int64_t shown = p->item == GP_GGUF_ARRAY ? 0 : gp_min(p->count, MAX_ITEMS);
        for (int64_t i = 0; i < shown; i++) {
            gp_buf_puts(b, i ? ", " : "");
            if (p->item == GP_GGUF_STRING) {
                size_t length;
                const char *text = gp_gguf_next_string(&at, &length);
                print_text(b, text, (int64_t)length);
            } else {
                print_number(b, at + i * types[p->item].size, p->item);
            }
        }
        gp_buf_puts(b, shown == p->count ? "]" : shown ? ", ...]" : "...]");
    }
}

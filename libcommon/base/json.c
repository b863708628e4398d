/* json.c: see json.h. */
#include "base/json.h"
#include "base/utf8.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

/* Memory used by the text that this thread is parsing. */
static _Thread_local struct {
    bool counted, exceeded;
    size_t used, budget;
} reading;

/* What a block takes, malloc's header included. */
static size_t block_size(void *p)
{
    return malloc_usable_size(p) + sizeof(size_t);
}

static void *allocate(size_t n)
{
    if (reading.counted && (n > reading.budget || reading.used > reading.budget - n)) {
        reading.exceeded = true;
        return NULL;
    }
    void *p = gp_malloc(n);
    if (reading.counted)
        reading.used += block_size(p);
    return p;
}

static void release(void *p)
{
    if (p && reading.counted)
        reading.used -= block_size(p);
    free(p);
}

/* Runs before main: jansson has one allocator and one seed per process. Blocks that it allocated earlier stay valid, as
 * both allocators call malloc. */
__attribute__((constructor)) static void set_up_jansson(void)
{
    json_set_alloc_funcs(allocate, release);
    json_object_seed((size_t)gp_hash_seed() | 1); /* 0 would make jansson choose one */
}

size_t gp_json_budget(size_t n)
{
    size_t budget;
    if (__builtin_mul_overflow(n, (size_t)20, &budget) || __builtin_add_overflow(budget, (size_t)64 << 20, &budget))
        return SIZE_MAX;
    return budget;
}

json_t *gp_json_load(const char *text, size_t n, size_t flags, json_error_t *e)
{
    json_error_t error;
    reading.counted = true;
    reading.exceeded = false;
    reading.used = 0;
    reading.budget = gp_json_budget(n);
    json_t *root = json_loadb(text, n, flags, &error);
    reading.counted = false;
    if (reading.exceeded) { /* whatever jansson returned */
        json_decref(root);
        root = NULL;
        snprintf(error.text, sizeof error.text,
                 "its values take more than %zu bytes of memory, the limit for %zu bytes of JSON", reading.budget, n);
    }
    if (e)
        *e = error;
    return root;
}

char *gp_json_dump(const json_t *value, size_t flags)
{
    char *text = json_dumps(value, flags);
    BUG_ON(!text);
    return text;
}

/* jansson has escaped characters below U+0020; other control characters occur only within strings. */
char *gp_json_print(const json_t *value, size_t flags)
{
    char *text = gp_json_dump(value, flags);
    gp_buf b = {0};
    size_t left = strlen(text), n;
    gp_buf_reserve(&b, left);
    for (const char *p = text; left; p += n, left -= n) {
        uint32_t c;
        n = gp_utf8_last((const uint8_t *)p, left, &c);
        if (c >= 0x20 && gp_utf8_is_control(c))
            gp_buf_printf(&b, "\\u%04x", (unsigned)c);
        else
            gp_buf_add(&b, p, n);
    }
    free(text);
    return b.data;
}

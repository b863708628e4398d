/* conversation.c: a context that grows with each line and answer: gp_context of gptpipe/sampler.h. */
#include "infer/generate.h"

#include <stdlib.h>
#include <string.h>

#include "gptpipe/prompts.h"
#include "model/model.h"

struct gp_context {
    int32_t *ids; /* (count) all lines and answers */
    int64_t count;
    int64_t serial; /* the cache with this serial number contains `cached` ids, from ids[start] on */
    int64_t start, cached;
};

gp_context *gp_context_open(void)
{
    return gp_calloc(1, sizeof(gp_context));
}

void gp_context_reset(gp_context *c)
{
    free(c->ids);
    *c = (gp_context){0};
}

void gp_context_close(gp_context *c)
{
    if (c)
        gp_context_reset(c);
    free(c);
}

gp_prompt gp_context_prompt(const gp_context *c)
{
    return (gp_prompt){.ids = c->ids, .count = c->count};
}

int64_t gp_context_cached(const gp_context *c, const gp_model *m, int64_t *start)
{
    bool valid = c->serial && c->serial == m->cache.serial;
    *start = valid ? c->start : 0;
    return valid ? c->cached : 0;
}

void gp_context_keep(gp_context *c, const gp_model *m, const int32_t *ids, int64_t count, int64_t start, int64_t cached)
{
    c->ids = gp_realloc(c->ids, (size_t)gp_max(count, 1), sizeof *c->ids);
    memcpy(c->ids, ids, (size_t)count * sizeof *ids);
    c->count = count;
    c->serial = m->cache.serial;
    c->start = count > start ? start : 0; /* a window of one or two tokens may be empty without the last ones */
    c->cached = count > start ? cached : 0;
}

/* Whether the context ends a line. */
static bool ends_line(const gp_context *c, const gp_tokenizer *t)
{
    size_t n = 0;
    const char *bytes = gp_tokenizer_bytes(t, c->ids[c->count - 1], &n);
    return n && bytes[n - 1] == '\n';
}

/* Encodes a line that follows others, with a newline before it unless the vocabulary has none. */
static int encode_line(const gp_context *c, const gp_tokenizer *t, const char *line, size_t length, bool special,
                       int32_t **ids, int64_t *count)
{
    char *text = gp_malloc(length + 1);
    text[0] = '\n';
    memcpy(text + 1, line, length);
    bool own_line = !ends_line(c, t) && !gp_tokenizer_encode(t, text, length + 1, special, ids, count);
    free(text);
    return own_line ? 0 : gp_tokenizer_encode(t, line, length, special, ids, count);
}

int gp_context_add(gp_context *c, const gp_tokenizer *t, const char *line, size_t length, bool special)
{
    gp_prompts first = {.allow_special = special};
    int32_t *ids = NULL;
    int64_t count = 0;
    if (c->count && !length)
        return 0;
    int rc = c->count ? encode_line(c, t, line, length, special, &ids, &count)
                      : gp_prompts_add_text(&first, t, line, length);
    if (!rc) {
        const int32_t *from = c->count ? ids : first.items[0].ids;
        count = c->count ? count : first.items[0].count;
        c->ids = gp_realloc(c->ids, (size_t)(c->count + count), sizeof *c->ids);
        memcpy(c->ids + c->count, from, (size_t)count * sizeof *ids);
        c->count += count;
    }
    free(ids);
    gp_prompts_release(&first);
    return rc;
}

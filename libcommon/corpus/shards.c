/* shards.c: see shards.h. */
#include "corpus/shards.h"
#include "base/file.h"

#include <stdlib.h>
#include <string.h>

char *gp_name_with(const char *path, const char *suffix)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strrchr(name, '.');
    size_t stem = dot && dot > name ? (size_t)(dot - path) : strlen(path);
    return gp_format("%.*s%s%s", (int)stem, path, suffix, path + stem);
}

static int open_next(gp_shards *s)
{
    s->w = gp_grow(s->w, s->count, sizeof *s->w);
    char suffix[16] = "";
    if (s->size) /* as llm.c numbers them */
        snprintf(suffix, sizeof suffix, "_%06d", s->count);
    char *name = gp_name_with(s->path, suffix);
    s->w[s->count] = gp_tokens_create(name, &s->info);
    free(name);
    return s->w[s->count] ? s->count++, 0 : -1;
}

int gp_shards_open(gp_shards *s, const char *path, int64_t size, bool documents, const gp_tokens_info *info)
{
    *s = (gp_shards){.path = path, .size = size, .documents = documents, .info = *info};
    if (size)
        gp_temporary_clean(path, true);
    int rc = open_next(s);
    s->metadata = size && info->metadata ? gp_strdup(info->metadata) : NULL; /* for the shards that follow */
    s->info.metadata = s->metadata;
    return rc;
}

/* How many of `count` tokens go into the last shard, after opening a new one if that is full; or -1. */
static int64_t shard_capacity(gp_shards *s, int64_t count)
{
    if (!s->size)
        return count;
    int64_t capacity = s->size - gp_tokens_written(s->w[s->count - 1]);
    if (capacity <= 0 && (!s->documents || s->between)) {
        if (gp_tokens_prepare(s->w[s->count - 1]) || open_next(s))
            return -1;
        capacity = s->size;
    }
    return s->documents ? count : gp_min(count, capacity);
}

int gp_shards_write(gp_shards *s, const int32_t *ids, int64_t count)
{
    while (count) {
        int64_t n = shard_capacity(s, count);
        if (n < 0 || gp_tokens_write(s->w[s->count - 1], ids, n))
            return -1;
        s->between = false;
        s->tokens += n;
        ids += n;
        count -= n;
    }
    return 0;
}

int gp_shards_end_document(gp_shards *s)
{
    s->between = true;
    return s->documents ? gp_tokens_end_document(s->w[s->count - 1]) : 0;
}

int gp_shards_end_item(gp_shards *s, int32_t label, int64_t first)
{
    s->between = true;
    return gp_tokens_end_item(s->w[s->count - 1], label, first);
}

int64_t gp_shards_documents(const gp_shards *s)
{
    int64_t sum = 0;
    for (int i = 0; i < s->count; i++)
        sum += gp_tokens_documents_written(s->w[i]);
    return sum;
}

int gp_shards_prepare(gp_shards *s)
{
    return gp_tokens_prepare(s->w[s->count - 1]);
}

int gp_shards_finish(gp_shards *s)
{
    int rc = 0;
    for (int i = 0; i < s->count && !rc; i++) {
        rc = gp_tokens_finish(s->w[i]);
        s->w[i] = NULL;
    }
    return rc;
}

void gp_shards_release(gp_shards *s)
{
    for (int i = 0; i < s->count; i++)
        gp_tokens_abort(s->w[i]);
    free(s->metadata);
    free(s->w);
    *s = (gp_shards){0};
}

/* stories.c: see gptpipe/stories.h; data/stories.grammar has the words. */
#include "gptpipe/stories.h"

#include "base/file.h"
#include "fetch/embedded.h"
#include "fetch/grammar.h"

#include <stdlib.h>
#include <string.h>

struct gp_stories {
    gp_grammar grammar;
    uint64_t seed;
};

enum { SEPARATOR = sizeof GP_STORY_SEPARATOR - 1 };

gp_stories *gp_stories_open(uint64_t seed)
{
    gp_stories *s = gp_calloc(1, sizeof *s);
    s->seed = seed;
    if (gp_grammar_parse(&s->grammar, (const char *)gp_stories_grammar, "stories.grammar")) {
        gp_stories_close(s);
        return NULL;
    }
    return s;
}

void gp_stories_close(gp_stories *s)
{
    if (!s)
        return;
    gp_grammar_release(&s->grammar);
    free(s);
}

int gp_stories_get(const gp_stories *s, int64_t i, gp_story *story)
{
    story->length = gp_grammar_draw(&s->grammar, s->seed, i, story->text, GP_STORY_MAX, &story->nats);
    return story->length < 0 ? -1 : 0;
}

/* JSON lists of one number a story, for the sidecar. On stdout there is no sidecar, and memory does not grow. */
typedef struct entropy {
    gp_buf nats, chars;
} entropy;

static int write_text(const gp_stories *s, int64_t count, gp_out *out, entropy *e, gp_sha256 *hash)
{
    gp_story story;
    for (int64_t i = 0; i < count; i++) {
        if (gp_stories_get(s, i, &story))
            return -1;
        size_t n = (size_t)story.length;
        if (gp_out_write(out, story.text, n) || gp_out_write(out, GP_STORY_SEPARATOR, SEPARATOR))
            return -1;
        gp_sha256_add(hash, story.text, n);
        gp_sha256_add(hash, GP_STORY_SEPARATOR, SEPARATOR);
        if (!e)
            continue;
        gp_buf_printf(&e->nats, "%s%.12g", i ? "," : "", story.nats);
        gp_buf_printf(&e->chars, "%s%zu", i ? "," : "", n + SEPARATOR);
    }
    return 0;
}

static int write_sidecar(const gp_stories *s, int64_t count, const char *path, int64_t bytes, const char *sha256,
                         const entropy *e)
{
    gp_buf json = {0};
    gp_buf_printf(&json,
                  "{\"source\": {\"name\": \"stories\", \"seed\": %llu, \"stories\": %lld, \"bytes\": %lld, "
                  "\"sha256\": \"%s\"},\n\"separator\": \"\\n\\n\",\n\"entropy\": {\"nats\": [",
                  (unsigned long long)s->seed, (long long)count, (long long)bytes, sha256);
    gp_buf_add(&json, e->nats.data, e->nats.len);
    gp_buf_puts(&json, "],\n\"chars\": [");
    gp_buf_add(&json, e->chars.data, e->chars.len);
    gp_buf_puts(&json, "]}}\n");
    int rc = gp_file_write(path, json.data, json.len);
    gp_buf_release(&json);
    return rc;
}

int gp_stories_write(const gp_stories *s, int64_t count, const char *path)
{
    gp_out out;
    gp_sha256 hash;
    entropy e = {0};
    uint8_t digest[32];
    char hex[65];
    bool std = !strcmp(path, "-");
    char *sidecar = gp_format("%s.json", path);
    if ((!std && gp_make_parent(path)) || gp_out_open(&out, path)) {
        free(sidecar);
        return -1;
    }
    gp_sha256_begin(&hash);
    int rc = write_text(s, count, &out, std ? NULL : &e, &hash);
    gp_sha256_end(&hash, digest);
    gp_hex(hex, digest, sizeof digest);
    /* The sidecar is committed first: a text without one would pass for an ordinary file. */
    if (!rc && !std)
        rc = write_sidecar(s, count, sidecar, out.written, hex, &e);
    if (rc)
        gp_out_abandon(&out);
    else
        rc = gp_out_commit(&out);
    gp_buf_release(&e.nats);
    gp_buf_release(&e.chars);
    free(sidecar);
    return rc;
}

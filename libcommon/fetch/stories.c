/* stories.c: see gptpipe/stories.h; data/stories.grammar has the words. */
#include "gptpipe/stories.h"

#include "fetch/embedded.h"
#include "fetch/generated_file.h"
#include "fetch/grammar.h"

#include <stdlib.h>

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
    double nats[GP_GRAMMAR_CLASSES];
    story->length = gp_grammar_draw(&s->grammar, 0, s->seed, i, story->text, GP_STORY_MAX, nats);
    story->nats = nats[0];
    return story->length < 0 ? -1 : 0;
}

/* JSON lists of one number a story, for the sidecar. On stdout there is no sidecar, and memory does not grow. */
typedef struct entropy {
    gp_buf nats, chars;
} entropy;

static int write_text(const gp_stories *s, int64_t count, gp_generated_file *f, entropy *e)
{
    gp_story story;
    for (int64_t i = 0; i < count; i++) {
        if (gp_stories_get(s, i, &story))
            return -1;
        size_t n = (size_t)story.length;
        if (gp_generated_write(f, story.text, n) || gp_generated_write(f, GP_STORY_SEPARATOR, SEPARATOR))
            return -1;
        if (!f->sidecar)
            continue;
        gp_buf_printf(&e->nats, "%s%.12g", i ? "," : "", story.nats);
        gp_buf_printf(&e->chars, "%s%zu", i ? "," : "", n + SEPARATOR);
    }
    return 0;
}

int gp_stories_write(const gp_stories *s, int64_t count, const char *path)
{
    gp_generated_file f;
    entropy e = {0};
    gp_buf json = {0};
    if (gp_generated_open(&f, path))
        return -1;
    int rc = write_text(s, count, &f, &e);
    gp_buf_puts(&json, "\"separator\": \"\\n\\n\",\n\"entropy\": {\"nats\": [");
    gp_buf_add(&json, e.nats.data, e.nats.len);
    gp_buf_puts(&json, "],\n\"chars\": [");
    gp_buf_add(&json, e.chars.data, e.chars.len);
    gp_buf_puts(&json, "]}");
    rc = gp_generated_end(&f, rc, "stories", s->seed, count, &json);
    gp_buf_release(&e.nats);
    gp_buf_release(&e.chars);
    gp_buf_release(&json);
    return rc;
}

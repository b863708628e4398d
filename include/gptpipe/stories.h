/* stories.h: short children's stories from a seeded grammar, each with its exact probability.
 *
 *     gp_stories *s = gp_stories_open(1);                  // the seed
 *     gp_story story;
 *     for (int64_t i = 0; i < 3 && !gp_stories_get(s, i, &story); i++)
 *         printf("%s%s", story.text, GP_STORY_SEPARATOR);
 *     gp_stories_close(s);
 *
 * Every text has one derivation, so -log P of a story is the sum of -log of the choices made, and the mean of that
 * over many stories is the least loss that any model can have on them: the floor that a training run is held
 * against. Story i of a seed depends on nothing else and is the same on every machine.
 */
#ifndef GPTPIPE_STORIES_H
#define GPTPIPE_STORIES_H

#include <stdint.h>

#include "gptpipe/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The longest story: with a separator before and after it, it fits a context of 256 characters. */
enum { GP_STORY_MAX = 252 };

/* Stands after every story and in none: one blank line. */
#define GP_STORY_SEPARATOR "\n\n"

typedef struct gp_story {
    char text[GP_STORY_MAX + 1]; /* printable ASCII, NUL-terminated */
    int length;
    double nats; /* -log P(text); the separator is certain and costs nothing */
} gp_story;

typedef struct gp_stories gp_stories;

GP_API gp_stories *gp_stories_open(uint64_t seed); /* NULL when the grammar is broken */
GP_API void gp_stories_close(gp_stories *s);

/* Story i >= 0. 0, or -1 when it is longer than GP_STORY_MAX (not with the grammar as shipped). */
GP_API int gp_stories_get(const gp_stories *s, int64_t i, gp_story *story);

/* Writes stories 0 to count - 1, each followed by the separator, to a file that appears whole, and before it
 * PATH.json beside it:
 *     {"source": {"name": "stories", "seed": S, "stories": N, "bytes": N, "sha256": "..." (of the text)},
 *      "separator": "\n\n", "entropy": {"nats": [story 0, ...], "chars": [...]}}
 * chars counts the separator too. Folders are made. Path "-" is stdout and the text alone. 0 or -1. */
GP_API int gp_stories_write(const gp_stories *s, int64_t count, const char *path);

#ifdef __cplusplus
}
#endif
#endif

/* reviews.h: short film reviews, negative or positive, from a seeded grammar, each with its exact probability under
 * either label; so the error of the Bayes-optimal classifier is known exactly.
 *
 *     gp_reviews *r = gp_reviews_open(1);                  // the seed
 *     gp_review review;
 *     for (int64_t i = 0; i < 3 && !gp_reviews_get(r, i, &review); i++)
 *         printf("%s: %s\n", review.label ? "positive" : "negative", review.text);
 *     printf("no classifier is right more often than %.4f\n", gp_reviews_limit(r).accuracy);
 *     gp_reviews_close(r);
 *
 * Review i of a seed depends on nothing else and is the same on every machine. Even ones are negative, odd ones
 * positive.
 */
#ifndef GPTPIPE_REVIEWS_H
#define GPTPIPE_REVIEWS_H

#include <stdint.h>

#include "gptpipe/error.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { GP_REVIEW_MAX = 400, GP_REVIEW_LABELS = 2 };

/* The limit of classification: no classifier has a higher expected accuracy or a lower expected loss, and the
 * Bayes-optimal one, which knows P(text | label), reaches both. */
typedef struct gp_bayes {
    double accuracy; /* 1 - the Bayes error */
    double loss;     /* cross-entropy in nats: the conditional entropy of the label given the text */
} gp_bayes;

typedef struct gp_review {
    char text[GP_REVIEW_MAX + 1]; /* printable ASCII, NUL-terminated */
    int length;
    int label;                     /* 0 negative, 1 positive */
    double nats[GP_REVIEW_LABELS]; /* -log P(text | label), of each label */
} gp_review;

typedef struct gp_reviews gp_reviews;

GP_API gp_reviews *gp_reviews_open(uint64_t seed); /* NULL when the grammar is broken */
GP_API void gp_reviews_close(gp_reviews *r);

/* Review i >= 0. 0, or -1 when it is longer than GP_REVIEW_MAX (not with the grammar as shipped). */
GP_API int gp_reviews_get(const gp_reviews *r, int64_t i, gp_review *review);

/* P(positive | text), of labels that are equally frequent. */
GP_API double gp_review_posterior(const gp_review *review);

GP_API gp_bayes gp_reviews_limit(const gp_reviews *r);

/* The first `count` reviews of a seed, under the name of a split. */
typedef struct gp_reviews_split {
    const char *name;
    uint64_t seed;
    int64_t count;
} gp_reviews_split;

/* Writes the splits one after another, a JSON object a line, {"text": "...", "label": 1, "split": "train"}, to a file
 * that appears whole, and before it PATH.json beside it:
 *     {"source": {"name": "reviews", "seed": S (of the first split), "reviews": N, "bytes": N, "sha256": "..."},
 *      "bayes": {"accuracy": A, "loss": L (the limit, as above),
 *                "sample_accuracy": ..., "sample_loss": ... (the Bayes-optimal classifier's on these reviews),
 *                "posterior": [P(positive | text) of review 0, ...]}}
 * Folders are made. Path "-" is stdout, without the second file. 0 or -1. */
GP_API int gp_reviews_write(const gp_reviews_split *splits, int count, const char *path);

#ifdef __cplusplus
}
#endif
#endif

/* reviews.c: see gptpipe/reviews.h; data/reviews.grammar has the words and the evidence. */
#include "gptpipe/reviews.h"

#include "base/json_write.h"
#include "fetch/embedded.h"
#include "fetch/generated_file.h"
#include "fetch/grammar.h"

#include <math.h>
#include <stdlib.h>

struct gp_reviews {
    gp_grammar grammar;
    gp_bayes limit;
    uint64_t seed;
};

gp_reviews *gp_reviews_open(uint64_t seed)
{
    gp_reviews *r = gp_calloc(1, sizeof *r);
    r->seed = seed;
    if (!gp_grammar_parse(&r->grammar, (const char *)gp_reviews_grammar, "reviews.grammar") &&
        !gp_grammar_bayes(&r->grammar, &r->limit))
        return r;
    gp_reviews_close(r);
    return NULL;
}

void gp_reviews_close(gp_reviews *r)
{
    if (!r)
        return;
    gp_grammar_release(&r->grammar);
    free(r);
}

int gp_reviews_get(const gp_reviews *r, int64_t i, gp_review *review)
{
    review->label = (int)(i % GP_REVIEW_LABELS);
    review->length = gp_grammar_draw(&r->grammar, review->label, r->seed, i, review->text, GP_REVIEW_MAX, review->nats);
    return review->length < 0 ? -1 : 0;
}

double gp_review_posterior(const gp_review *review)
{
    return 1 / (1 + exp(review->nats[1] - review->nats[0]));
}

gp_bayes gp_reviews_limit(const gp_reviews *r)
{
    return r->limit;
}

/* What the Bayes-optimal classifier does on the reviews that are written. */
typedef struct sample {
    int64_t reviews;
    double right, nats; /* a tie is half right */
    gp_buf posterior;   /* JSON numbers; empty on stdout, so that memory does not grow */
} sample;

static void add_review(sample *s, const gp_review *review, bool listed)
{
    double positive = gp_review_posterior(review), p = review->label ? positive : 1 - positive;
    if (listed)
        gp_buf_printf(&s->posterior, "%s%.12g", s->reviews ? "," : "", positive);
    s->reviews++;
    s->right += p > 0.5 ? 1 : p < 0.5 ? 0 : 0.5;
    s->nats -= log(p);
}

static int write_split(const gp_reviews *r, const gp_reviews_split *split, gp_generated_file *f, sample *s)
{
    gp_review review;
    gp_buf line = {0};
    int rc = 0;
    for (int64_t i = 0; i < split->count && !rc; i++) {
        if (gp_reviews_get(r, i, &review)) {
            rc = -1;
            break;
        }
        line.len = 0;
        gp_json_open(&line, NULL, '{');
        gp_json_put(&line, MEMBER("text", (const char *)review.text), MEMBER("label", review.label),
                    MEMBER("split", split->name));
        gp_json_close(&line, '}');
        gp_buf_puts(&line, "\n");
        add_review(s, &review, f->sidecar != NULL);
        rc = gp_generated_write(f, line.data, line.len);
    }
    gp_buf_release(&line);
    return rc;
}

static void describe(gp_buf *json, const sample *s, gp_bayes limit)
{
    double n = (double)s->reviews;
    gp_json_open(json, "bayes", '{');
    gp_json_put(json, REAL("accuracy", limit.accuracy, 15), REAL("loss", limit.loss, 15),
                REAL("sample_accuracy", s->right / n, 12), REAL("sample_loss", s->nats / n, 12));
    gp_json_open(json, "posterior", '[');
    gp_buf_add(json, s->posterior.data, s->posterior.len);
    gp_json_close(json, ']');
    gp_json_close(json, '}');
}

int gp_reviews_write(const gp_reviews_split *splits, int count, const char *path)
{
    gp_generated_file f;
    sample s = {0};
    gp_bayes limit = {0};
    gp_buf json = {0};
    int rc = 0;
    if (gp_generated_open(&f, path))
        return -1;
    for (int i = 0; i < count && !rc; i++) {
        gp_reviews *r = gp_reviews_open(splits[i].seed);
        rc = !r || write_split(r, splits + i, &f, &s) ? -1 : 0;
        limit = r ? gp_reviews_limit(r) : limit;
        gp_reviews_close(r);
    }
    if (!rc)
        describe(&json, &s, limit);
    rc = gp_generated_end(&f, rc, "reviews", splits->seed, s.reviews, &json);
    gp_buf_release(&s.posterior);
    gp_buf_release(&json);
    return rc;
}

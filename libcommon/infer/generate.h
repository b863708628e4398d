/* generate.h: one call of gp_generate_all, and what the files of generation share. */
#ifndef GP_INFER_GENERATE_H
#define GP_INFER_GENERATE_H

#include "base/base.h"
#include "gptpipe/sampler.h"

/* Drafts come from matches of up to this many ids. */
enum { GP_DRAFT_NGRAM_MAX = 3 };

/* How long the next draft is, and how many are left out before it. */
typedef struct gp_draft_trust {
    int64_t tokens, pause, misses;
} gp_draft_trust;

/* One sample, in one row of the cache. */
typedef struct gp_sample_row {
    int64_t prompt, number; /* of which prompt, and which of its samples */
    int32_t *ids;           /* (capacity) the prompt and all sampled ids */
    int64_t count, capacity, drawn;
    int64_t start;  /* ids[start] is at position 0 of the cache, */
    int64_t cached; /* which contains this many of them before the row is filled */
    gp_buf text;    /* bytes not emitted yet: an incomplete character, or the beginning of a possible stop text */
    bool live;      /* false: the row is free */
    bool ended;     /* by its last id, which is not part of the text */
    bool filled;    /* the cache contains the prompt */
    int64_t serial; /* of the sample, among all */
    int64_t issued; /* draws, of which the host has read `drawn` */
    int64_t place;  /* the position of the next id in the cache */
    int32_t guess;  /* the id that is drafted in the place of the next, or -1 */
    gp_draft_stats draft;
    gp_draft_trust trust[GP_DRAFT_NGRAM_MAX]; /* in drafts from matches of 1, 2, ... ids */
} gp_sample_row;

typedef struct gp_generate_run {
    gp_model *m;
    const gp_tokenizer *t;
    const gp_generation *how;
    gp_sampling sampling;
    const gp_prompt *prompts;
    gp_token_fn *fn;
    void *self;
    int64_t context, B, tops;
    int64_t next, total;   /* samples begun; samples of all prompts */
    gp_sample_row *rows;   /* (B) */
    int64_t issued, read;  /* steps */
    int64_t max_pending;   /* steps that may be pending when the next is issued */
    int64_t *participants; /* (GP_DRAWS_PENDING,B) serials of the samples that a step draws for; -1: none */
    gp_token_logprob *top; /* (tops) */
    gp_generate_stats stats;
} gp_generate_run;

/* generate.c. Records a step that is about to be issued for rows [first, first + count), or those of them with
 * takes_part[b]. */
void gp_generate_note_step(gp_generate_run *r, int64_t first, int64_t count, const bool *takes_part);

/* generate.c. Reads steps, the oldest first, until at most max are pending. */
int gp_generate_read_steps(gp_generate_run *r, int64_t max);

/* context_window.c. Fills the rows that have begun, or have run past the model's context, and draws their next tokens.
 * Samples of one prompt that begin together share one prefill. */
int gp_generate_fill_rows(gp_generate_run *r);

/* draft.c. If there is a draft for row 0, verifies it in one pass and takes the tokens that this gives; *did: whether
 * it did. */
int gp_generate_verify(gp_generate_run *r, bool *did);

/* draft.c. Writes n ids that may follow ids (count): those that followed the last earlier occurrence of its longest
 * end, of up to GP_DRAFT_NGRAM_MAX ids. Returns the length of that end; 0: it has not occurred, and nothing is written.
 */
int64_t gp_draft_find(const int32_t *ids, int64_t count, int32_t *draft, int64_t n);

/* stop.c. How many bytes of a text that grows token by token may be emitted: without an incomplete UTF-8 character or
 * the beginning of a possible stop text. If it contains a stop text, sets *stop and returns the bytes before it. */
size_t gp_text_sure(const char *text, size_t n, char *const *stops, const char **stop);

/* stop.c. n without an incomplete UTF-8 character at the end. */
size_t gp_text_whole(const char *text, size_t n);

/* stop.c. Why a sample ends with this id, the drawn-th that was sampled; t may be NULL. */
gp_finish gp_finish_of(const gp_generation *how, const gp_config *c, const gp_tokenizer *t, int64_t drawn, int32_t id);

/* conversation.c. How many ids of the context, from *start on, are in row 0 of m's cache. */
int64_t gp_context_cached(const gp_context *c, const gp_model *m, int64_t *start);

/* conversation.c. Makes ids (count) the context, of which `cached` are in row 0 of m's cache from ids[start] on. */
void gp_context_keep(gp_context *c, const gp_model *m, const int32_t *ids, int64_t count, int64_t start,
                     int64_t cached);

/* prompts.c. Fails if a prompt is empty or has an id outside the model's vocabulary. */
int gp_prompts_check(const gp_config *c, const gp_prompt *prompts, int64_t count);

#endif

/* objective.h: what a run learns to predict, and how it reads token streams for that:
 *
 *     lm    windows, whose targets are the next tokens (gptpipe/loader.h)
 *     mlm   windows between the ids that the tokenizer puts around a text, some of whose tokens are masked
 *           (gptpipe/masked.h)
 *     classify  items: texts or pairs of texts, with labels (gptpipe/labelled.h)
 */
#ifndef GP_TRAIN_OBJECTIVE_H
#define GP_TRAIN_OBJECTIVE_H

#include "gptpipe/labelled.h"
#include "gptpipe/masked.h"
#include "gptpipe/train.h"

typedef struct gp_reading {
    gp_objective objective;
    const gp_tokenizer *tokenizer; /* mlm: the stream's */
    gp_masking masking;            /* mlm */
    gp_labelled_options labelled;  /* classify: truncation, padding and types; B and T are a reader's */
} gp_reading;

/* The objective of a model's head. */
gp_objective gp_objective_of(const gp_config *c);

/* How a model reads a stream that has the tokenizer t (NULL: none) and this name. -1 where the options name another
 * objective than the model's, or the stream does not have what the objective needs. */
int gp_reading_choose(gp_reading *r, const gp_train_options *o, const gp_config *c, const gp_tokenizer *t,
                      const char *stream);

/* Tokens of the stream in a row of T. */
int64_t gp_reading_window(const gp_reading *r, int64_t T);

/* The fraction of a row of T tokens that is predicted. */
double gp_reading_targets(const gp_reading *r, int64_t T);

/* For a checkpoint to record: how rows are masked; "" of lm. */
void gp_reading_describe(const gp_reading *r, char *text, size_t size);

/* Sets of streams, read so. */
typedef struct gp_row_reader {
    gp_loader *loader;   /* of the windows */
    gp_source *masked;   /* mlm: over the loader's source */
    gp_source *labelled; /* classify */
    gp_source *source;   /* rows of T tokens, or up to T */
    int64_t B;           /* rows of a batch */
} gp_row_reader;

/* o->T: tokens a row. The sets and r->tokenizer outlive the reader. 0 or -1; gp_row_reader_close in both cases. */
int gp_row_reader_open(gp_row_reader *reader, const gp_reading *r, const gp_stream_set *sets, int count,
                       const gp_loader_options *o);

/* classify: items instead of sets; o->B rows of up to o->T tokens, ordered by o->seed. class_weights (labels), or NULL:
 * in the batches' weights. */
int gp_row_reader_open_items(gp_row_reader *reader, const gp_reading *r, const gp_labelled_item *items, int64_t count,
                             const float *class_weights, const gp_loader_options *o);

/* Rows of an epoch. */
int64_t gp_row_reader_epoch(const gp_row_reader *reader);
void gp_row_reader_close(gp_row_reader *reader);

#endif

/* classify.h: what training a classifier needs of its data: items to train on and to evaluate on, weights of the
 * classes, and the labels that go into the model's configuration. */
#ifndef GP_TRAIN_CLASSIFY_H
#define GP_TRAIN_CLASSIFY_H

#include "data/mixture.h"
#include "gptpipe/labelled.h"
#include "gptpipe/train.h"

/* Sets the head of a configuration to a classifier of the stream's labels. One that is a classifier already must have
 * these labels; it may call them LABEL_0, LABEL_1, ... `where` names the model in messages. 0 or -1. */
int gp_classify_configure(gp_config *c, const gp_tokens *stream, const char *where);

typedef struct gp_classify_items {
    gp_labelled_item *train, *held_out; /* held_out NULL: the validation sets are val's */
    int64_t count, held_out_count;
} gp_classify_items;

/* The items of train; where val holds a part of its data (--val-fraction), this part is drawn anew, at random: a text
 * may be sorted by label. 0 or -1; gp_classify_items_release in both cases. */
int gp_classify_items_open(gp_classify_items *i, const gp_train_options *o, const gp_mixture *train,
                           const gp_mixture *val);
void gp_classify_items_release(gp_classify_items *i);

/* --class-weights into a fresh array (labels), for the items that are trained on; NULL in *weights: all are 1. */
int gp_classify_weights(const char *text, const gp_labelled_item *items, int64_t count, float **weights);

#endif

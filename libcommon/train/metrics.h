/* metrics.h: how well a classifier predicts labels.
 *
 *     gp_metrics m;
 *     gp_metrics_init(&m, 2);
 *     gp_metrics_add(&m, label, logits);          // for each item
 *     printf("%g\n", gp_metrics_accuracy(&m));
 *     gp_metrics_release(&m);
 *
 * Precision, recall and F1 are scikit-learn's with zero_division=0; the macro F1 is the mean over the labels that
 * occur, as true or as predicted ones. The expected calibration error (Guo et al. 2017, On Calibration of Modern Neural
 * Networks, eq. 3) is the sum over 15 bins of confidence ((b-1)/15, b/15] of |B|/n * |accuracy(B) - confidence(B)|.
 */
#ifndef GP_TRAIN_METRICS_H
#define GP_TRAIN_METRICS_H

#include "base/base.h"

enum { GP_CALIBRATION_BINS = 15 };

typedef struct gp_metrics {
    int64_t labels, count;
    double nats;        /* sum of -log p of the labels */
    int64_t *confusion; /* (labels,labels) items by true label and predicted label */
    struct {
        int64_t count, correct;
        double confidence; /* sum */
    } bins[GP_CALIBRATION_BINS];
} gp_metrics;

typedef struct gp_class_metrics {
    double precision, recall, f1;
    int64_t count; /* items with this label */
} gp_class_metrics;

void gp_metrics_init(gp_metrics *m, int64_t labels);
void gp_metrics_release(gp_metrics *m);
void gp_metrics_clear(gp_metrics *m);

/* Counts an item with this label; the prediction is the largest of the logits (labels), the first of equal ones. */
void gp_metrics_add(gp_metrics *m, int64_t label, const float *logits);

/* Of no item, all are 0. */
double gp_metrics_accuracy(const gp_metrics *m);
double gp_metrics_macro_f1(const gp_metrics *m);
double gp_metrics_calibration_error(const gp_metrics *m);
gp_class_metrics gp_metrics_class(const gp_metrics *m, int64_t label);

#endif

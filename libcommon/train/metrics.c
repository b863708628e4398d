/* metrics.c: see metrics.h. */
#include "train/metrics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void gp_metrics_init(gp_metrics *m, int64_t labels)
{
    *m = (gp_metrics){.labels = labels};
    m->confusion = gp_calloc((size_t)(labels * labels), sizeof *m->confusion);
}

void gp_metrics_release(gp_metrics *m)
{
    free(m->confusion);
    *m = (gp_metrics){0};
}

void gp_metrics_clear(gp_metrics *m)
{
    memset(m->confusion, 0, (size_t)(m->labels * m->labels) * sizeof *m->confusion);
    memset(m->bins, 0, sizeof m->bins);
    m->count = 0;
    m->nats = 0;
}

void gp_metrics_add(gp_metrics *m, int64_t label, const float *logits)
{
    int64_t best = 0;
    double sum = 0;
    for (int64_t i = 1; i < m->labels; i++)
        if (logits[i] > logits[best])
            best = i;
    for (int64_t i = 0; i < m->labels; i++)
        sum += exp((double)logits[i] - (double)logits[best]);
    double confidence = 1 / sum;
    m->nats += log(sum) + (double)logits[best] - (double)logits[label];
    int bin = (int)fmin(GP_CALIBRATION_BINS - 1, fmax(0, ceil(confidence * GP_CALIBRATION_BINS) - 1));
    m->bins[bin].count++;
    m->bins[bin].correct += best == label;
    m->bins[bin].confidence += confidence;
    m->confusion[label * m->labels + best]++;
    m->count++;
}

double gp_metrics_accuracy(const gp_metrics *m)
{
    int64_t correct = 0;
    for (int64_t i = 0; i < m->labels; i++)
        correct += m->confusion[i * m->labels + i];
    return m->count ? (double)correct / (double)m->count : 0;
}

/* Items with this label, and items predicted to have it. */
static void count_label(const gp_metrics *m, int64_t label, int64_t *is, int64_t *predicted)
{
    *is = *predicted = 0;
    for (int64_t i = 0; i < m->labels; i++) {
        *is += m->confusion[label * m->labels + i];
        *predicted += m->confusion[i * m->labels + label];
    }
}

gp_class_metrics gp_metrics_class(const gp_metrics *m, int64_t label)
{
    int64_t is, predicted;
    double correct = (double)m->confusion[label * m->labels + label];
    count_label(m, label, &is, &predicted);
    return (gp_class_metrics){.precision = predicted ? correct / (double)predicted : 0,
                              .recall = is ? correct / (double)is : 0,
                              .f1 = is + predicted ? 2 * correct / (double)(is + predicted) : 0,
                              .count = is};
}

double gp_metrics_macro_f1(const gp_metrics *m)
{
    double sum = 0;
    int64_t occur = 0;
    for (int64_t i = 0; i < m->labels; i++) {
        int64_t is, predicted;
        count_label(m, i, &is, &predicted);
        occur += is + predicted > 0;
        sum += gp_metrics_class(m, i).f1;
    }
    return occur ? sum / (double)occur : 0;
}

double gp_metrics_calibration_error(const gp_metrics *m)
{
    double sum = 0;
    for (int i = 0; i < GP_CALIBRATION_BINS; i++)
        sum += fabs((double)m->bins[i].correct - m->bins[i].confidence);
    return m->count ? sum / (double)m->count : 0;
}

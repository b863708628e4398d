/* Metrics of a classifier: scikit-learn's and torchmetrics' (tests/reference/metrics.py). */
#include "reference/metrics.h"
#include "test.h"
#include "train/metrics.h"

#include <math.h>

static void near(double got, double want)
{
    if (!(fabs(got - want) <= 1e-7))
        fail_msg("%.15g, expected %.15g", got, want);
}

static void add_all(gp_metrics *m, const float *logits, const int32_t *labels, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        gp_metrics_add(m, labels[i], logits + i * m->labels);
}

static void check(const float *logits, const int32_t *labels, int64_t n, int64_t k, const int64_t *confusion,
                  const double *classes, double accuracy, double f1, double calibration)
{
    gp_metrics m;
    gp_metrics_init(&m, k);
    add_all(&m, logits, labels, n / 2);
    gp_metrics_clear(&m);
    add_all(&m, logits, labels, n);
    assert_int_equal(m.count, n);
    assert_memory_equal(m.confusion, confusion, (size_t)(k * k) * sizeof *confusion);
    for (int64_t c = 0; c < k; c++) {
        gp_class_metrics got = gp_metrics_class(&m, c);
        near(got.precision, classes[3 * c]);
        near(got.recall, classes[3 * c + 1]);
        near(got.f1, classes[3 * c + 2]);
    }
    near(gp_metrics_accuracy(&m), accuracy);
    near(gp_metrics_macro_f1(&m), f1);
    near(gp_metrics_calibration_error(&m), calibration);
    gp_metrics_release(&m);
}

#define CHECK(name, NAME, k)                                                                                           \
    check(name##_logits, name##_labels, (int64_t)ARRAY_LEN(name##_labels), k, name##_confusion, name##_classes,        \
          NAME##_ACCURACY, NAME##_MACRO_F1, NAME##_ECE)

static void they_are_those_of_scikit_learn_and_torchmetrics(void **state)
{
    (void)state;
    CHECK(two, TWO, 2);
    CHECK(five, FIVE, 5);
    CHECK(sure, SURE, 3);
}

static void of_nothing_they_are_zero(void **state)
{
    (void)state;
    gp_metrics m;
    gp_metrics_init(&m, 2);
    near(gp_metrics_accuracy(&m), 0);
    near(gp_metrics_macro_f1(&m), 0);
    near(gp_metrics_calibration_error(&m), 0);
    gp_metrics_release(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_are_those_of_scikit_learn_and_torchmetrics),
        cmocka_unit_test(of_nothing_they_are_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

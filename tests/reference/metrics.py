#!/usr/bin/env python3
"""Writes metrics.h: accuracy, F1, confusion matrix and calibration error of a few predictions, as scikit-learn and
torchmetrics compute them.

    pip install numpy scikit-learn torch torchmetrics
    python3 tests/reference/metrics.py > tests/reference/metrics.h
"""
import numpy as np
import sklearn
import torch
import torchmetrics
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_recall_fscore_support
from torchmetrics.functional.classification import multiclass_calibration_error


def numbers(values, form="%.9g"):
    return ", ".join(form % x for x in np.ravel(values))


def case(name, rng, n, k, classes, scale):
    """n predictions of k classes, of which only some occur."""
    true = rng.choice(classes, n)
    logits = rng.normal(size=(n, k)).astype(np.float32) * scale
    logits[np.arange(n), true] += 1.0
    for c in set(range(k)) - set(classes):
        logits[:, c] -= 40
    predicted = logits.argmax(1)
    p, r, f, _ = precision_recall_fscore_support(true, predicted, labels=range(k), zero_division=0)
    ece = multiclass_calibration_error(torch.tensor(logits).double().softmax(-1), torch.tensor(true), num_classes=k,
                                       n_bins=15, norm="l1").item()
    print("static const float %s_logits[] = {%s};" % (name, numbers(logits, "%.8eF")))
    print("static const int32_t %s_labels[] = {%s};" % (name, numbers(true, "%d")))
    print("static const int64_t %s_confusion[] = {%s};" % (name, numbers(
        confusion_matrix(true, predicted, labels=range(k)), "%d")))
    print("static const double %s_classes[] = {%s};" % (name, numbers(np.stack([p, r, f], 1), "%.15g")))
    print("#define %s_ACCURACY %.15g" % (name.upper(), accuracy_score(true, predicted)))
    print("#define %s_MACRO_F1 %.15g" % (name.upper(), f1_score(true, predicted, average="macro", zero_division=0)))
    print("#define %s_ECE %.15g\n" % (name.upper(), ece))


print("/* Made by metrics.py with scikit-learn %s and torchmetrics %s. */" % (sklearn.__version__,
                                                                          torchmetrics.__version__))
print("#include <stdint.h>\n")
print("/* clang-format off */")
rng = np.random.default_rng(1)
case("two", rng, 40, 2, [0, 1], 1.0)
case("five", rng, 60, 5, [0, 1, 2, 4], 1.5)  # one class occurs neither as a label nor as a prediction
case("sure", rng, 30, 3, [0, 2], 8.0)
print("/* clang-format on */")

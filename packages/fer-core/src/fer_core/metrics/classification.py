"""Metrics of a classification, from labels and probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fer_core.errors import FerError
from fer_core.metrics.record import Metrics

TINY = 1e-12
Labels = NDArray[np.int64]
Scores = NDArray[np.floating]


def compute_metrics(labels: ArrayLike, probabilities: ArrayLike, classes: Sequence[str]) -> Metrics:
    """Compare labels with the most probable classes; of equal probabilities the first class wins.

    With n[i][j] the number of images of class i that were taken for class j (the figures equal scikit-learn's):

    - `accuracy`: sum of n[i][i] over the number of images.
    - `recall`: per class n[i][i] / sum over j of n[i][j]; None for a class that no image has.
    - `mean_class_accuracy`: mean of the recalls that are not None (`balanced_accuracy_score`).
    - `macro_f1`: mean of 2 n[i][i] / (row sum + column sum) over the classes that occur among the labels or
      the predictions (`f1_score` with average="macro" and zero_division=0).
    - `cross_entropy`: mean of -log of the label's probability, which counts as at least 1e-12.
    - `confusion`: n, rows are the true classes.
    - `count`: the number of images.

    Args:
        labels: Integers [N], positions in `classes`.
        probabilities: [N, C], finite.
        classes: The C names.

    Raises:
        FerError: No images are given, or a probability is not finite.
        ValueError: Shapes or label numbers do not fit together.
    """
    truth, scores = _check(np.asarray(labels), np.asarray(probabilities), len(classes))
    confusion = _confusion(truth, scores)
    entropy = float(-np.log(np.maximum(scores[np.arange(len(truth)), truth], TINY)).mean())
    return Metrics(
        accuracy=_accuracy(confusion),
        mean_class_accuracy=_mean_recall(confusion),
        macro_f1=_macro_f1(confusion),
        cross_entropy=max(entropy, 0.0),  # a probability may round to slightly more than 1
        recall=dict(zip(classes, _recall(confusion), strict=True)),
        confusion=tuple(map(tuple, confusion.tolist())),
        count=len(truth),
    )


def accuracy(labels: Labels, probabilities: Scores) -> float:
    """Share of images whose most probable class is their own; see `compute_metrics`."""
    return _accuracy(_confusion(labels, probabilities))


def mean_class_accuracy(labels: Labels, probabilities: Scores) -> float:
    """Mean recall of the classes that have images; see `compute_metrics`."""
    return _mean_recall(_confusion(labels, probabilities))


def macro_f1(labels: Labels, probabilities: Scores) -> float:
    """Mean F1 of the classes that occur among labels or predictions; see `compute_metrics`."""
    return _macro_f1(_confusion(labels, probabilities))


def _confusion(labels: Labels, probabilities: Scores) -> NDArray[np.int64]:
    """Numbers of images, [K, K]: rows are the true classes, columns the most probable ones."""
    number = probabilities.shape[1]
    found = np.bincount(labels * number + probabilities.argmax(axis=1), minlength=number * number)
    return found.reshape(number, number)


def _accuracy(confusion: NDArray[np.int64]) -> float:
    return int(confusion.trace()) / int(confusion.sum())


def _mean_recall(confusion: NDArray[np.int64]) -> float:
    return float(np.mean([each for each in _recall(confusion) if each is not None]))


def _macro_f1(confusion: NDArray[np.int64]) -> float:
    total = confusion.sum(axis=1) + confusion.sum(axis=0)
    occurs = total > 0
    return float((2 * confusion.diagonal()[occurs] / total[occurs]).mean())


def _recall(confusion: NDArray[np.int64]) -> list[float | None]:
    pairs = zip(confusion.diagonal(), confusion.sum(axis=1), strict=True)
    return [int(hits) / int(count) if count else None for hits, count in pairs]


def _check(labels: NDArray[Any], probabilities: NDArray[Any], number: int) -> tuple[Labels, Scores]:
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1] or probabilities.shape[1] != number:
        raise ValueError(
            f"labels {labels.shape} and probabilities {probabilities.shape} do not fit: "
            f"[N] and [N, {number}] are needed"
        )
    if not len(labels):
        raise FerError("no image to measure, because the split is empty: choose another split")
    if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= number:
        raise ValueError(
            f"labels must be integers from 0 to {number - 1}, got {labels.dtype} {np.unique(labels)[:20]}"
        )
    bad = ~np.isfinite(probabilities).all(axis=1)
    if bad.any():
        raise FerError(
            f"The model gives no finite probabilities for {bad.sum()} of {len(bad)} images, because its weights "
            "diverged: lower the learning rate, clip the gradients or train in higher precision"
        )
    return labels.astype(np.int64), probabilities

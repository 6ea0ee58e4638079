"""Metrics of many confusion matrices at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fer_core.errors import FerError, nearest

Counts = NDArray[np.float64]
Scores = NDArray[np.float64]


def _ratio(part: Counts, whole: Counts) -> Scores:
    """`part` / `whole`, NaN where there is nothing to divide by."""
    found: Scores = np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
    return found


def _hits(counts: Counts) -> Counts:
    return np.diagonal(counts, axis1=-2, axis2=-1)


def _recall(counts: Counts) -> Scores:
    return _ratio(_hits(counts), counts.sum(axis=-1))


def _precision(counts: Counts) -> Scores:
    return _ratio(_hits(counts), counts.sum(axis=-2))


def _f1(counts: Counts) -> Scores:
    return _ratio(2 * _hits(counts), counts.sum(axis=-1) + counts.sum(axis=-2))


def _accuracy(counts: Counts) -> Scores:
    return _ratio(_hits(counts).sum(axis=-1), counts.sum(axis=(-2, -1)))


def _over_classes(per_class: Callable[[Counts], Scores]) -> Callable[[Counts], Scores]:
    def mean(counts: Counts) -> Scores:
        found: Scores = np.nanmean(per_class(counts), axis=-1)
        return found

    return mean


WHOLE = {"accuracy": _accuracy, "mean_class_accuracy": _over_classes(_recall), "macro_f1": _over_classes(_f1)}
PER_CLASS = {"recall": _recall, "precision": _precision, "f1": _f1}


def find_metric(name: str, classes: Sequence[str]) -> Callable[[Counts], Scores]:
    """What turns confusion matrices [..., C, C] (rows are the true classes) into scores [...].

    `accuracy`, `mean_class_accuracy` and `macro_f1` mean what `fer_core.metrics.compute_metrics` says;
    `recall:CLASS`, `precision:CLASS` and `f1:CLASS` are of one class, NaN where it does not occur.

    Raises:
        FerError: There is no such metric or class.
    """
    if name in WHOLE:
        return WHOLE[name]
    kind, colon, wanted = name.partition(":")
    if kind not in PER_CLASS or not colon:
        known = (*WHOLE, *(f"{each}:CLASS" for each in PER_CLASS))
        raise FerError(f"there is no metric '{name}' with an interval: use {', '.join(known)}")
    if wanted not in classes:
        raise FerError(f"{name}: no face has or gets the class '{wanted}': {nearest(wanted, classes)}")
    place, of_classes = list(classes).index(wanted), PER_CLASS[kind]

    def of_one(counts: Counts) -> Scores:
        found: Scores = of_classes(counts)[..., place]
        return found

    return of_one


def encode(labels: ArrayLike, *predictions: ArrayLike) -> tuple[list[str], list[NDArray[np.int64]]]:
    """Class names and the numbers of `labels` and each of `predictions` among them, in sorted order.

    Args:
        labels: Classes [N], numbers or names.
        predictions: The same of models, [N] each.

    Raises:
        FerError: There is no face.
        ValueError: The lengths differ.
    """
    columns: list[NDArray[Any]] = [np.asarray(column) for column in (labels, *predictions)]
    if any(column.shape != columns[0].shape[:1] for column in columns):
        raise ValueError(f"labels and predictions differ in shape: {[column.shape for column in columns]}")
    if not len(columns[0]):
        raise FerError("there is no prediction to measure, because the split is empty: choose another split")
    classes, codes = np.unique(np.concatenate(columns), return_inverse=True)
    return [str(name) for name in classes], np.split(codes.reshape(-1).astype(np.int64), len(columns))


def patterns(number: int, *columns: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Faces with the same label and predictions are one pattern.

    Args:
        number: Of classes.
        columns: Labels and predictions as class numbers, [N] each.

    Returns:
        The pattern of each face [N], and what each pattern is, [columns, K].
    """
    cells = columns[0]
    for column in columns[1:]:
        cells = np.unique(cells * number + column, return_inverse=True)[1].reshape(-1)
    _, first, cells = np.unique(cells, return_index=True, return_inverse=True)
    return cells.reshape(-1), np.stack(columns)[:, first]


def mean_over_runs(
    measure: Callable[[Counts], Scores], number: int, labels: NDArray[np.int64], runs: NDArray[np.int64]
) -> Callable[[Counts], Scores]:
    """What turns counts of patterns [B, K] into a metric, the mean of what each run has, [B].

    Args:
        measure: As `find_metric` gives it.
        number: Of classes.
        labels: True class of each pattern [K].
        runs: Predicted class in each run, [R, K].
    """
    places = []
    for predicted in runs:
        place = np.zeros((len(labels), number * number))
        place[np.arange(len(labels)), labels * number + predicted] = 1
        places.append(place)

    def score(counts: Counts) -> Scores:
        confusions = ((counts @ place).reshape(-1, number, number) for place in places)
        found: Scores = np.mean([measure(each) for each in confusions], axis=0)
        return found

    return score

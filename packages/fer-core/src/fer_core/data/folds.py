"""Folds of whole groups with the classes balanced: those of scikit-learn 1.9, some fifty times as fast."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def fold_of_rows(labels: NDArray[np.int64], member: NDArray[np.int64], folds: int, seed: int) -> NDArray[np.int64]:
    """The fold of every row, as `StratifiedGroupKFold(folds, shuffle=True, random_state=seed)` deals them out.

    Args:
        labels: Classes [N].
        member: Groups [N], numbered from 0 in the order of their names.
        folds: Their number.
        seed: Of the order in which groups of equal imbalance are dealt out.
    """
    present, label = np.unique(labels, return_inverse=True)
    groups, classes = int(member.max()) + 1, len(present)
    counts = np.bincount(member * classes + label, minlength=groups * classes).reshape(groups, classes)
    order = np.arange(groups)
    np.random.RandomState(seed).shuffle(order)
    order = order[np.argsort(-counts[order].std(axis=1), kind="stable")]
    fold_of_group = np.empty(groups, dtype=np.int64)
    fold_of_group[order] = _deal(counts[order].astype(float), folds)
    return fold_of_group[member]


def _deal(counts: NDArray[np.float64], folds: int) -> list[int]:
    """The fold of each group in turn: where it makes the shares of every class most equal over the folds.

    All folds are tried at once. Each sum adds in scikit-learn's order, since rounding decides between folds that
    are equally good; for the same reason nothing is divided only once at the end.

    Args:
        counts: Samples of each class in each group [G, C].
        folds: Their number.
    """
    classes = counts.shape[1]
    totals, sizes = counts.sum(axis=0), counts.sum(axis=1).tolist()
    number = np.array(float(folds))
    held = np.zeros((folds, classes))
    shares = np.zeros((folds, folds, classes))  # of the first fold, if the group goes to the second
    given = shares.reshape(-1, classes)[:: folds + 1]  # of the fold that gets the group
    tried, mean, spread = np.empty((3, folds, classes))
    off, total = np.empty_like(shares), np.empty(folds)
    filled, chosen = [0.0] * folds, []
    for group, size in zip(counts, sizes, strict=True):
        np.add(held, group, tried)
        np.divide(tried, totals, given)
        np.divide(np.add.reduce(shares, axis=0, out=mean), number, mean)
        np.subtract(shares, mean, off)
        np.multiply(off, off, off)
        np.sqrt(np.divide(np.add.reduce(off, axis=0, out=spread), number, spread), spread)
        best, least = 0, np.inf
        for fold, summed in enumerate(np.add.reduce(spread, axis=1, out=total).tolist()):
            value = summed / classes
            close = abs(value - least) <= 1e-8 + 1e-5 * least
            if value < least or (close and filled[fold] < filled[best]):
                best, least = fold, value
        chosen.append(best)
        filled[best] += size
        held[best] = tried[best]
        shares[best] = given[best]
    return chosen

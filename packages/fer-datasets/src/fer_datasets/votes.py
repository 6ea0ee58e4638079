"""From the ten vote counts of FERPlus to targets, after the authors' reference reader.

Barsoum, Zhang, Canton Ferrer, Zhang: *Training deep networks for facial expression recognition with
crowd-sourced label distribution*, ICMI 2016, arXiv:1608.01041, section 3.

Every rule maps counts int64 [N, 10] to weights int64 [N, 8]: divided by its sum, a row is the
target of an image. A row of zeros is an image that the rule excludes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]

EMOTIONS = 8
"""Columns of emotions; the last two of the ten are `unknown` and `NF` (no face)."""
MOST = 3
"""Maximum number of columns in `collected`."""


def remove_outliers(votes: Counts) -> Counts:
    """Set counts of a single vote to 0: int [N, 10] to int [N, 10]."""
    return np.where(votes > 1, votes, 0)


def majority(votes: Counts) -> Counts:
    """The column with more than half of the votes that remain after the removal of outliers."""
    kept = remove_outliers(votes)
    return _only_largest(kept, 2 * kept.max(axis=1) > kept.sum(axis=1))


def collected(votes: Counts) -> Counts:
    """The largest columns that together hold three quarters of the votes: target of the probabilistic modes.

    Ties are added together; `unknown` or `NF` ends the selection, and is not part of it unless it is the first. An
    image is excluded if the selection has half of the votes or fewer, more than three columns, or no emotion.
    """
    left = remove_outliers(votes)
    total = left.sum(axis=1)
    taken = np.zeros_like(left)
    reached = np.zeros(len(left), dtype=np.int64)
    active = total > 0
    while active.any():
        largest = left.max(axis=1)
        equal = (left == largest[:, None]) & active[:, None]
        # The reference reader goes through the columns in order and stops at the first that is not an emotion.
        equal[:, 9] &= ~equal[:, 8]
        no_face = equal[:, EMOTIONS:].any(axis=1)
        taken = np.where(equal, left, taken)
        left = np.where(equal, 0, left)
        reached += np.where(equal, largest[:, None], 0).sum(axis=1)
        later = no_face & (taken.sum(axis=1) > largest)
        taken[later, EMOTIONS:] = 0
        active &= ~no_face & (4 * reached < 3 * total) & ((taken > 0).sum(axis=1) < MOST)
    clear = (2 * taken.sum(axis=1) > total) & ((taken > 0).sum(axis=1) <= MOST)
    return _emotions(taken, clear)


def several(votes: Counts) -> Counts:
    """Every column with at least 30 % of the votes, equally weighted: target of the multi-target mode."""
    kept = remove_outliers(votes)
    total = kept.sum(axis=1)
    taken = np.where(10 * kept >= 3 * total[:, None], kept, 0)
    return np.sign(_emotions(taken, 2 * taken.sum(axis=1) > total))


def largest(votes: Counts) -> Counts:
    """The largest of the ten unmodified columns; the first in case of ties."""
    return _only_largest(votes, votes.max(axis=1) > 0)


def largest_emotion(votes: Counts) -> Counts:
    """The largest of the eight emotions, ignoring `unknown` and `NF`; the first in case of ties."""
    emotions = votes.copy()
    emotions[:, EMOTIONS:] = 0
    return largest(emotions)


RULES: Mapping[str, Callable[[Counts], Counts]] = {
    "majority": majority,
    "probability": collected,
    "cross_entropy": collected,
    "multi_target": several,
    "argmax": largest,
    "argmax_emotions": largest_emotion,
}
"""Mode -> rule for the training split."""


def labels_of(votes: Counts, weights: Counts) -> NDArray[np.int64]:
    """The most probable class of the target, the first in case of ties: int64 [N], -1 for excluded rows."""
    winner = np.where(weights > 0, votes[:, :EMOTIONS], -1).argmax(axis=1)
    return np.where(weights.any(axis=1), winner, -1).astype(np.int64)


def _only_largest(votes: Counts, clear: NDArray[np.bool_]) -> Counts:
    winner = votes.argmax(axis=1)
    alone = np.zeros_like(votes)
    rows = np.arange(len(votes))
    alone[rows, winner] = votes[rows, winner]
    return _emotions(alone, clear)


def _emotions(taken: Counts, clear: NDArray[np.bool_]) -> Counts:
    """The columns of emotions, of rows that are clear and whose first largest column is an emotion."""
    valid = clear & (taken.argmax(axis=1) < EMOTIONS)
    return np.where(valid[:, None], taken[:, :EMOTIONS], 0)

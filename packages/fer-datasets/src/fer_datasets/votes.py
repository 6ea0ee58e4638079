"""From the ten vote counts of FERPlus to one label, after the authors' reference reader.

Barsoum, Zhang, Canton Ferrer, Zhang: *Training deep networks for facial expression recognition with
crowd-sourced label distribution*, ICMI 2016, arXiv:1608.01041.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

EMOTIONS = 8
"""Columns that are emotions; the last two of the ten are `unknown` and `NF` (no face)."""


def remove_outliers(votes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Set counts of a single vote to 0: int [N, 10] to int [N, 10]."""
    return np.where(votes > 1, votes, 0)


def majority(votes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Label by absolute majority.

    Args:
        votes: int [N, 10], raw counts.

    Returns:
        int64 [N]: the emotion (0..7) with more than half of the votes that are left after the removal of
        outliers; -1 where there is none, or where `unknown` or `NF` has them.
    """
    kept = remove_outliers(votes)
    winner = kept.argmax(axis=1)
    clear = 2 * kept.max(axis=1) > kept.sum(axis=1)
    return np.where(clear & (winner < EMOTIONS), winner, -1).astype(np.int64)

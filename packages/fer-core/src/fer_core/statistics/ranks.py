"""Many models on many datasets, compared by their ranks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from fer_core.errors import FerError


@dataclass(frozen=True)
class Ranking:
    """The results of Friedman's and Nemenyi's tests.

    Attributes:
        ranks: Mean rank of each model, 1 is best; equal scores share their ranks [M].
        p: Of Friedman's test that all models are equal.
        critical_difference: Models whose mean ranks differ by at least this differ (Nemenyi).
        datasets: How many datasets the ranks are means over.
        level: The confidence level of `critical_difference`.
    """

    ranks: NDArray[np.float64]
    p: float
    critical_difference: float
    datasets: int
    level: float

    def alike(self) -> list[tuple[int, ...]]:
        """Largest sets of two models or more that do not differ, each from best to worst, as positions."""
        order = np.argsort(self.ranks, kind="stable")
        found: list[tuple[int, ...]] = []
        reached = 0
        for start in range(len(order)):
            near = self.ranks[order] - self.ranks[order[start]] < self.critical_difference
            end = int(np.flatnonzero(near)[-1]) + 1
            if end - start > 1 and end > reached:
                found.append(tuple(int(place) for place in order[start:end]))
            reached = max(reached, end)
        return found


def friedman_nemenyi(scores: ArrayLike, level: float = 0.95) -> Ranking:
    """Friedman's test over datasets, and the critical difference of mean ranks (Demsar 2006).

    CD = q sqrt(M (M + 1) / (6 D)), q the quantile of the studentized range over sqrt(2).

    Args:
        scores: Models x datasets [M, D], higher is better, complete.
        level: Confidence level of the critical difference.

    Raises:
        FerError: Fewer than three models or two datasets, or a score is missing.
    """
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or table.shape[0] < 3 or table.shape[1] < 2:
        raise FerError(
            f"ranks need three models and two datasets or more, not {' x '.join(map(str, table.shape))}: "
            "compare two models by a paired test"
        )
    if not np.isfinite(table).all():
        raise FerError(
            f"{int((~np.isfinite(table)).sum())} scores are missing, and ranks need every model on every dataset: "
            "run them, or leave out the model or the dataset"
        )
    models, datasets = table.shape
    ranks = scipy.stats.rankdata(-table, axis=0).mean(axis=1)
    equal = bool((table == table[0]).all())
    p = 1.0 if equal else float(scipy.stats.friedmanchisquare(*table).pvalue)
    quantile = float(scipy.stats.studentized_range.ppf(level, models, np.inf)) / np.sqrt(2)
    return Ranking(ranks, p, float(quantile * np.sqrt(models * (models + 1) / (6 * datasets))), datasets, level)

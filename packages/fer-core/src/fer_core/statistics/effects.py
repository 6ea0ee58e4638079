"""How large a difference is, whatever the number of faces or runs."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln

from fer_core.errors import FerError
from fer_core.statistics.comparison import discordant


def cohens_d(a: ArrayLike, b: ArrayLike) -> float:
    """Difference of the means of two sets of runs in units of their pooled standard deviation (Cohen 1988).

    0.2 is called small, 0.5 medium, 0.8 large.

    Args:
        a: Scores of one model, one for each run.
        b: Scores of the other.

    Returns:
        d; infinite where the means differ and no run does, 0 where nothing differs.

    Raises:
        FerError: Less than two runs of either.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if min(len(first), len(second)) < 2:
        raise FerError("an effect size needs two runs or more of each model: run more seeds")
    freedom = len(first) + len(second) - 2
    squares = (len(first) - 1) * first.var(ddof=1) + (len(second) - 1) * second.var(ddof=1)
    difference, deviation = float(first.mean() - second.mean()), float(np.sqrt(squares / freedom))
    if deviation == 0:
        return float(np.copysign(np.inf, difference)) if difference else 0.0
    return difference / deviation


def hedges_g(a: ArrayLike, b: ArrayLike) -> float:
    """`cohens_d` without its bias in few runs (Hedges 1981): times Gamma(v/2) / (sqrt(v/2) Gamma((v-1)/2)).

    v is the number of all runs less two. Arguments and errors as for `cohens_d`.
    """
    half = (np.size(a) + np.size(b) - 2) / 2
    d = cohens_d(a, b)
    return float(d * np.exp(gammaln(half) - gammaln(half - 0.5)) / np.sqrt(half))


def cohens_g(labels: ArrayLike, a: ArrayLike, b: ArrayLike) -> float:
    """The effect size of McNemar's test: the share of `a` among faces that one model alone gets right, less 1/2.

    0.05 is called small, 0.15 medium, 0.25 large (Cohen 1988); it is positive where `a` is better, and 0 where
    both are right on the same faces.

    Args:
        labels: True classes [N].
        a: Predictions of one model [N].
        b: Predictions of the other [N].
    """
    only_a, only_b = discordant(labels, a, b)
    return only_a / (only_a + only_b) - 0.5 if only_a + only_b else 0.0

"""Confidence intervals of what was measured on one set of faces."""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import ArrayLike

from fer_core.errors import FerError
from fer_core.statistics.confusions import encode, find_metric, mean_over_runs, patterns
from fer_core.statistics.resampling import draw_counts, tail


def bootstrap_interval(
    labels: ArrayLike,
    predicted: ArrayLike,
    metric: str,
    *,
    groups: ArrayLike | None = None,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Expanded percentile bootstrap interval of a metric (Efron 1979, Hesterberg 2015).

    It says how far the metric would vary with other faces (or other people, with `groups`) of the same kind; it
    says nothing about another training.

    Args:
        labels: True classes [N], numbers or names.
        predicted: Predicted classes [N]; of several runs on the same faces [R, N], for the mean of their metrics.
        metric: `accuracy`, `mean_class_accuracy`, `macro_f1`, or `recall:CLASS`, `precision:CLASS`, `f1:CLASS`.
        groups: To whom each face belongs, [N]: whole groups are resampled then.
        level: Share of such intervals that contain the true value.
        draws: Bootstrap draws.
        seed: Equal seeds give equal intervals.

    Returns:
        Lower and upper end, NaN where the metric does not exist.

    Raises:
        FerError: No faces, no such metric, or groups that cannot be resampled.
    """
    _check_level(level)
    classes, (truth, *runs) = encode(labels, *np.atleast_2d(np.asarray(predicted)))
    cells, kinds = patterns(len(classes), truth, *runs)
    measure = mean_over_runs(find_metric(metric, classes), len(classes), kinds[0], kinds[1:])
    _, units, blocks = draw_counts(cells, groups, draws, seed)
    scores = [measure(block) for block in blocks]
    share = tail(level, units)
    values = np.concatenate(scores)
    if np.isnan(values).all():
        return float("nan"), float("nan")
    low, high = np.nanquantile(values, [share, 1 - share])
    return float(low), float(high)


def proportion_interval(hits: int, count: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share such as one class's recall (Wilson 1927).

    Unlike a bootstrap it has a width where all or none of few faces are right.

    Args:
        hits: How many are right.
        count: Out of how many.
        level: Share of such intervals that contain the true value.

    Raises:
        FerError: There is no face.
    """
    _check_level(level)
    if count < 1:
        raise FerError("a share of no faces has no interval, because the class has none: leave it out")
    found = scipy.stats.binomtest(int(hits), int(count)).proportion_ci(level, method="wilson")
    return float(found.low), float(found.high)


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise FerError(f"a confidence level of {level} does not lie between 0 and 1: 0.95 is usual")

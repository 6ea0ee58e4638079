"""Comparison of models: paired tests, and their correction for multiple comparisons."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from fer_core.errors import FerError
from fer_core.statistics.confusions import encode, find_metric, mean_over_runs, patterns
from fer_core.statistics.resampling import draw_counts, p_from_tail, tail

ROUNDING = 1e-12
"""Differences of two equal scores computed in another order."""


def discordant(labels: ArrayLike, a: ArrayLike, b: ArrayLike) -> tuple[int, int]:
    """How many faces only `a` gets right, and how many only `b`."""
    _, (truth, first, second) = encode(labels, a, b)
    right_a, right_b = first == truth, second == truth
    return int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())


def mcnemar(labels: ArrayLike, a: ArrayLike, b: ArrayLike) -> float:
    """Exact test of equal accuracy on the same faces (McNemar 1947), two-sided.

    Of the faces that one model alone gets right, each has it by chance 1/2 under the null.

    Args:
        labels: True classes [N].
        a: Predictions of one model [N].
        b: Predictions of the other [N].

    Returns:
        The p value; 1 where they are right on the same faces.
    """
    only_a, only_b = discordant(labels, a, b)
    if only_a + only_b == 0:
        return 1.0
    return float(scipy.stats.binomtest(only_a, only_a + only_b, 0.5).pvalue)


def paired_bootstrap(
    labels: ArrayLike,
    a: ArrayLike,
    b: ArrayLike,
    metric: str,
    *,
    groups: ArrayLike | None = None,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> tuple[float, float, float, float]:
    """The difference of a metric between two models on the same faces, `a` minus `b`.

    Both models are measured on the same draws. The interval is that of `bootstrap_interval`; the p value is one
    minus the highest level whose interval leaves zero out, and never below what the number of draws can show.

    Args:
        labels: True classes [N].
        a: Predictions of one model [N]; of several runs of it [R, N], for the mean of their metrics.
        b: Predictions of the other, likewise; the numbers of runs may differ.
        metric: As for `bootstrap_interval`.
        groups: To whom each face belongs, [N]: whole groups are resampled then.
        level: Of the interval.
        draws: Bootstrap draws.
        seed: Equal seeds give equal results.

    Returns:
        Difference, lower end, upper end, p.

    Raises:
        FerError: No faces, no such metric, or groups that cannot be resampled.
    """
    if not 0 < level < 1:
        raise FerError(f"a confidence level of {level} does not lie between 0 and 1: 0.95 is usual")
    runs_a, runs_b = (np.atleast_2d(np.asarray(runs)) for runs in (a, b))
    classes, columns = encode(labels, *runs_a, *runs_b)
    cells, kinds = patterns(len(classes), *columns)
    metrics = find_metric(metric, classes), len(classes), kinds[0]
    of_a = mean_over_runs(*metrics, kinds[1 : 1 + len(runs_a)])
    of_b = mean_over_runs(*metrics, kinds[1 + len(runs_a) :])
    _, units, blocks = draw_counts(cells, groups, draws, seed)

    def difference(counts: NDArray[np.float64]) -> NDArray[np.float64]:
        return of_a(counts) - of_b(counts)

    found = float(difference(np.bincount(cells)[None].astype(np.float64))[0])
    drawn = np.concatenate([difference(block) for block in blocks])
    drawn = drawn[~np.isnan(drawn)]
    if not len(drawn) or np.isnan(found):
        nothing = float("nan")
        return nothing, nothing, nothing, nothing
    share = tail(level, units)
    low, high = np.quantile(drawn, [share, 1 - share])
    beyond = min(int((drawn <= ROUNDING).sum()), int((drawn >= -ROUNDING).sum()))
    p = p_from_tail(min((beyond + 1) / (len(drawn) + 1), 0.5), units)
    return found, float(low), float(high), p


def corrected_t(differences: ArrayLike, test_share: float) -> float:
    """Corrected resampled t test over random splits or folds, two-sided (Nadeau and Bengio 2003).

    Splits of one dataset share training faces, so their differences are not independent, and the usual t test
    finds far too much. t = mean / sqrt((1/k + n_test/n_train) s^2), with k - 1 degrees of freedom.

    Args:
        differences: Score of one model minus score of the other, one for each split [k].
        test_share: n_test / (n_train + n_test): 0.1 for ten folds. A validation part counts for neither.

    Returns:
        The p value; 1 where no split differs, 0 where all differ by the same.

    Raises:
        FerError: Fewer than two splits, or `test_share` outside (0, 1).
    """
    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 1 or len(values) < 2:
        raise FerError(f"a t test needs two splits or more, and here is {values.size}: run more splits")
    if not 0 < test_share < 1:
        raise FerError(
            f"a test share of {test_share} does not lie between 0 and 1: give n_test / (n_train + n_test)"
        )
    mean, variance = values.mean(), values.var(ddof=1)
    if variance <= (ROUNDING * max(1.0, abs(mean))) ** 2:
        return 1.0 if abs(mean) <= ROUNDING else 0.0
    scale = 1 / len(values) + test_share / (1 - test_share)
    return float(2 * scipy.stats.t.sf(abs(mean) / np.sqrt(scale * variance), len(values) - 1))


def holm(p_values: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """P values adjusted for their number (Holm 1979); those below 0.05 hold together at that level.

    The i-th smallest of m is multiplied by m - i + 1 and is not less than the one before.

    Args:
        p_values: [m], in any order.

    Returns:
        Adjusted p values [m], in the order given.

    Raises:
        ValueError: A p value lies outside [0, 1].
    """
    values = np.asarray(p_values, dtype=np.float64)
    if values.ndim != 1 or not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"p values lie between 0 and 1 in one row, not {values}")
    order = np.argsort(values, kind="stable")
    stepped = values[order] * np.arange(len(values), 0, -1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(np.maximum.accumulate(stepped), 1.0)
    return adjusted

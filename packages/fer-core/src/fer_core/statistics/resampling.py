"""Bootstrap draws as counts of equal faces, never as lists of faces."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from fer_core.errors import FerError

AT_ONCE = 4_000_000
"""Numbers of a block of draws."""


def draw_counts(
    cells: NDArray[np.int64], groups: ArrayLike | None, draws: int, seed: int
) -> tuple[NDArray[np.int64], int, Iterator[NDArray[np.float64]]]:
    """Resample faces, or whole groups of them, with replacement.

    Faces of one cell are equal to every metric, so a draw of N faces is one draw of the multinomial distribution
    of cells; a draw of groups is the sum of the cells of the groups that were drawn.

    Args:
        cells: What each face is, [N] numbers; equal faces have equal ones.
        groups: To whom each face belongs, [N]; None where faces are independent.
        draws: Number of draws.
        seed: Equal seeds give equal draws.

    Returns:
        The cells that occur [K], the number of units that were resampled, and blocks [draws of the block, K] of
        how often each cell was drawn.

    Raises:
        FerError: There are fewer than two units, or faces without a group.
    """
    rng = np.random.default_rng(seed)
    present, place, counts = np.unique(cells, return_inverse=True, return_counts=True)
    if groups is None:
        if len(cells) < 2:
            raise FerError("an interval needs two faces or more, and here is one: use a larger split")
        blocks = _of_faces(counts, draws, rng)
        return present, len(cells), blocks
    owner = _group_numbers(groups, len(cells))
    number = int(owner.max()) + 1
    table = scipy.sparse.coo_array(
        (np.ones(len(cells)), (place.reshape(-1), owner)), shape=(len(present), number)
    ).tocsr()
    return present, number, _of_groups(table, number, draws, rng)


def _of_faces(counts: NDArray[Any], draws: int, rng: np.random.Generator) -> Iterator[NDArray[np.float64]]:
    total = int(counts.sum())
    block = max(1, AT_ONCE // len(counts))
    for start in range(0, draws, block):
        drawn = rng.multinomial(total, counts / total, size=min(block, draws - start))
        yield drawn.astype(np.float64)


def _of_groups(table: Any, number: int, draws: int, rng: np.random.Generator) -> Iterator[NDArray[np.float64]]:
    block = max(1, AT_ONCE // number)
    for start in range(0, draws, block):
        rows = min(block, draws - start)
        chosen = rng.integers(number, size=(rows, number)) + number * np.arange(rows)[:, None]
        times = np.bincount(chosen.ravel(), minlength=rows * number).reshape(rows, number)
        drawn: NDArray[np.float64] = np.ascontiguousarray((table @ times.T).T)
        yield drawn


def _group_numbers(groups: ArrayLike, count: int) -> NDArray[np.int64]:
    names = np.asarray(groups)
    if names.shape != (count,):
        raise ValueError(f"groups {names.shape} do not fit {count} faces")
    if any(name is None or name != name for name in names.tolist()):
        raise FerError("some faces have no group, so they cannot be resampled by group: leave the groups out")
    numbers: NDArray[np.int64] = np.unique(names.astype(str), return_inverse=True)[1].reshape(-1).astype(np.int64)
    if not numbers.any():
        raise FerError("all faces are of one group, so groups cannot be resampled: leave the groups out")
    return numbers


def tail(level: float, units: int) -> float:
    """The share of draws below the lower end of an interval of `level`.

    Expanded for few units, as a t interval is wider than a normal one: the bootstrap's spread is too small by
    sqrt((n - 1) / n), and its tails are the normal ones (Hesterberg 2015, "What teachers should know about the
    bootstrap", section 5.2).
    """
    quantile = scipy.stats.t.ppf((1 - level) / 2, units - 1) * np.sqrt(units / (units - 1))
    return float(scipy.stats.norm.cdf(quantile))


def p_from_tail(share: float, units: int) -> float:
    """The inverse of `tail`: one minus the level of the interval that ends where `share` of the draws lie."""
    quantile = scipy.stats.norm.ppf(share) * np.sqrt((units - 1) / units)
    return float(min(1.0, 2 * scipy.stats.t.cdf(quantile, units - 1)))

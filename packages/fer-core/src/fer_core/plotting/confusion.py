"""A confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fer_core.plotting.chart import WIDTH, Chart
from fer_core.plotting.heat import paint_cells

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NARROWEST = 36.0
"""Least width in pixels of a cell that holds two lines of figures."""


def draw_confusion(confusion: ArrayLike, classes: Sequence[str], title: str) -> Chart:
    """Colour and first figure of a cell are per cent of the true class, the second is the number of images.

    Args:
        confusion: Counts [C, C], rows are the true classes.
        classes: The C names.
        title: What was classified.

    Raises:
        ValueError: The matrix does not fit the classes.
    """
    counts = np.asarray(confusion)
    number = len(classes)
    if counts.shape != (number, number):
        raise ValueError(f"a confusion matrix {counts.shape} does not fit {number} classes")
    support = counts.sum(axis=1)
    shares = counts / np.maximum(support, 1)[:, None]
    names = [f"{name} ({n:,})" for name, n in zip(classes, support, strict=True)]
    left = 30 + 5.8 * max(map(len, names))
    cell = min(max((WIDTH - left) / number, NARROWEST), 70)
    below = 44 + 4.2 * max(map(len, classes))

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        notes = [
            [f"{count:,}" if total else "" for count in row] for row, total in zip(counts, support, strict=True)
        ]
        paint_cells(axes, np.where(support[:, None] > 0, shares, np.nan), notes)
        axes.set_xlim(0, number)
        axes.set_ylim(number, 0)
        middles = np.arange(number) + 0.5
        axes.set_xticks(middles, classes, rotation=40, ha="right", rotation_mode="anchor")
        axes.set_yticks(middles, names)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_xlabel("predicted class")
        axes.set_ylabel("true class (images)")
        axes.set_title(_summary(counts, shares), fontsize=10, loc="left")

    size = (max(WIDTH, left + cell * number), 24 + 0.88 * cell * number + below)
    return Chart(title, _describe(counts, shares, classes), size, paint)


def _summary(counts: NDArray[Any], shares: NDArray[np.float64]) -> str:
    total = int(counts.sum())
    if not total:
        return "no images"
    mean = shares.diagonal()[counts.any(axis=1)].mean()
    return f"accuracy {100 * (counts.trace() / total):.2f} %, mean class accuracy {100 * mean:.2f} %"


def _describe(counts: NDArray[Any], shares: NDArray[np.float64], classes: Sequence[str]) -> str:
    support = counts.sum(axis=1)
    recalls = [f"{name} {shares[n, n]:.1%}" if support[n] else f"{name} absent" for n, name in enumerate(classes)]
    wrong = np.where(np.eye(len(classes), dtype=bool), -1.0, shares)
    row, column = divmod(int(wrong.argmax()), len(classes))
    worst = f"{classes[row]} predicted as {classes[column]} ({shares[row, column]:.1%})"
    return f"{_summary(counts, shares)}. Recall: {', '.join(recalls)}. Most frequent confusion: {worst}."

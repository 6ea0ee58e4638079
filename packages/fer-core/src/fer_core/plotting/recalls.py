"""The recall of every class, model by model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from fer_core.plotting.chart import WIDTH, Chart, shorten
from fer_core.plotting.heat import paint_cells
from fer_core.plotting.palette import INK

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROW = 44.0
"""Height of a row in pixels: the name of the model above its cells."""
NAME = 0.36
"""Fraction of a row that the name takes."""


def draw_recalls(recalls: Mapping[str, Mapping[str, tuple[float, float, float]]], title: str) -> Chart:
    """A row of cells for each model, one for each class.

    Args:
        recalls: Model -> class -> recall, lower and upper end of its 95 % interval, fractions. A class without
            images is missing.
        title: Heading.
    """
    classes = list(dict.fromkeys(name for of_row in recalls.values() for name in of_row))
    told = [
        f"{row}, {name}: {100 * value:.1f} ({100 * low:.1f} to {100 * high:.1f})"
        for row, of_row in recalls.items()
        for name, (value, low, high) in of_row.items()
    ]

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        for row, name in enumerate(recalls):
            axes.text(0.03, row + NAME / 2, shorten(name, 60), fontsize=10.5, color=INK, va="center")
        shares = [[found[each][0] if each in found else np.nan for each in classes] for found in recalls.values()]
        paint_cells(axes, np.array(shares), above=NAME)
        axes.set_xlim(0, len(classes))
        axes.set_ylim(len(recalls), 0)
        axes.xaxis.tick_top()
        axes.set_xticks(np.arange(len(classes)) + 0.4, classes, rotation=32, ha="left", rotation_mode="anchor")
        axes.set_yticks([])
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)

    above = 16 + 4.4 * max(map(len, classes))
    description = f"Per cent with 95 % intervals. {'; '.join(told)}."
    return Chart(title, description, (max(WIDTH, 40.0 * len(classes)), above + ROW * len(recalls)), paint)

"""Cells coloured by fraction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fer_core.plotting.palette import GRID, HEAT, INK, MUTED, SURFACE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DARK = 0.55
"""Fraction above which a cell is so dark that its text is light."""
GAP = 0.03
"""Between a cell and the edge of its place."""


def paint_cells(
    axes: Axes,
    shares: NDArray[np.float64],
    notes: Sequence[Sequence[str]] = (),
    *,
    above: float = 0.0,
) -> None:
    """Paint fractions in per cent; the cell of row r and column c has its upper left corner at (c, r).

    Args:
        axes: With y downwards.
        shares: [R, C], from 0 to 1; NaN where there is nothing to measure.
        notes: Smaller second lines [R, C]; the diagonal is bold then.
        above: Part of each row, at its top, that is left free.
    """
    from matplotlib.collections import PolyCollection

    corners, colours, alphas = [], [], []
    first = 0.4 if notes else 0.52
    for (row, column), share in np.ndenumerate(shares):
        top, height = row + above, 1 - above
        gap = GAP * height
        box = (column + GAP, column + 1 - GAP, top + gap, top + height - gap)
        corners.append([(box[0], box[2]), (box[1], box[2]), (box[1], box[3]), (box[0], box[3])])
        some = bool(share > 0)  # NaN is not
        colours.append(HEAT if some else GRID)
        alphas.append(0.06 + 0.94 * share if some else 0.45)
        colour = MUTED if not some else SURFACE if share > DARK else INK
        text = "–" if np.isnan(share) else f"{100 * share:.1f}"
        bold = bool(notes) and row == column
        _write(axes, column + 0.5, top + first * height, text, 10.5, colour, "bold" if bold else "normal")
        if notes and notes[row][column]:
            _write(axes, column + 0.5, top + 0.76 * height, notes[row][column], 8, colour, "normal")
    cells = PolyCollection(corners, facecolors=colours, alpha=alphas, linewidths=0)
    cells.set_in_layout(False)
    axes.add_collection(cells, autolim=False)


def _write(axes: Axes, x: float, y: float, text: str, size: float, colour: str, weight: str) -> None:
    written = axes.text(x, y, text, fontsize=size, color=colour, fontweight=weight, ha="center", va="center")
    written.set_in_layout(False)

"""A map of faces in two dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fer_core.plotting.chart import Chart
from fer_core.plotting.palette import INK, MARKERS, MUTED, series

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def draw_embedding(table: pd.DataFrame, classes: Sequence[str], title: str, description: str) -> Chart:
    """A point for each face, coloured by its class, outlined where another one is predicted.

    Args:
        table: `label`, `predicted` (class names), `x`, `y`.
        classes: In the order of the legend.
        title: Heading.
        description: What the map shows, in figures.
    """
    wrong = (table["label"] != table["predicted"]).to_numpy()

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        size = float(np.clip(9000 / len(table), 7, 40))
        for number, name in enumerate(classes):
            own = (table["label"] == name).to_numpy()
            marker = MARKERS[number % len(MARKERS)]
            for some, edge, label in ((own & ~wrong, "none", f"{name} ({own.sum():,})"), (own & wrong, INK, None)):
                points = table[some]
                axes.scatter(
                    points["x"], points["y"], s=size, marker=marker, edgecolors=edge, label=label,
                    color=series(number), alpha=0.8,
                )  # fmt: skip
        note = f"predicted as another ({wrong.sum():,})"
        axes.scatter([], [], s=size, marker="o", facecolors="none", edgecolors=INK, label=note)
        axes.set_aspect("equal", adjustable="box")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(True)
        axes.spines[:].set_color(MUTED)
        legend = axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
        for handle in legend.legend_handles:
            handle.set_sizes([36])  # type: ignore[union-attr]

    return Chart(title, description, (550, 375), paint)

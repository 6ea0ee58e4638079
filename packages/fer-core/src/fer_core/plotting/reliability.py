"""Reliability diagrams: accuracy against confidence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from fer_core.plotting.chart import WIDTH, Chart
from fer_core.plotting.palette import INK, MUTED, series

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from fer_core.statistics import Reliability


def draw_reliability(curves: Mapping[str, Reliability], title: str, remark: str = "") -> Chart:
    """One panel for each of `curves`, with the images in each bin below.

    Args:
        curves: Name of the panel -> figures, such as before and after a temperature.
        title: Heading.
        remark: A sentence that ends the description.
    """

    def paint(figure: Figure) -> None:
        panels = figure.subplots(2, len(curves), height_ratios=[3.4, 1], sharex=True, sharey="row", squeeze=False)
        for (name, curve), (upper, lower) in zip(curves.items(), panels.T, strict=True):
            _paint_gaps(upper, curve)
            before = f"{name}: " if name else ""
            upper.set_title(f"{before}calibration error {100 * curve.error:.2f} %", fontsize=10, loc="left")
            share = 100 * curve.counts / curve.counts.sum()
            lower.bar(_middles(curve), share, width=0.92 / len(curve.counts), color=MUTED)
            lower.set_xlabel("confidence")
        panels[0][0].set_ylabel("accuracy")
        panels[1][0].set_ylabel("images, %")
        entries = panels[0][0].get_legend_handles_labels()
        figure.legend(*entries, loc="outside lower center", ncols=3, handlelength=1.6, columnspacing=1.2)

    told = [
        f"{name + ': ' if name else ''}expected calibration error {curve.error:.2%} over {len(curve.counts)} bins"
        for name, curve in curves.items()
    ]
    description = f"{'; '.join(told)}. Bars below the dashed diagonal: overconfident; above it: underconfident."
    description = f"{description[0].upper()}{description[1:]} {remark}".strip()
    return Chart(title, description, (WIDTH * len(curves), 430), paint)


def _middles(curve: Reliability) -> list[float]:
    return [float(x) for x in (curve.edges[:-1] + curve.edges[1:]) / 2]


def _paint_gaps(axes: Axes, curve: Reliability) -> None:
    width = 0.92 / len(curve.counts)
    axes.bar(_middles(curve), np.nan_to_num(curve.accuracy), width=width, color=series(0), label="accuracy")
    some = curve.counts > 0
    axes.bar(
        np.asarray(_middles(curve))[some],
        (curve.confidence - curve.accuracy)[some],
        bottom=curve.accuracy[some],
        width=width,
        facecolor="none",
        edgecolor=series(1),
        linewidth=1.2,
        label="gap to confidence",
    )
    axes.plot([0, 1], [0, 1], color=INK, linewidth=1, linestyle=(0, (4, 2)), label="perfect")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)

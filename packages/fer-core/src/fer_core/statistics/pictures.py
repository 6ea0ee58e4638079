"""Pictures of ranks and of calibration, as PNG or SVG files whose bytes depend on the figures alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from fer_core.statistics.calibration import Reliability
    from fer_core.statistics.ranks import Ranking

_INK, _FAINT = "#333333", "#999999"
_BLUE, _ORANGE = "#0072B2", "#D55E00"
"""Distinguishable in all common kinds of colour blindness (Okabe and Ito 2008)."""


def save_reliability(path: str | Path, curves: Mapping[str, Reliability], title: str) -> None:
    """Draw accuracy against confidence, one panel for each of `curves`, with the faces in each bin below.

    Args:
        path: Ends in .png or .svg.
        curves: Panel title -> figures, such as before and after a temperature.
        title: Heading.
    """

    def draw(figure: Figure) -> None:
        figure.set_size_inches(0.8 + 3.5 * len(curves), 5.2)
        figure.suptitle(title, fontsize=12, fontweight="bold", color=_INK, x=0.02, ha="left")
        panels = figure.subplots(
            2, len(curves), height_ratios=[3.2, 1], sharex=True, sharey="row", squeeze=False
        ).T
        for (name, curve), (upper, lower) in zip(curves.items(), panels, strict=True):
            _draw_gaps(upper, curve)
            upper.set_title(f"{name}: calibration error {100 * curve.error:.2f} %", fontsize=10, color=_INK)
            share = 100 * curve.counts / curve.counts.sum()
            lower.bar(_centres(curve), share, width=0.92 / len(curve.counts), color=_FAINT)
            lower.set_xlabel("confidence")
            for axes in (upper, lower):
                axes.spines[["top", "right"]].set_visible(False)
        panels[0][0].set_ylabel("accuracy")
        panels[0][1].set_ylabel("faces (%)")
        entries = panels[0][0].get_legend_handles_labels()
        figure.legend(*entries, loc="outside lower center", ncols=3, fontsize=9, frameon=False)

    _save(path, draw)


def _centres(curve: Reliability) -> list[float]:
    return [float(x) for x in (curve.edges[:-1] + curve.edges[1:]) / 2]


def _draw_gaps(axes: Axes, curve: Reliability) -> None:
    width = 0.92 / len(curve.counts)
    axes.bar(_centres(curve), np.nan_to_num(curve.accuracy), width=width, color=_BLUE, label="accuracy")
    some = curve.counts > 0
    axes.bar(
        np.asarray(_centres(curve))[some],
        (curve.confidence - curve.accuracy)[some],
        bottom=curve.accuracy[some],
        width=width,
        facecolor="none",
        edgecolor=_ORANGE,
        hatch="////",
        linewidth=0.8,
        label="gap to confidence",
    )
    axes.plot([0, 1], [0, 1], color=_INK, linewidth=1, linestyle=(0, (4, 2)), label="perfect")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)


def save_critical_difference(path: str | Path, models: Sequence[str], ranking: Ranking, title: str) -> None:
    """Draw the mean ranks on a line; a bar joins models that do not differ (Demsar 2006, figure 1).

    Args:
        path: Ends in .png or .svg.
        models: Names in the order of `ranking.ranks`.
        ranking: What `friedman_nemenyi` gives.
        title: Heading.

    Raises:
        ValueError: Names and ranks differ in number.
    """
    if len(models) != len(ranking.ranks):
        raise ValueError(f"{len(models)} names do not fit {len(ranking.ranks)} ranks")

    def draw(figure: Figure) -> None:
        order = [int(place) for place in np.argsort(ranking.ranks, kind="stable")]
        bars = ranking.alike()
        number, half = len(order), (len(order) + 1) // 2
        first = 0.55 + 0.32 * len(bars)
        lowest = first + 0.5 * (half - 1) + 0.4
        figure.set_size_inches(8.2, 1.7 + 0.5 * (lowest + 1.2))
        axes = figure.add_subplot()
        axes.set_axis_off()
        _draw_scale(axes, number, ranking)
        for place, model in enumerate(order):
            left = place < half
            depth = first + 0.5 * (place if left else number - 1 - place)
            _draw_model(axes, models[model], float(ranking.ranks[model]), depth, 1 if left else number, left)
        for row, bar in enumerate(bars):
            ends = [float(ranking.ranks[bar[0]]) - 0.03, float(ranking.ranks[bar[-1]]) + 0.03]
            depth = -0.35 - 0.32 * row
            axes.plot(ends, [depth, depth], color=_ORANGE, linewidth=4, solid_capstyle="round")
        # Room for names: they stand outside the scale, at a width that the number of models does not change.
        room = 0.33 * (number - 1)
        axes.set_xlim(1 - room, number + room)
        axes.set_ylim(-lowest, 1.35)
        found = f"Friedman p = {ranking.p:.2g}" if ranking.p >= 1e-4 else "Friedman p < 0.0001"
        axes.set_title(f"{title}\n", fontsize=12, fontweight="bold", color=_INK, loc="left")
        note = f"mean rank over {ranking.datasets} datasets, 1 is best; {found}; a bar joins what does not differ"
        axes.annotate(note, (0, 1), (0, 6), "axes fraction", "offset points", fontsize=9, color=_INK)

    _save(path, draw)


def _draw_scale(axes: Axes, number: int, ranking: Ranking) -> None:
    axes.plot([1, number], [0, 0], color=_INK, linewidth=1.2)
    for rank in range(1, number + 1):
        axes.plot([rank, rank], [0, 0.14], color=_INK, linewidth=1.2)
        axes.text(rank, 0.2, str(rank), ha="center", va="bottom", fontsize=9, color=_INK)
    width = ranking.critical_difference
    axes.plot([1, 1 + width], [0.85, 0.85], color=_INK, linewidth=1.5)
    for end in (1, 1 + width):
        axes.plot([end, end], [0.75, 0.95], color=_INK, linewidth=1.5)
    text = f"critical difference {width:.2f} ({100 * ranking.level:g} %)"
    axes.text(1, 1.0, text, ha="left", va="bottom", fontsize=9, color=_INK)


def _draw_model(axes: Axes, name: str, rank: float, depth: float, end: float, left: bool) -> None:
    out = -0.06 if left else 0.06
    axes.plot([rank, rank, end + out], [0, -depth, -depth], color=_BLUE, linewidth=1.2, solid_joinstyle="miter")
    axes.plot([rank], [0], marker="o", markersize=4, color=_BLUE, clip_on=False)
    text = f"{name}  {rank:.2f}" if left else f"{rank:.2f}  {name}"
    axes.text(end + 1.5 * out, -depth, text, ha="right" if left else "left", va="center", fontsize=10, color=_INK)


def _save(path: str | Path, draw: Callable[[Figure], None]) -> None:
    """Draw on a figure outside pyplot's state, under matplotlib's defaults whatever the user's own are."""
    from matplotlib import rc_context, style
    from matplotlib.figure import Figure

    # An SVG's element names and date would differ from one writing to the next.
    metadata = {"Date": None} if Path(path).suffix == ".svg" else {"Software": None}
    with style.context("default"), rc_context({"svg.hashsalt": "fer"}):
        figure = Figure(layout="constrained", dpi=150)
        draw(figure)
        figure.savefig(path, bbox_inches="tight", metadata=metadata)

"""Mean ranks of models over datasets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fer_core.plotting.chart import WIDTH, Chart, shorten
from fer_core.plotting.palette import INK, MUTED, series

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fer_core.statistics import Ranking


def draw_ranks(models: Sequence[str], ranking: Ranking, title: str) -> Chart:
    """Mean ranks on a line; bars join models that do not differ (Demsar 2006, figure 1).

    Args:
        models: In the order of `ranking.ranks`.
        ranking: What `friedman_nemenyi` gives.
        title: Heading.

    Raises:
        ValueError: Names and ranks differ in number.
    """
    if len(models) != len(ranking.ranks):
        raise ValueError(f"{len(models)} names do not fit {len(ranking.ranks)} ranks")
    order = sorted(range(len(models)), key=lambda place: ranking.ranks[place])
    bars = ranking.alike()
    last = len(models)
    difference = f"critical difference {ranking.critical_difference:.2f} ({100 * ranking.level:g} %)"
    first = 0.9 + 0.55 * len(bars)  # depth of the first name, in rows

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.set_axis_off()
        axes.plot([1, last], [0, 0], color=MUTED, linewidth=1.4)
        for tick in range(1, last + 1):
            axes.plot([tick, tick], [0, -0.25], color=MUTED, linewidth=1.4)
            axes.text(tick, -0.4, str(tick), ha="center", va="bottom", fontsize=10, color=MUTED)
        far = min(1 + ranking.critical_difference, last)
        said = difference if far < last else f"{difference}, wider than the scale"
        axes.plot([1, far], [-1.7, -1.7], color=INK, linewidth=2)
        axes.text(1, -1.85, said, ha="left", va="bottom", fontsize=10)
        for row, bar in enumerate(bars):
            ends = [float(ranking.ranks[bar[0]]) - 0.04, float(ranking.ranks[bar[-1]]) + 0.04]
            axes.plot(ends, [0.6 + 0.55 * row] * 2, color=series(1), linewidth=4.5, solid_capstyle="butt")
        for row, place in enumerate(order):
            rank, depth = float(ranking.ranks[place]), first + row
            axes.plot([rank, rank, 1 - 0.02 * last], [0, depth, depth], color=series(0), linewidth=1)
            axes.plot(rank, 0, "o", color=series(0), markersize=6)
            name = f"{shorten(models[place], 22)}  {rank:.2f}"
            axes.text(1 - 0.03 * last, depth, name, ha="right", va="center", fontsize=10.5)
        axes.set_ylim(first + last - 0.4, -2.6)
        axes.set_xlim(0.9, last + 0.1)

    ranks = ", ".join(f"{models[place]} {ranking.ranks[place]:.2f}" for place in order)
    joined = "; ".join(" and ".join(models[place] for place in bar) for bar in bars) or "no two models"
    description = (
        f"1 is best: {ranks}. Friedman p {ranking.p:.2g}; {difference}. Not significantly different: {joined}."
    )
    return Chart(title, description, (WIDTH, 21 * (first + last + 2.2)), paint)

"""Accuracies with their intervals, next to chance and the majority class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fer_core.plotting.chart import WIDTH, Chart, shorten
from fer_core.plotting.palette import HEAT, INK, MUTED, SURFACE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROW = 36.0
"""Height of a row in pixels: the name of the model above its interval."""
Interval = tuple[float, float]


def draw_scores(
    scores: Mapping[str, tuple[float, Interval | None]], baselines: Mapping[str, float], title: str
) -> Chart:
    """A point with its 95 % interval for each model, and a dashed line for each baseline.

    Args:
        scores: Model -> accuracy and its interval, fractions, in the order of the rows.
        baselines: Name -> accuracy.
        title: Heading.
    """
    ends = [100 * end for value, interval in scores.values() for end in interval or (value, value)]
    lines = {name: 100 * value for name, value in baselines.items()}
    low, high = min(*ends, *lines.values()), max(*ends, *lines.values())
    margin = 0.05 * (high - low) or 1.0
    bounds = (max(0.0, low - margin), min(100.0, high + 3 * margin))

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        for row, (name, (value, interval)) in enumerate(scores.items()):
            ground = {"facecolor": SURFACE, "edgecolor": "none", "pad": 1.0}
            axes.text(bounds[0], row + 0.26, shorten(name, 60), fontsize=10.5, color=INK, va="center", bbox=ground)
            start, end = interval or (value, value)
            axes.plot([100 * start, 100 * end], [row + 0.66] * 2, color=HEAT, linewidth=2.2)
            axes.plot(100 * value, row + 0.66, "o", color=HEAT, markersize=6)
            axes.text(
                100 * end + 0.4 * margin, row + 0.66, f"{100 * value:.1f}", fontsize=10, color=INK, va="center"
            )
        names = [len(scores) + 0.2 + 0.4 * number for number in range(len(lines))]
        for (name, at), y in zip(lines.items(), names, strict=True):
            axes.axvline(at, color=MUTED, linewidth=1.2, linestyle="--", zorder=0)
            right = at > sum(bounds) / 2
            axes.text(
                at + (-0.3 if right else 0.3) * margin, y, f"{name} {at:.1f}", color=MUTED, fontsize=9.5,
                ha="right" if right else "left", va="center",
            )  # fmt: skip
        axes.set_xlim(*bounds)
        axes.set_ylim(len(scores) + 0.4 * len(lines) + 0.3, 0)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("accuracy, % (line: 95 % interval)")

    told = [
        f"{name} {value:.1%}" + (f" ({interval[0]:.1%} to {interval[1]:.1%})" if interval else "")
        for name, (value, interval) in scores.items()
    ]
    told += [f"{name} {value:.1%}" for name, value in baselines.items()]
    size = (WIDTH, 46 + ROW * (len(scores) + 0.4 * len(lines) + 0.3))
    return Chart(title, f"Accuracy with 95 % intervals: {'; '.join(told)}.", size, paint)

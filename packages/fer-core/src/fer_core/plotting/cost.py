"""Accuracy against the cost of a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from fer_core.plotting.chart import WIDTH, Chart, shorten
from fer_core.plotting.labels import label_right
from fer_core.plotting.palette import series

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEIGHT = 300.0
STEPS = [base * 10.0**power for power in range(-6, 9) for base in (1, 2, 5)]


def draw_cost(
    points: Mapping[str, tuple[float, float, float, float]], title: str, label: str, rows: Sequence[str]
) -> Chart:
    """Accuracy with its interval against a cost on a logarithmic axis.

    Args:
        points: Model -> cost, accuracy, lower and upper end of the interval; accuracies are fractions.
        title: Heading.
        label: The cost and its unit.
        rows: All models of the table, so that a model has one colour in all charts.
    """
    costs = [point[0] for point in points.values()]
    lows, highs = [100 * p[2] for p in points.values()], [100 * p[3] for p in points.values()]
    margin = 0.08 * (max(highs) - min(lows)) or 1.0
    bottom, top = min(lows) - margin, max(highs) + margin
    left, right = min(costs) / 1.5, max(costs) * 1.5

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.set_xscale("log")
        labels = []
        for row, (cost, value, low, high) in points.items():
            colour = series(rows.index(row))
            axes.plot([cost, cost], [100 * low, 100 * high], color=colour, linewidth=2)
            axes.plot(cost, 100 * value, "o", color=colour, markersize=7)
            labels.append((cost, 100 * value, shorten(row, 18), colour))
        axes.set_xlim(left, right)
        axes.set_ylim(bottom, top)
        steps = [step for step in STEPS if left <= step <= right]
        every = max(1, -(-len(steps) // 6))
        axes.set_xticks(steps[::every], [f"{step:g}" for step in steps[::every]])
        axes.set_xticks([], minor=True)
        axes.set_xlabel(f"{label} (logarithmic)")
        axes.set_ylabel("accuracy, %")
        axes.grid(axis="y")
        beside = right * (right / left) ** 0.06
        gap = 14 / (HEIGHT - 60) * (top - bottom)
        label_right(axes, labels, gap, beside, bounds=(bottom, top))

    told = [
        f"{row}: {c:.3g}, {value:.1%} ({low:.1%} to {high:.1%})" for row, (c, value, low, high) in points.items()
    ]
    return Chart(title, f"{label}, accuracy, 95 % interval. {'; '.join(told)}.", (WIDTH, HEIGHT), paint)

"""Accuracy on corrupted faces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from fer_core.plotting.chart import Chart
from fer_core.plotting.labels import label_right
from fer_core.plotting.palette import INK, MARKERS, series

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_robustness(clean: float, corrupted: Mapping[str, Sequence[float]], title: str) -> Chart:
    """A line for each corruption, from the faces as they are to the highest severity.

    Args:
        clean: Accuracy on the faces as they are, a fraction.
        corrupted: Corruption -> accuracy at severities 1, 2, ...
        title: Heading.
    """
    told = [f"{name} {', '.join(f'{value:.1%}' for value in values)}" for name, values in corrupted.items()]
    description = (
        f"Lines of accuracy over the severity of {len(corrupted)} corruptions, from {clean:.1%} on the faces as "
        f"they are. Severities 1, 2, ...: {'; '.join(told)}."
    )
    severities = list(range(1 + max(map(len, corrupted.values()))))

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        ends = []
        for number, (name, values) in enumerate(corrupted.items()):
            heights = [100 * value for value in (clean, *values)]
            axes.plot(
                severities[: len(heights)], heights, color=series(number), linewidth=1.6, clip_on=False,
                marker=MARKERS[number % len(MARKERS)], markersize=5,
            )  # fmt: skip
            ends.append((float(severities[-1]), heights[-1], name, series(number)))
        axes.plot([0], [100 * clean], marker="o", markersize=6, color=INK, clip_on=False)
        top = max(5.0, 105 * max(clean, *(value for values in corrupted.values() for value in values)))
        axes.set_xlim(-0.1, severities[-1])
        axes.set_ylim(0, min(top, 100))
        axes.set_xticks(severities, ["clean", *map(str, severities[1:])])
        axes.set_xlabel("severity")
        axes.set_ylabel("accuracy, %")
        axes.grid(axis="y")
        label_right(axes, ends, 0.055 * top, severities[-1] + 0.22, bounds=(0, top))

    return Chart(title, description, (550, 300), paint)

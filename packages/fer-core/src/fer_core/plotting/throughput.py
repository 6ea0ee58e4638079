"""Throughput of models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from fer_core.plotting.chart import Chart
from fer_core.plotting.palette import INK, series

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_throughput(
    rates: Mapping[str, Mapping[str, float]], panels: Mapping[str, Sequence[str]], title: str
) -> Chart:
    """Bars of images/s on a logarithmic axis, one panel for each kind of work.

    Args:
        rates: Model -> phase -> images/s.
        panels: Title of a panel -> its phases.
        title: Heading.
    """

    def paint(figure: Figure) -> None:
        every = figure.subplots(1, len(panels), squeeze=False)[0]
        for axes, (name, phases) in zip(every, panels.items(), strict=True):
            height = 0.8 / len(phases)
            for number, phase in enumerate(phases):
                values = [of_model[phase] for of_model in rates.values()]
                places = [row + (number - (len(phases) - 1) / 2) * height for row in range(len(rates))]
                bars = axes.barh(places, values, height=height * 0.9, label=phase, color=series(number))
                axes.bar_label(bars, labels=[_short(value) for value in values], padding=3, fontsize=9, color=INK)
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")
            low, high = axes.get_xlim()
            axes.set_xlim(low / 1.5, high * 2.5)
            axes.set_yticks(range(len(rates)), list(rates))
            axes.invert_yaxis()
            axes.set_title(name, loc="left", pad=10 + 15 * ((len(phases) + 1) // 2))
            axes.set_xlabel("images/s (logarithmic)")
            axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2)

    told = [
        f"{model} {', '.join(f'{phase} {_short(rate)}' for phase, rate in of_model.items())}"
        for model, of_model in rates.items()
    ]
    return Chart(title, f"Images/s: {'; '.join(told)}.", (800, 130 + 72 * len(rates)), paint)


def _short(value: float) -> str:
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"

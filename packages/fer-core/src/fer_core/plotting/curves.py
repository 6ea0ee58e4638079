"""Learning curves of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from fer_core.errors import FerError
from fer_core.plotting.chart import WIDTH, Chart
from fer_core.plotting.labels import spread
from fer_core.plotting.palette import MUTED, SURFACE, series

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from fer_core.metrics import MetricsRow

PARTS = ("train", "val", "test")
Kinds = tuple[tuple[str, float, str, "str | tuple[float, tuple[int, int]]"], ...]
Lines = dict[tuple[str, str], list[tuple[float, float]]]
LOSSES: Kinds = (("loss", 1.0, "loss", "-"), ("cross_entropy", 1.0, "cross-entropy", (0, (4, 2))))
ACCURACIES: Kinds = (
    ("accuracy", 100.0, "accuracy", "-"),
    ("mean_class_accuracy", 100.0, "mean class accuracy", (0, (4, 2))),
)
FEW = 15
"""Evaluations up to which each has a marker: a single one would be an invisible line."""


def draw_curves(
    rows: Sequence[MetricsRow],
    title: str,
    chosen: float | None = None,
    baselines: Mapping[str, float] = MappingProxyType({}),
) -> Chart:
    """Loss and accuracy over the epochs.

    Args:
        rows: Evaluations; drawn is what was measured of `loss`, `cross_entropy`, `accuracy` and
            `mean_class_accuracy`.
        title: Whose they are.
        chosen: The epoch of the weights that are reported, which is marked.
        baselines: Name -> accuracy, a fraction, of answers that need no model; dashed lines.

    Raises:
        FerError: There is no row.
    """
    if not rows:
        raise FerError("There are no curves to draw, because no epoch has ended: train for at least one epoch")
    panels = (("loss", LOSSES, _lines(rows, LOSSES)), ("accuracy, %", ACCURACIES, _lines(rows, ACCURACIES)))
    told = [
        f"{part} {key.replace('_', ' ')} from {line[0][1]:.3g} to {line[-1][1]:.3g}"
        for _, _, lines in panels
        for (part, key), line in lines.items()
    ]
    mark = "" if chosen is None else f" The dotted line marks the chosen epoch, {chosen:g}."
    description = f"Over {len(rows)} evaluations: {'; '.join(told) or 'nothing was measured'}.{mark}"

    def paint(figure: Figure) -> None:
        upper, lower = figure.subplots(2, 1, sharex=True)
        for axes, (name, kinds, lines) in zip((upper, lower), panels, strict=True):
            _paint(axes, name, kinds, lines)
            if chosen is not None:
                axes.axvline(chosen, color=MUTED, linewidth=1.2, linestyle=":", zorder=0)
        _paint_baselines(lower, baselines)
        epochs = [row.epoch for row in rows]
        margin = max(0.5 if len(set(epochs)) == 1 else 0.0, 0.03 * (max(epochs) - min(epochs)))
        lower.set_xlim(min(epochs) - margin, max(epochs) + margin)
        lower.locator_params(axis="x", integer=True, min_n_ticks=1)
        lower.set_xlabel("epoch" if chosen is None else f"epoch (dotted: the chosen one, {chosen:g})")

    return Chart(title, description, (WIDTH, 430), paint)


def _lines(rows: Sequence[MetricsRow], kinds: Kinds) -> Lines:
    found = {
        (part, key): [(row.epoch, scale * row.part(part)[key]) for row in rows if key in row.part(part)]
        for part in PARTS
        for key, scale, _, _ in kinds
    }
    return {which: line for which, line in found.items() if line}


def _paint(axes: Axes, name: str, kinds: Kinds, lines: Lines) -> None:
    looks = {key: (label, dashes) for key, _, label, dashes in kinds}
    for (part, key), line in lines.items():
        label, dashes = looks[key]
        epochs, values = zip(*line, strict=True)
        marker = "o" if len(line) <= FEW else ""
        axes.plot(
            epochs, values, color=series(PARTS.index(part)), linestyle=dashes, linewidth=1.8,
            marker=marker, markersize=3.5, label=f"{part} {label}",
        )  # fmt: skip
    axes.set_ylabel(name)
    axes.grid(axis="y")
    if lines:
        axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=2, borderaxespad=0, handlelength=1.8)
    else:
        axes.set_yticks([])
        axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", color=MUTED)


def _paint_baselines(axes: Axes, baselines: Mapping[str, float]) -> None:
    values = [100 * value for value in baselines.values()]
    for value in values:
        axes.axhline(value, color=MUTED, linewidth=1.1, linestyle="--", zorder=0)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.02 * (high - low))  # the highest label stands above its line
    places = spread([value + 0.04 * (high - low) for value in values], 0.09 * (high - low), low, high)
    for (name, value), place in zip(baselines.items(), places, strict=True):
        axes.text(
            0.99, place, f"{name} {100 * value:.1f}", transform=axes.get_yaxis_transform(), ha="right",
            va="center", fontsize=9, color=MUTED, bbox={"facecolor": SURFACE, "edgecolor": "none", "pad": 0.5},
        )  # fmt: skip

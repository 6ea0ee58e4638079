"""Pictures of a run, as PNG files whose bytes depend on the figures alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fer_core.errors import FerError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from fer_core.metrics.record import MetricsRow

_COLOURS = {"train": "#0072B2", "val": "#D55E00", "test": "#009E73"}
"""Distinguishable in all common kinds of colour blindness (Okabe and Ito 2008)."""
_INK, _FAINT = "#333333", "#999999"


def save_confusion(path: str | Path, confusion: ArrayLike, classes: Sequence[str], title: str) -> None:
    """Draw a confusion matrix: colour and first number are per cent of the true class, the second is the count.

    Args:
        path: Where the PNG goes.
        confusion: Counts [C, C], rows are the true classes.
        classes: The C names.
        title: First line of the heading; accuracies and the number of images follow below it.

    Raises:
        ValueError: The matrix does not fit the classes.
    """
    counts = np.asarray(confusion)
    if counts.shape != (len(classes), len(classes)):
        raise ValueError(f"a confusion matrix {counts.shape} does not fit {len(classes)} classes")

    def draw(figure: Figure) -> None:
        support = counts.sum(axis=1)
        shares = counts / np.maximum(support, 1)[:, None]
        side = 0.68 * len(classes)
        longest = max(len(name) for name in classes)
        figure.set_size_inches(max(side + 0.1 * longest + 1.1, 4.8), side + 0.06 * longest + 1.5)
        axes = figure.add_subplot()
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        _label_cells(axes, counts, shares)
        axes.set_xticks(range(len(classes)), classes, rotation=40, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(classes)), [f"{name} ({n})" for name, n in zip(classes, support, strict=True)])
        axes.set_xlabel("predicted")
        axes.set_ylabel("true (images)")
        axes.set_xticks(np.arange(len(classes) + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(len(classes) + 1) - 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=2)
        axes.tick_params(which="both", length=0)
        axes.spines[:].set_visible(False)
        axes.set_title(title, fontsize=12, fontweight="bold", loc="left", pad=34)
        axes.annotate(
            _summary(counts, shares), (0, 1), (0, 6), "axes fraction", "offset points", fontsize=9, color=_INK
        )

    _save(path, draw)


def _label_cells(axes: Axes, counts: NDArray[Any], shares: NDArray[np.float64]) -> None:
    for (row, column), count in np.ndenumerate(counts):
        if not counts[row].any():
            axes.text(column, row, "–", ha="center", va="center", color=_FAINT)
            continue
        share = shares[row, column]
        colour = "white" if share > 0.5 else _INK if count else _FAINT
        weight = "bold" if row == column else "normal"
        style: dict[str, Any] = {"ha": "center", "color": colour}
        axes.text(column, row - 0.09, f"{100 * share:.1f}", va="center", fontsize=10, fontweight=weight, **style)
        axes.text(column, row + 0.25, f"{count}", va="center", fontsize=7, **style)


def _summary(counts: NDArray[Any], shares: NDArray[np.float64]) -> str:
    total = int(counts.sum())
    if not total:
        return "no images"
    mean = shares.diagonal()[counts.any(axis=1)].mean()
    return (
        f"accuracy {100 * counts.trace() / total:.2f} %   mean class accuracy {100 * mean:.2f} %   "
        f"{total:,} images\ncells: per cent of the true class, number of images"
    )


def save_curves(path: str | Path, rows: Sequence[MetricsRow], *, metric: str = "accuracy") -> None:
    """Draw loss and accuracy over the epochs and mark the best epoch.

    Args:
        path: Where the PNG goes.
        rows: Evaluations; drawn is what was measured of `loss`, `cross_entropy`, `accuracy` and
            `mean_class_accuracy`.
        metric: What the best epoch is best in, on `val`, else on `test`; the earliest of equals.

    Raises:
        FerError: There is no row.
    """
    if not rows:
        raise FerError("There are no curves to draw, because no epoch has ended: train for at least one epoch")

    def draw(figure: Figure) -> None:
        figure.set_size_inches(10, 4)
        losses, accuracies = figure.subplots(1, 2)
        best = _best(rows, metric)
        for part, colour in _COLOURS.items():
            _line(losses, rows, part, "loss", 1, color=colour, label=f"{part}, loss")
            _line(losses, rows, part, "cross_entropy", 1, color=colour, label=f"{part}, cross-entropy")
            _line(accuracies, rows, part, "accuracy", 100, color=colour, label=f"{part}, accuracy")
            label = f"{part}, mean class accuracy"
            _line(
                accuracies,
                rows,
                part,
                "mean_class_accuracy",
                100,
                color=colour,
                label=label,
                linestyle=(0, (4, 2)),
            )
        epochs = [row.epoch for row in rows]
        _dress(losses, "loss", "upper right", epochs)
        _dress(accuracies, "accuracy (%)", "lower right", epochs)
        if best is not None:
            epoch, part, value = best
            for axes in (losses, accuracies):
                axes.axvline(epoch, color=_FAINT, linewidth=1, linestyle=":", zorder=0)
            accuracies.plot(
                [epoch], [100 * value], marker="o", markersize=8, color=_COLOURS[part], fillstyle="none"
            )
            name = metric.replace("_", " ")
            accuracies.set_title(
                f"best {name} on {part}: {100 * value:.2f} % in epoch {epoch:g}", fontsize=10, color=_INK
            )

    _save(path, draw)


def _series(rows: Sequence[MetricsRow], part: str, key: str) -> list[tuple[float, float]]:
    """The epochs in which `key` was measured on `part`."""
    return [(row.epoch, row.part(part)[key]) for row in rows if key in row.part(part)]


def _line(axes: Axes, rows: Sequence[MetricsRow], part: str, key: str, scale: float, **style: Any) -> None:
    points = _series(rows, part, key)
    if points:
        epochs, values = zip(*points, strict=True)
        marker = "o" if len(points) <= 12 else ""  # a single epoch would be an invisible line
        axes.plot(epochs, scale * np.asarray(values), marker=marker, markersize=3.5, linewidth=1.6, **style)


def _best(rows: Sequence[MetricsRow], metric: str) -> tuple[float, str, float] | None:
    for part in ("val", "test"):
        points = _series(rows, part, metric)
        if points:
            epoch, value = max(points, key=lambda point: point[1])
            return epoch, part, value
    return None


def _dress(axes: Axes, name: str, corner: Literal["upper right", "lower right"], epochs: Sequence[float]) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel("epoch")
    axes.set_ylabel(name)
    margin = max(0.5, 0.02 * (max(epochs) - min(epochs)))
    axes.set_xlim(min(epochs) - margin, max(epochs) + margin)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(color="#E6E6E6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.lines:
        axes.legend(fontsize=9, loc=corner, framealpha=0.9, edgecolor="none")
    else:
        axes.set_yticks([])
        axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", color=_FAINT)


def _save(path: str | Path, draw: Callable[[Figure], None]) -> None:
    """Draw on a figure outside pyplot's state, under matplotlib's defaults whatever the user's own are."""
    from matplotlib import style
    from matplotlib.figure import Figure

    with style.context("default"):
        figure = Figure(layout="constrained", dpi=150)
        draw(figure)
        figure.savefig(path, format="png", bbox_inches="tight", metadata={"Software": None})

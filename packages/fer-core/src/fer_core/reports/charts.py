"""The pictures of a report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from fer_core.reports.drawing import Drawing

if TYPE_CHECKING:
    from fer_core.metrics import MetricsRow
    from fer_core.statistics import Ranking, Reliability

Points = Sequence[tuple[float, float]]


class Axes:
    """A plot area with ticks: values to pixels."""

    def __init__(
        self,
        drawing: Drawing,
        box: tuple[float, float, float, float],
        x: tuple[float, float],
        y: tuple[float, float],
        *,
        log: bool = False,
    ) -> None:
        self.drawing, self.box, self.log = drawing, box, log
        self.x_range = (math.log10(x[0]), math.log10(x[1])) if log else x
        self.y_range = y

    def at(self, x: float, y: float) -> tuple[float, float]:
        """The pixel of a value."""
        left, top, width, height = self.box
        place = math.log10(x) if self.log else x
        return (
            left + width * (place - self.x_range[0]) / ((self.x_range[1] - self.x_range[0]) or 1),
            top + height * (1 - (y - self.y_range[0]) / ((self.y_range[1] - self.y_range[0]) or 1)),
        )

    def dress(self, x_ticks: Sequence[float], y_ticks: Sequence[float], x_label: str, y_label: str) -> None:
        """Grid, ticks and names of the axes."""
        left, top, width, height = self.box
        for tick in y_ticks:
            y = self.at(10 ** self.x_range[0] if self.log else self.x_range[0], tick)[1]
            self.drawing.line([(left, y), (left + width, y)], "grid", 1)
            self.drawing.text(left - 7, y + 4, f"{tick:g}", colour="muted", size=11, anchor="end")
        for tick in x_ticks:
            x = self.at(tick, self.y_range[0])[0]
            self.drawing.line([(x, top + height), (x, top + height + 4)], "muted", 1)
            self.drawing.text(x, top + height + 17, f"{tick:g}", colour="muted", size=11, anchor="middle")
        self.drawing.line([(left, top + height), (left + width, top + height)], "muted", 1)
        self.drawing.text(left + width / 2, top + height + 34, x_label, colour="muted", size=12, anchor="middle")
        self.drawing.text(left, top - 10, y_label, colour="muted", size=12)


def ticks(low: float, high: float, number: int = 5, *, whole: bool = False) -> list[float]:
    """Round values from `low` to `high`, about `number` of them."""
    span = (high - low) or 1.0
    raw = span / number
    step = 10 ** math.floor(math.log10(raw))
    step *= next(factor for factor in (1, 2, 5, 10) if factor * step >= raw * 0.999)
    if whole:
        step = max(1.0, step)
    first = math.ceil(low / step - 1e-9)
    return [round(step * n, 10) for n in range(first, math.floor(high / step + 1e-9) + 1)]


def _legend(drawing: Drawing, x: float, y: float, names: Sequence[tuple[str, str, bool]]) -> None:
    for name, colour, dashed in names:
        drawing.line([(x, y - 4), (x + 20, y - 4)], colour, 2.5, dashed=dashed)
        drawing.text(x + 26, y, name, size=11.5)
        x += 40 + 6.6 * len(name)


def draw_curves(history: Sequence[MetricsRow], title: str, chosen: float | None = None) -> Drawing:
    """Loss and accuracy of every epoch, and the epoch that was chosen.

    Args:
        history: Evaluations.
        title: Whose they are.
        chosen: The epoch of the weights that are reported.
    """
    drawing = Drawing(760, 330, f"Learning curves of {title}", "")
    said = []
    panels = (("cross_entropy", 1.0, "cross-entropy", 44.0), ("accuracy", 100.0, "accuracy, %", 430.0))
    epochs = [row.epoch for row in history]
    low, high = (min(epochs), max(epochs)) if epochs else (0.0, 1.0)
    parts = [part for part in ("train", "val", "test") if any(row.part(part) for row in history)]
    _legend(drawing, 44, 22, [(part, f"series{n}", False) for n, part in enumerate(parts)])
    for key, scale, label, left in panels:
        lines = {part: _series(history, part, key, scale) for part in parts}
        values = [value for line in lines.values() for _, value in line]
        bottom, top = (min(values), max(values)) if values else (0.0, 1.0)
        margin = 0.06 * (top - bottom) or 0.5
        edge = 0.5 if low == high else 0.0
        axes = Axes(drawing, (left, 64, 310, 210), (low - edge, high + edge), (bottom - margin, top + margin))
        axes.dress(ticks(low, high, 6, whole=True), ticks(bottom, top), "epoch", label)
        if chosen is not None and low <= chosen <= high:
            drawing.line(
                [axes.at(chosen, bottom - margin), axes.at(chosen, top + margin)], "muted", 1, dashed=True
            )
        for number, part in enumerate(parts):
            points = [axes.at(*point) for point in lines[part]]
            if len(points) > 1:
                drawing.line(points, f"series{number}", 2)
            if len(points) <= 15:
                for point in points:
                    drawing.dot(*point, f"series{number}", 3)
            if lines[part]:
                first, last = lines[part][0][1], lines[part][-1][1]
                said.append(f"{part} {label} from {first:.3g} to {last:.3g}")
    at = "" if chosen is None else f" The dashed line marks the chosen epoch, {chosen:g}."
    drawing.description = f"Over {len(history)} evaluations: {'; '.join(said)}.{at}"
    return drawing


def _series(history: Sequence[MetricsRow], part: str, key: str, scale: float) -> list[tuple[float, float]]:
    return [(row.epoch, scale * row.part(part)[key]) for row in history if key in row.part(part)]


def draw_confusion(counts: Sequence[Sequence[int]], classes: Sequence[str], title: str) -> Drawing:
    """Rows are the true classes; a cell has the per cent of its row and the number of faces."""
    cell, left, top = 60.0, 108.0, 76.0
    side = cell * len(classes)
    drawing = Drawing(left + side + 12, top + side + 30, f"Confusion matrix of {title}", "")
    drawing.text(left + side / 2, 16, "predicted class", colour="muted", anchor="middle")
    drawing.text(4, top - 8, "true class", colour="muted")
    worst: tuple[float, str] = (-1.0, "")
    for row, name in enumerate(classes):
        middle = top + cell * (row + 0.5)
        total = sum(counts[row])
        drawing.text(left - 8, middle, name, anchor="end", size=12.5)
        drawing.text(left - 8, middle + 15, f"{total:,}", anchor="end", size=10.5, colour="muted")
        drawing.text(left + cell * (row + 0.35), top - 8, name, size=12.5, turn=-32)
        for column, count in enumerate(counts[row]):
            share = count / total if total else 0.0
            x, y = left + cell * column, top + cell * row
            drawing.rect(x + 1, y + 1, cell - 2, cell - 2, "grid", 0.45)
            if share:
                drawing.rect(x + 1, y + 1, cell - 2, cell - 2, "heat", 0.06 + 0.94 * share)
            colour = "surface" if share > 0.55 else "ink" if count else "muted"
            text = f"{100 * share:.1f}" if total else "–"
            drawing.text(x + cell / 2, y + 28, text, anchor="middle", size=14, bold=row == column, colour=colour)
            drawing.text(x + cell / 2, y + 46, f"{count:,}", anchor="middle", size=10.5, colour=colour)
            if row != column:
                worst = max(worst, (share, f"{name} taken for {classes[column]} ({share:.1%})"))
    drawing.text(left, top + side + 20, "per cent of the true class, number of faces", colour="muted", size=11)
    recalls = (
        f"{name} {counts[n][n] / sum(counts[n]):.1%}" if sum(counts[n]) else f"{name} absent"
        for n, name in enumerate(classes)
    )
    drawing.description = f"Recall: {', '.join(recalls)}. Most frequent mistake: {worst[1]}."
    return drawing


def draw_classes(bars: Mapping[str, Mapping[str, tuple[float, float, float]]], title: str) -> Drawing:
    """Recall of every class with its 95 % interval, one colour for each row of the table.

    Args:
        bars: Row -> class -> (recall, lower end, upper end), fractions.
        title: Of what.
    """
    rows = list(bars)
    classes = list(dict.fromkeys(name for of_row in bars.values() for name in of_row))
    thick = 15.0 if len(rows) < 5 else 10.0
    step = thick * len(rows) + 16
    top = 34.0 + 18 * ((len(rows) - 1) // 3 + 1)
    drawing = Drawing(720, top + step * len(classes) + 50, f"Recall of every class, {title}", "")
    for number, row in enumerate(rows):
        x, y = 96.0 + 205 * (number % 3), 16.0 + 18 * (number // 3)
        drawing.rect(x, y - 9, 12, 11, f"series{number % 9}")
        drawing.text(x + 18, y, _short(row, 28), size=11.5)
    axes = Axes(drawing, (96, top, 560, step * len(classes)), (0, 100), (0, 1))
    for tick in range(0, 101, 20):
        x = axes.at(tick, 0)[0]
        drawing.line([(x, top), (x, top + step * len(classes))], "grid", 1)
        drawing.text(x, top + step * len(classes) + 17, str(tick), colour="muted", size=11, anchor="middle")
    drawing.text(
        376, top + step * len(classes) + 36, "recall, % (bar: 95 % interval)", colour="muted", anchor="middle"
    )
    said = []
    for place, name in enumerate(classes):
        start = top + step * place + 8
        drawing.text(88, start + step / 2 - 4, name, anchor="end", size=12.5)
        for number, row in enumerate(rows):
            if name not in bars[row]:
                continue
            value, low, high = (100 * each for each in bars[row][name])
            middle = start + thick * (number + 0.5)
            end = axes.at(value, 0)[0]
            drawing.rect(96, middle - thick / 2 + 1, max(end - 96, 0.5), thick - 2, f"series{number % 9}", 0.8)
            drawing.line([(axes.at(low, 0)[0], middle), (axes.at(high, 0)[0], middle)], "ink", 1.5)
            for edge in (low, high):
                x = axes.at(edge, 0)[0]
                drawing.line([(x, middle - 3), (x, middle + 3)], "ink", 1.5)
            drawing.text(axes.at(high, 0)[0] + 6, middle + 4, f"{value:.1f}", size=10.5, colour="muted")
            said.append(f"{row}, {name}: {value:.1f} ({low:.1f} to {high:.1f})")
    drawing.description = "Per cent with 95 % intervals. " + "; ".join(said) + "."
    return drawing


def draw_reliability(curve: Reliability, title: str) -> Drawing:
    """Accuracy against confidence in bins, and the number of faces in each."""
    error = curve.error
    drawing = Drawing(380, 400, f"Reliability of {title}", "")
    axes = Axes(drawing, (48, 34, 310, 230), (0, 1), (0, 1))
    axes.dress([], [0, 0.2, 0.4, 0.6, 0.8, 1], "", "accuracy")
    drawing.text(358, 24, f"calibration error {100 * error:.2f} %", anchor="end", bold=True)
    below = Axes(drawing, (48, 290, 310, 56), (0, 1), (0, float(max(curve.counts))))
    below.dress([0, 0.2, 0.4, 0.6, 0.8, 1], [0, int(max(curve.counts))], "confidence", "faces")
    for number, count in enumerate(curve.counts):
        if not count:
            continue
        low, high = float(curve.edges[number]), float(curve.edges[number + 1])
        for where, value, colour in ((axes, float(curve.accuracy[number]), "series0"), (below, count, "muted")):
            x, y = where.at(low, value)
            drawing.rect(x + 1, y, where.at(high, 0)[0] - x - 2, where.at(low, 0)[1] - y, colour, 0.8)
        drawing.dot(*axes.at(float(curve.confidence[number]), float(curve.confidence[number])), "series1", 3)
    drawing.line([axes.at(0, 0), axes.at(1, 1)], "series1", 1.5, dashed=True)
    drawing.description = (
        f"Expected calibration error {error:.2%} over {len(curve.counts)} bins. A bar above the dashed diagonal: "
        "right more often than it is sure; below it: too sure."
    )
    return drawing


def draw_cost(
    points: Mapping[str, tuple[float, float, float, float]], title: str, label: str, rows: Sequence[str]
) -> Drawing:
    """Accuracy with its interval against a cost on a logarithmic axis.

    Args:
        points: Row -> (cost, accuracy, lower end, upper end); accuracies are fractions.
        title: Of what.
        label: The cost and its unit.
        rows: All rows of the table, so that a row has one colour in all pictures.
    """
    drawing = Drawing(560, 340, f"Accuracy against {label}, {title}", "")
    costs = [point[0] for point in points.values()]
    lows, highs = [100 * p[2] for p in points.values()], [100 * p[3] for p in points.values()]
    margin = 0.08 * (max(highs) - min(lows)) or 1.0
    x, y = (min(costs) / 1.8, max(costs) * 2.6), (min(lows) - margin, max(highs) + margin)
    axes = Axes(drawing, (52, 40, 480, 240), x, y, log=True)
    steps = [base * 10.0**power for power in range(-4, 7) for base in (1, 2, 5)]
    axes.dress([step for step in steps if x[0] <= step <= x[1]], ticks(*y), label, "accuracy, %")
    said = []
    for row, (cost, value, low, high) in points.items():
        colour = f"series{rows.index(row) % 9}"
        drawing.line([axes.at(cost, 100 * low), axes.at(cost, 100 * high)], colour, 2)
        drawing.dot(*axes.at(cost, 100 * value), colour, 5)
        at = axes.at(cost, 100 * value)
        right = at[0] > 400
        drawing.text(
            at[0] + (-10 if right else 10), at[1] - 6, _short(row, 30), size=12, anchor="end" if right else "start"
        )
        said.append(f"{row}: {cost:.3g}, {value:.1%} ({low:.1%} to {high:.1%})")
    drawing.description = f"{label}, accuracy, 95 % interval. {'; '.join(said)}."
    return drawing


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 3] + "..."


def draw_ranks(models: Sequence[str], ranking: Ranking, metric: str) -> Drawing:
    """Mean ranks over datasets on a line; bars join models that do not differ (Demsar 2006, figure 1).

    Args:
        models: In the order of `ranking.ranks`.
        ranking: What `friedman_nemenyi` gives.
        metric: What was ranked.
    """
    order = sorted(range(len(models)), key=lambda place: ranking.ranks[place])
    bars = ranking.alike()
    first = 110.0 + 12 * len(bars)
    drawing = Drawing(
        760, first + 24 * len(order) + 12, f"Mean ranks by {metric} over {ranking.datasets} datasets", ""
    )
    left, width = 230.0, 480.0

    def at(rank: float) -> float:
        return left + width * (rank - 1) / (len(models) - 1)

    far = left + min(width, at(1 + ranking.critical_difference) - left)
    drawing.line([(left, 34), (far, 34)], "ink", 2)
    said = f"critical difference {ranking.critical_difference:.2f} ({100 * ranking.level:g} %)"
    drawing.text(left, 26, said if far < left + width else f"{said}, wider than the scale", size=11.5)
    drawing.line([(left, 80), (left + width, 80)], "muted", 1.5)
    for rank in range(1, len(models) + 1):
        drawing.line([(at(rank), 74), (at(rank), 80)], "muted", 1.5)
        drawing.text(at(rank), 68, str(rank), colour="muted", size=11, anchor="middle")
    for row, bar in enumerate(bars):
        y = 94.0 + 12 * row
        drawing.line([(at(ranking.ranks[bar[0]]) - 4, y), (at(ranking.ranks[bar[-1]]) + 4, y)], "series1", 5)
    for row, place in enumerate(order):
        x, y = at(float(ranking.ranks[place])), first + 24 * row
        drawing.line([(x, 80), (x, y - 4), (left - 8, y - 4)], "series0", 1)
        drawing.dot(x, 80, "series0", 4)
        drawing.text(left - 14, y, f"{models[place]}  {ranking.ranks[place]:.2f}", anchor="end", size=12)
    ranks = ", ".join(f"{models[place]} {ranking.ranks[place]:.2f}" for place in order)
    joined = "; ".join(" and ".join(models[place] for place in bar) for bar in bars) or "no two models"
    drawing.description = (
        f"1 is best: {ranks}. Friedman p {ranking.p:.2g}; {said}. Not significantly different: {joined}."
    )
    return drawing

"""Figures beside the label's own: of heads for extra targets, and of metrics that a configuration names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fer_core import registry
from fer_core.errors import FerError
from fer_core.reports.compare import METRICS, Score
from fer_core.runs.reading import PART

if TYPE_CHECKING:
    from fer_core.reports.compare import Cell, Column, Table


@dataclass(frozen=True)
class FurtherRow:
    """A row of a table.

    Attributes:
        row: Its name.
        runs: Number of runs.
        images: How many images have the target, in each of the runs, smallest first.
        of: How many images there are, likewise.
        scores: By the name of the metric.
        best: Metrics in which no other row is better; none where there is no other row.
    """

    row: str
    runs: int
    images: tuple[int, ...]
    of: tuple[int, ...]
    scores: Mapping[str, Score]
    best: frozenset[str]

    @property
    def measured(self) -> str:
        """`2,510 of 3,137`; several numbers where runs have other test images."""
        images, of = (" or ".join(f"{count:,}" for count in counts) for counts in (self.images, self.of))
        return images if images == of else f"{images} of {of}"


@dataclass(frozen=True)
class FurtherTable:
    """What was measured of one target on one dataset.

    Attributes:
        column: The dataset.
        target: Name of the extra target; empty for the label.
        metrics: Names.
        rows: In the order of the column.
    """

    column: Column
    target: str
    metrics: tuple[str, ...]
    rows: tuple[FurtherRow, ...]

    @property
    def title(self) -> str:
        """What it shows, in words."""
        of = f"Head for the target {self.target}" if self.target else "Further metrics of the label"
        return f"{of} on {self.column.dataset}"


def find_further(table: Table) -> Iterator[FurtherTable]:
    """The tables of targets and further metrics that belong to a table."""
    for column in table.columns:
        keys = [
            key for cell in column.cells.values() for run in cell.runs for key in run.result.metrics[PART].further
        ]
        for target in dict.fromkeys(target for target, _ in keys):
            metrics = tuple(sorted({metric for of, metric in keys if of == target}, key=_place))
            scores = {row: _scores(cell, target, metrics) for row, cell in column.cells.items()}
            having = {row: found for row, found in scores.items() if found}
            rows = tuple(_row(row, column.cells[row], target, having) for row in having)
            yield FurtherTable(column, target, metrics, rows)


def figure(metric: str, score: Score) -> str:
    """`61.20 ± 0.52`, in per cent for the core's metrics of classes, else as it is."""
    scale, digits = (100, 2) if metric in METRICS else (1, 4)
    spread = "" if score.deviation is None else f" ± {scale * score.deviation:.{digits}f}"
    return f"{scale * score.mean:.{digits}f}{spread}"


def _scores(cell: Cell, target: str, metrics: tuple[str, ...]) -> dict[str, Score]:
    found = {}
    for metric in metrics:
        figures = (run.result.metrics[PART].further.get((target, metric)) for run in cell.runs)
        values = [value for value in figures if value is not None]
        if values:
            deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
            found[metric] = Score(float(np.mean(values)), deviation, None, tuple(values))
    return found


def _row(row: str, cell: Cell, target: str, scores: Mapping[str, Mapping[str, Score]]) -> FurtherRow:
    measured = [run.result.metrics[PART] for run in cell.runs]
    of = {each.count for each in measured}
    images = {each.heads[target].count for each in measured if target in each.heads} if target else of
    best = frozenset(metric for metric in scores[row] if _is_best(metric, row, scores))
    return FurtherRow(row, len(cell.runs), tuple(sorted(images)), tuple(sorted(of)), scores[row], best)


def _place(metric: str) -> tuple[int, str]:
    """Key that sorts metrics as `fer-run list metrics` does; unknown ones come last."""
    known = registry.names("metrics")
    return (known.index(metric) if metric in known else len(known)), metric


def _is_best(metric: str, row: str, rivals: Mapping[str, Mapping[str, Score]]) -> bool:
    means = {name: scores[metric].mean for name, scores in rivals.items() if metric in scores}
    try:
        higher = registry.find("metrics", metric).higher_is_better
    except FerError:  # its plugin is not installed, so nobody says which is better
        return False
    return len(means) > 1 and means[row] == (max if higher else min)(means.values())

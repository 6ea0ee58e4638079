"""Models x datasets under one protocol: means, intervals, and what differs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from fer_core.metrics import Metrics, compute_metrics
from fer_core.runs.predictions import label_numbers, probabilities_of
from fer_core.runs.reading import PART, Protocol, RunRecord
from fer_core.statistics import bootstrap_interval, corrected_t, holm, mcnemar, paired_bootstrap

if TYPE_CHECKING:
    import pandas as pd

    from fer_core.types import Role

METRICS = ("accuracy", "mean_class_accuracy", "macro_f1")
Place = tuple[str, str, Protocol]
"""Dataset, fingerprint, protocol."""
LEVEL = 0.05
_PARTS: tuple[Role, Role] = (PART, "train")


@dataclass(frozen=True)
class Score:
    """A metric of one model on one dataset, fractions.

    Attributes:
        mean: Over the runs.
        deviation: Standard deviation over the runs (n - 1); None for a single one.
        interval: 95 %; None where no predictions are stored. See `Cell.interval`.
        values: One for each run.
    """

    mean: float
    deviation: float | None
    interval: tuple[float, float] | None
    values: tuple[float, ...]


@dataclass(frozen=True)
class Cell:
    """Repetitions of one configuration on one dataset.

    Attributes:
        row: Name of the row: the model, and what tells it from others of its name.
        runs: By split and seed.
    """

    row: str
    runs: tuple[RunRecord, ...]

    @cached_property
    def tables(self) -> tuple[pd.DataFrame, ...]:
        """Predictions on the test part of those runs that have them."""
        return tuple(run.predictions for run in self.runs if run.predictions is not None)

    @cached_property
    def parts(self) -> dict[str, list[pd.DataFrame]]:
        """Predictions by test part (its faces), each sorted by id."""
        found: dict[str, list[pd.DataFrame]] = {}
        for table in self.tables:
            ordered = table.sort_values("id", ignore_index=True)
            found.setdefault("\n".join(ordered["id"]), []).append(ordered)
        return found

    @cached_property
    def scores(self) -> dict[str, Score]:
        """Every metric of `METRICS`."""
        measured = [_measure(run) for run in self.runs]
        return {metric: self._score(metric, [found.value(metric) for found in measured]) for metric in METRICS}

    def _score(self, metric: str, values: list[float]) -> Score:
        deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
        return Score(float(np.mean(values)), deviation, self.interval(metric, values), tuple(values))

    def interval(self, metric: str, values: Sequence[float]) -> tuple[float, float] | None:
        """95 % interval.

        On one test part a bootstrap over its faces (by `group` where the table has that column): every run is
        measured on the same draws, and the interval is that of their mean. Over several test parts the t interval
        with Nadeau and Bengio's variance, since the parts share training faces.
        """
        if not self.tables:
            return None
        if len(self.parts) == 1:
            (tables,) = self.parts.values()
            return bootstrap_interval(*label_and_predictions(tables), metric, groups=groups_of(tables[0]))
        from scipy import stats

        share = test_share(self.runs[0])
        scale = np.sqrt((1 / len(values) + share / (1 - share)) * np.var(values, ddof=1))
        low, high = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=scale or 1e-300)
        return max(0.0, float(low)), min(1.0, float(high))


@dataclass(frozen=True)
class Comparison:
    """The best row against another, one metric.

    Attributes:
        best: The row with the highest mean.
        other: Another row.
        difference: Mean of `best` minus mean of `other`, over what both have.
        p: Of the test; None where the rows share no test part.
        adjusted: By Holm over the rows of the column.
        test: Name of the test, or why there is none.
    """

    best: str
    other: str
    difference: float
    p: float | None
    adjusted: float | None
    test: str

    @property
    def differs(self) -> bool | None:
        """Whether the difference is significant at 5 %; None where nothing could be tested."""
        return None if self.adjusted is None else self.adjusted < LEVEL


@dataclass(frozen=True)
class Column:
    """One dataset (as it was read: its fingerprint) under one protocol.

    Attributes:
        dataset: Its name.
        fingerprint: Of its content.
        protocol: Of the runs.
        cells: Row name -> cell, by mean accuracy, best first.
        comparisons: Metric -> the best row against every other.
    """

    dataset: str
    fingerprint: str
    protocol: Protocol
    cells: Mapping[str, Cell]
    comparisons: Mapping[str, tuple[Comparison, ...]] = field(default_factory=dict)

    def best(self, metric: str) -> str:
        """The row with the highest mean; the first of equals."""
        return max(self.cells, key=lambda row: self.cells[row].scores[metric].mean)

    def mark(self, metric: str, row: str) -> str:
        """`best`, `alike` (not significantly different from it), `untested`, or empty."""
        if len(self.cells) < 2 or row not in self.cells:
            return ""
        if row == self.best(metric):
            return "best"
        differs = next(test.differs for test in self.comparisons[metric] if test.other == row)
        return {None: "untested", False: "alike", True: ""}[differs]


@dataclass(frozen=True)
class Table:
    """What may stand side by side: one way to divide and to choose.

    Attributes:
        title: The protocol in words.
        selected_on_test: Whether the epochs were chosen on the faces that are reported.
        rows: Names of the rows, by mean accuracy, best first.
        columns: One for each dataset.
    """

    title: str
    selected_on_test: bool
    rows: tuple[str, ...]
    columns: tuple[Column, ...]


def make_tables(runs: Sequence[RunRecord]) -> list[Table]:
    """Divide runs into tables that hold one protocol each, and compare within their columns.

    Datasets of one table may be divided differently only where each has its own official division.
    """
    grouped: dict[tuple[str, str, str, str, str], dict[Place, list[RunRecord]]] = {}
    for run in runs:
        protocol = run.protocol
        base = protocol.split.removesuffix("+holdout")
        column = (run.dataset, run.fingerprint, protocol)
        key = (base, protocol.select, protocol.metric, protocol.recipe, protocol.trained)
        grouped.setdefault(key, {}).setdefault(column, []).append(run)
    tables = []
    for key, found in sorted(grouped.items()):
        for layer in _layers(sorted(found)):
            columns = tuple(_column(place, found[place]) for place in layer)
            rows = tuple(sorted({row for column in columns for row in column.cells}, key=_standing(columns)))
            protocols = {column.protocol for column in columns}
            title = str(min(protocols)) if len(protocols) == 1 else str(Protocol(key[0], 0.0, *key[1:]))
            tables.append(Table(title, key[1] == "best:test" and not key[4], rows, columns))
    return tables


def _standing(columns: Sequence[Column]) -> Callable[[str], tuple[int, float, str]]:
    """Key that sorts rows: those that are on most datasets first, then by mean accuracy, then by name."""

    def key(row: str) -> tuple[int, float, str]:
        values = [column.cells[row].scores["accuracy"].mean for column in columns if row in column.cells]
        return -len(values), -float(np.mean(values)), row

    return key


def _layers(places: Sequence[Place]) -> list[list[Place]]:
    """A dataset stands once in a table: its other fingerprints and hold-outs get tables of their own."""
    layers: list[list[Place]] = []
    for place in places:
        free = next((layer for layer in layers if all(place[0] != other[0] for other in layer)), None)
        if free is None:
            layers.append([place])
        else:
            free.append(place)
    return layers


def _column(place: Place, runs: Sequence[RunRecord]) -> Column:
    variants: dict[tuple[str, str], list[RunRecord]] = {}
    for run in sorted(runs, key=lambda run: (run.model, run.digest, run.seed, str(run.folder))):
        variants.setdefault((run.model, run.variant), []).append(run)
    names = _row_names({key: found[0] for key, found in variants.items()})
    cells = {names[key]: Cell(names[key], _once(found)) for key, found in variants.items()}
    column = Column(*place, cells)
    comparisons = {metric: _compare(column, metric) for metric in METRICS}
    order = sorted(cells, key=_standing([column]))
    ranked = {
        metric: tuple(sorted(tests, key=lambda test: order.index(test.other)))
        for metric, tests in comparisons.items()
    }
    return Column(*place, {row: cells[row] for row in order}, ranked)


def _once(runs: Sequence[RunRecord]) -> tuple[RunRecord, ...]:
    """Equal repetitions (same split, same seed) count once, else they would make deviations look small."""
    return tuple({(run.digest, run.seed): run for run in reversed(runs)}.values())[::-1]


def _row_names(variants: Mapping[tuple[str, str], RunRecord]) -> dict[tuple[str, str], str]:
    """The model's name, and for several configurations of one model the values in which they differ."""
    names = {}
    for key, run in variants.items():
        rivals = [other for (model, _), other in variants.items() if model == key[0]]
        settings = [other.settings for other in rivals]
        differing = sorted(
            name
            for name in dict.fromkeys(name for each in settings for name in each)
            if len({repr(each.get(name)) for each in settings}) > 1
        )
        said = [f"{name.removeprefix('train.')}={run.settings.get(name)}" for name in differing]
        names[key] = key[0] + (f" ({', '.join(said[:3])}{', ...' if len(said) > 3 else ''})" if said else "")
    taken: dict[str, int] = {}
    for key, name in names.items():
        taken[name] = taken.get(name, 0) + 1
        if taken[name] > 1:
            names[key] = f"{name} [{key[1][:6]}]"
    return names


def _measure(run: RunRecord) -> Metrics:
    """From the stored predictions; from `result.json` where there are none."""
    table = run.predictions
    if table is None:
        return run.result.metrics[PART]
    return compute_metrics(label_numbers(table, run.classes), probabilities_of(table, run.classes), run.classes)


def label_and_predictions(tables: Sequence[pd.DataFrame]) -> tuple[np.ndarray, np.ndarray]:
    """Names of the true classes [N], and of the predicted ones in each of several runs on these faces [R, N]."""
    return tables[0]["label"].to_numpy(str), np.stack([table["predicted"].to_numpy(str) for table in tables])


def groups_of(table: pd.DataFrame) -> np.ndarray | None:
    """What is resampled as one, [N]: the faces of a `group`, else all predictions of a face; None for each alone.

    A face whose group is unknown (empty) is a group of its own. Where all faces are of one group, nothing can be
    said about others: the faces are resampled, as if no group were known.
    """
    if _grouped(table):
        known = table["group"].fillna("")
        return known.where(known != "", "face " + table["id"]).to_numpy()
    return None if table["id"].is_unique else table["id"].to_numpy()


def _grouped(table: pd.DataFrame) -> bool:
    return "group" in table.columns and table["group"].nunique() > 1


def test_share(run: RunRecord) -> float:
    """Test faces over training and test faces, as the corrected t test counts them."""
    test, train = (sum(run.result.dataset.counts[part].values()) for part in _PARTS)
    return test / (test + train)


def _compare(column: Column, metric: str) -> tuple[Comparison, ...]:
    best = column.best(metric)
    found = [
        compare_cells(column.cells[best], cell, metric, seed)
        for seed, (row, cell) in enumerate(column.cells.items())
        if row != best
    ]
    tested = [number for number, test in enumerate(found) if test.p is not None]
    adjusted = (
        dict(zip(tested, holm([found[number].p or 0.0 for number in tested]), strict=True)) if tested else {}
    )
    return tuple(
        Comparison(test.best, test.other, test.difference, test.p, float(adjusted[number]), test.test)
        if number in adjusted
        else test
        for number, test in enumerate(found)
    )


def compare_cells(best: Cell, other: Cell, metric: str, seed: int) -> Comparison:
    """The paired test that fits what both rows have: splits, seeds, or one run each; not adjusted."""
    apart = best.scores[metric].mean - other.scores[metric].mean
    shared = [part for part in best.parts if part in other.parts]
    if not shared:
        why = "no common test part" if best.tables and other.tables else "predictions are missing"
        return Comparison(best.row, other.row, apart, None, None, why)
    if len(shared) > 1:
        differences = [
            _mean(best.parts[part], best, metric) - _mean(other.parts[part], other, metric) for part in shared
        ]
        p = corrected_t(differences, test_share(best.runs[0]))
        return Comparison(best.row, other.row, float(np.mean(differences)), p, None, "corrected t over splits")
    ours, theirs = best.parts[shared[0]], other.parts[shared[0]]
    label, a = label_and_predictions(ours)
    _, b = label_and_predictions(theirs)
    if len(a) == len(b) == 1 and metric == "accuracy" and not _grouped(ours[0]):
        return Comparison(best.row, other.row, apart, mcnemar(label, a[0], b[0]), None, "McNemar, exact")
    p = paired_bootstrap(label, a, b, metric, groups=groups_of(ours[0]), seed=seed)[3]
    test = "paired bootstrap over " + ("groups" if _grouped(ours[0]) else "faces")
    return Comparison(best.row, other.row, apart, p, None, test)


def _mean(tables: Sequence[pd.DataFrame], cell: Cell, metric: str) -> float:
    classes = cell.runs[0].classes
    return float(
        np.mean(
            [
                compute_metrics(label_numbers(table, classes), probabilities_of(table, classes), classes).value(
                    metric
                )
                for table in tables
            ]
        )
    )

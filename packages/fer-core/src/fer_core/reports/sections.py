"""The sections of a report: what the page shows of each table, ready to be written."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fer_core.config import dump_config
from fer_core.metrics import compute_metrics
from fer_core.plotting.confusion import draw_confusion
from fer_core.plotting.cost import draw_cost
from fer_core.plotting.curves import draw_curves
from fer_core.plotting.ranks import draw_ranks
from fer_core.plotting.recalls import draw_recalls
from fer_core.plotting.reliability import draw_reliability
from fer_core.plotting.scores import draw_scores
from fer_core.reports.baselines import Baselines, find_baselines
from fer_core.reports.claims import Reproduction, find_claims
from fer_core.reports.compare import METRICS, Cell, Column, Comparison, Table, groups_of
from fer_core.reports.cost import Cost, comparable, measure_cost, speeds
from fer_core.reports.cross_dataset import Elsewhere
from fer_core.reports.findings import state_facts, state_finding
from fer_core.reports.further import FurtherTable, find_further
from fer_core.runs.predictions import label_numbers, probabilities_of
from fer_core.statistics import bootstrap_interval, friedman_nemenyi, proportion_interval, reliability

if TYPE_CHECKING:
    import pandas as pd

    from fer_core.plotting.chart import Chart
    from fer_core.runs.reading import RunRecord

COIN = "no better than always answering {}, so a low calibration error is no merit"


class Charts:
    """The charts of a page, each under a name of its own."""

    def __init__(self) -> None:
        self.named: dict[str, Chart] = {}

    def add(self, name: str, chart: Chart) -> str:
        """Keep a chart and return it as SVG for the page."""
        slug = "".join(character if character.isalnum() else "-" for character in name).strip("-").lower()
        number = 2
        unique = slug
        while unique in self.named:
            unique, number = f"{slug}-{number}", number + 1
        self.named[unique] = chart
        return chart.svg(unique)

    def save(self, folder: Path) -> list[Path]:
        """Write every chart as SVG and as PNG."""
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / f"{name}{ending}" for name in self.named for ending in (".svg", ".png")]
        for path in paths:
            self.named[path.stem].save(path)
        return paths


@dataclass(frozen=True)
class ClassFigures:
    """A class in one row of a table: number of predictions, recall with its interval, precision."""

    name: str
    count: int
    recall: tuple[float, float, float] | None
    precision: float | None


@dataclass(frozen=True)
class ShownRun:
    """One run of a row; `curves` is empty where there are fewer than two evaluations."""

    run: RunRecord
    command: str
    curves: str
    seconds: float
    versions: str
    machine: str


@dataclass(frozen=True)
class ShownCell:
    """A row on one dataset.

    Attributes:
        row: Its name.
        cell: What was compared.
        runs: Empty in cross-dataset sections: they stand with the run itself.
        config: Of the first run.
        cost: Of its network; None where it cannot be counted.
        ece: Expected calibration error, a fraction; None without predictions.
        coin: Why a low calibration error is no merit; empty where it is one.
        per_class: Figures of every class.
        confusion: The confusion matrix, pooled over the runs.
        reliability: The reliability diagram, likewise.
    """

    row: str
    cell: Cell
    runs: tuple[ShownRun, ...] = ()
    config: str = ""
    cost: Cost | None = None
    ece: float | None = None
    coin: str = ""
    per_class: tuple[ClassFigures, ...] = ()
    confusion: str = ""
    reliability: str = ""

    @property
    def speed(self) -> float | None:
        """Images/s of the first run when it was evaluated; None where it was not recorded."""
        env = self.cell.runs[0].env
        return None if env is None else env.evaluated_per_second

    @property
    def seconds(self) -> float | None:
        """Mean training time of its runs."""
        return sum(run.seconds for run in self.runs) / len(self.runs) if self.runs else None


@dataclass(frozen=True)
class ShownColumn:
    """A dataset of a table; `charts` are captions with charts of all its rows."""

    column: Column
    cells: tuple[ShownCell, ...]
    baselines: Baselines
    charts: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]

    @property
    def tests(self) -> list[tuple[str, Comparison]]:
        """The paired tests of every metric."""
        return [(metric, test) for metric in METRICS for test in self.column.comparisons[metric]]


@dataclass(frozen=True)
class Section:
    """A table of the report.

    Attributes:
        table: What was compared.
        number: Unique in the page.
        heading: Of the section.
        finding: Its first sentence.
        facts: On what it rests.
        columns: One for each dataset.
        claims: Of authors, beside what was reproduced.
        further: Tables of heads for extra targets and of further metrics.
        ranks: Chart of mean ranks and its description; None where there are too few models or datasets.
        evaluated: Whether these are stored evaluations of runs, not the runs themselves.
    """

    table: Table
    number: int
    heading: str
    finding: str
    facts: str
    columns: tuple[ShownColumn, ...]
    claims: tuple[Reproduction, ...] = ()
    further: tuple[FurtherTable, ...] = ()
    ranks: tuple[str, str] | None = None
    evaluated: bool = False


def make_section(table: Table, number: int, charts: Charts, *, evaluated: bool = False) -> Section:
    """A table of runs, or of stored evaluations, whose cost and learning curves stand with their runs."""
    baselines = {column.dataset: find_baselines(column) for column in table.columns}
    return Section(
        table,
        number,
        _heading(table, evaluated),
        state_finding(table, baselines),
        state_facts(table, baselines),
        tuple(_column(column, baselines[column.dataset], charts, evaluated) for column in table.columns),
        () if evaluated else tuple(find_claims(table)),
        tuple(find_further(table)),
        None if evaluated else _ranks(table, number, charts),
        evaluated,
    )


def _heading(table: Table, evaluated: bool) -> str:
    if not evaluated:
        return table.title[0].upper() + table.title[1:]
    runs = [run for column in table.columns for cell in column.cells.values() for run in cell.runs]
    crosses = any(isinstance(run, Elsewhere) and run.crosses for run in runs)
    return f"{'Cross-dataset' if crosses else 'Evaluated again on the data of the training'}, {table.title}"


def _ranks(table: Table, number: int, charts: Charts) -> tuple[str, str] | None:
    """Mean ranks by accuracy of the models that are on every dataset; None where there are too few of either."""
    rows = [row for row in table.rows if all(row in column.cells for column in table.columns)]
    if len(rows) < 3 or len(table.columns) < 2:
        return None
    scores = [[column.cells[row].scores["accuracy"].mean for column in table.columns] for row in rows]
    title = f"Mean ranks by accuracy over {len(table.columns)} datasets"
    chart = draw_ranks(rows, friedman_nemenyi(scores), title)
    return charts.add(f"ranks {number}", chart), chart.description


def _column(column: Column, baselines: Baselines, charts: Charts, evaluated: bool) -> ShownColumn:
    name = column.dataset
    cells = tuple(_cell(row, cell, name, baselines, charts) for row, cell in column.cells.items())
    if evaluated:
        run = next(iter(column.cells.values())).runs[0]
        notes = run.notes if isinstance(run, Elsewhere) else ()
        return ShownColumn(column, cells, baselines, _row_charts(column, cells, baselines, charts), notes)
    cells = tuple(_with_runs(cell, name, baselines, charts) for cell in cells)
    shown = _row_charts(column, cells, baselines, charts) + _cost_charts(column, cells, charts)
    return ShownColumn(column, cells, baselines, shown, ())


def _row_charts(
    column: Column, cells: Sequence[ShownCell], baselines: Baselines, charts: Charts
) -> tuple[tuple[str, str], ...]:
    """Scores and recalls of all rows; nothing for a single row, whose figures stand in its own charts."""
    if len(cells) < 2:
        return ()
    name = column.dataset
    scores = {row: cell.scores["accuracy"] for row, cell in column.cells.items()}
    found = draw_scores(
        {row: (score.mean, score.interval) for row, score in scores.items()},
        _lines(baselines),
        f"Accuracy on {name}",
    )
    recalls = {
        cell.row: {figures.name: figures.recall for figures in cell.per_class if figures.recall}
        for cell in cells
        if cell.per_class
    }
    shown = [("Accuracy", charts.add(f"scores {name}", found))]
    if recalls:
        drawn = draw_recalls(recalls, f"Recall of every class on {name}")
        shown.append(("Recall of every class, %", charts.add(f"classes {name}", drawn)))
    return tuple(shown)


def _lines(baselines: Baselines) -> dict[str, float]:
    return {each.name: each.accuracy for each in (baselines.chance, baselines.majority)}


def _cost_charts(column: Column, cells: Sequence[ShownCell], charts: Charts) -> tuple[tuple[str, str], ...]:
    """Caption and chart for each kind of cost that two rows or more have."""
    runs = {row: cell.runs[0] for row, cell in column.cells.items()}
    costs = {cell.row: cell.cost for cell in cells if cell.cost is not None}
    kinds: tuple[tuple[str, str, Mapping[str, float]], ...] = (
        ("Parameters", "million parameters", {row: cost.parameters / 1e6 for row, cost in costs.items()}),
        ("Multiply-adds of one face", "GMACs", {row: (cost.macs or 0) / 1e9 for row, cost in costs.items()}),
        ("Throughput", "images/s when evaluated", speeds(runs) if comparable(runs.values()) else {}),
    )
    found = []
    for caption, label, values in kinds:
        points = {}
        for row, cost in values.items():
            score = column.cells[row].scores["accuracy"]
            if cost and score.interval:
                points[row] = (cost, score.mean, *score.interval)
        if len(points) > 1:
            chart = draw_cost(points, f"Accuracy against {label} on {column.dataset}", label, list(column.cells))
            found.append((f"{caption} against accuracy", charts.add(f"cost {label} {column.dataset}", chart)))
    return tuple(found)


def _cell(row: str, cell: Cell, dataset: str, baselines: Baselines, charts: Charts) -> ShownCell:
    """What the predictions of a cell's runs say, counted together."""
    if not cell.tables:
        return ShownCell(row, cell)
    import pandas as pd

    title = f"{row} on {dataset}"
    pooled, classes = pd.concat(cell.tables, ignore_index=True), cell.runs[0].classes
    labels, scores = label_numbers(pooled, classes), probabilities_of(pooled, classes)
    confusion = compute_metrics(labels, scores, classes).confusion
    curve = reliability(scores / scores.sum(axis=1, keepdims=True), labels)
    coin = "" if baselines.verdicts[row] == "above" else COIN.format(baselines.name)
    remark = f"The model is {coin}." if coin else ""
    return ShownCell(
        row,
        cell,
        ece=curve.error,
        coin=coin,
        per_class=_per_class(pooled, confusion, classes),
        confusion=charts.add(
            f"confusion {title}", draw_confusion(confusion, classes, f"Confusion matrix of {title}")
        ),
        reliability=charts.add(
            f"reliability {title}", draw_reliability({"": curve}, f"Reliability of {title}", remark)
        ),
    )


def _with_runs(shown: ShownCell, dataset: str, baselines: Baselines, charts: Charts) -> ShownCell:
    runs = shown.cell.runs
    title = f"{shown.row} on {dataset}"
    return replace(
        shown,
        runs=tuple(_run(run, title, baselines, charts) for run in runs),
        config=dump_config(runs[0].config),
        cost=measure_cost(runs[0]),
    )


def _per_class(
    pooled: pd.DataFrame, confusion: Sequence[Sequence[int]], classes: Sequence[str]
) -> tuple[ClassFigures, ...]:
    """Recall with its interval for each class; by faces where several runs saw the same ones."""
    found = []
    groups = groups_of(pooled)
    for number, name in enumerate(classes):
        count, hits = sum(confusion[number]), confusion[number][number]
        predicted = sum(line[number] for line in confusion)
        recall: tuple[float, float, float] | None = None
        if count and groups is None:
            recall = (hits / count, *proportion_interval(hits, count))
        elif count:
            metric = f"recall:{name}"
            interval = bootstrap_interval(pooled["label"], pooled["predicted"], metric, groups=groups, draws=1000)
            recall = (hits / count, *interval)
        found.append(ClassFigures(name, count, recall, hits / predicted if predicted else None))
    return tuple(found)


def _run(run: RunRecord, title: str, baselines: Baselines, charts: Charts) -> ShownRun:
    env = run.env
    command = list(env.command) if env else []
    if command:
        script = Path(command[0]).name
        command[0] = "fer-run" if script == "__main__.py" else script  # python -m fer_core is the same
    name = f"{title}, seed {run.seed}"
    curves = ""
    if len(run.history) > 1:
        chart = draw_curves(run.history, f"Learning curves of {name}", run.result.best.epoch, _lines(baselines))
        curves = charts.add(f"curves {name}", chart)
    facts = ("device", "precision", "deterministic", "threads", "processes", "python", "platform")
    return ShownRun(
        run,
        shlex.join(command) if command else "not recorded",
        curves,
        sum(env.training_seconds) if env else 0.0,
        ", ".join(f"{key} {of}" for key, of in sorted(env.versions.items())) if env else "",
        ", ".join(f"{key} {getattr(env, key)}" for key in facts) if env else "",
    )

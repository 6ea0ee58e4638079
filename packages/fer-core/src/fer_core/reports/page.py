"""The report: one HTML file that needs nothing else."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fer_core.config import dump_config
from fer_core.errors import FerError
from fer_core.metrics import compute_metrics
from fer_core.plotting.chart import Chart
from fer_core.plotting.confusion import draw_confusion
from fer_core.plotting.cost import draw_cost
from fer_core.plotting.curves import draw_curves
from fer_core.plotting.palette import theme
from fer_core.plotting.ranks import draw_ranks
from fer_core.plotting.recalls import draw_recalls
from fer_core.plotting.reliability import draw_reliability
from fer_core.reports import tables
from fer_core.reports.claims import Reproduction, find_claims
from fer_core.reports.compare import (
    METRICS,
    Cell,
    Column,
    Table,
    groups_of,
    make_tables,
)
from fer_core.reports.cost import Cost, comparable, measure_cost, speeds
from fer_core.reports.cross_dataset import Elsewhere, find_evaluations
from fer_core.reports.diagnoses import Budget, ShownDiagnosis, find_diagnoses, read_diagnosis
from fer_core.runs.predictions import label_numbers, probabilities_of
from fer_core.runs.reading import PART, Collection, RunRecord, collect
from fer_core.statistics import bootstrap_interval, friedman_nemenyi, proportion_interval, reliability

if TYPE_CHECKING:
    import pandas as pd

REPORT = "report.html"


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


class Page(NamedTuple):
    """A report.

    Attributes:
        html: The file.
        charts: Those in it.
        left_out: One line for each run, evaluation or diagnosis that could not be used.
        remarks: Lines on runs that are shown and lack something.
    """

    html: str
    charts: Charts
    left_out: tuple[str, ...]
    remarks: tuple[str, ...]


def render_report(found: Collection, title: str = "") -> Page:
    """The page of some runs.

    Args:
        found: Runs, and lines on folders that hold none.
        title: Heading; else the models and datasets.
    """
    import jinja2

    charts = Charts()
    made = make_tables(found.runs)
    evaluations, unusable = find_evaluations(found.runs)
    diagnoses, damaged = _diagnoses(found.places)
    left_out, remarks = (*found.problems, *unusable, *damaged), tuple(missing_predictions(found.runs))
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fer_core.reports"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "percent": tables.percent,
        "interval": tables.interval,
        "sign": tables.sign,
        "heading": tables.heading,
    }
    html = environment.get_template("report.html.j2").render(
        title=title or _title(found.runs),
        theme=theme(":root"),
        problems=(*left_out, *remarks),
        sections=[_section(table, number, charts) for number, table in enumerate(made, 1)],
        elsewhere=[
            _elsewhere(table, number, charts)
            for number, table in enumerate(make_tables(evaluations), len(made) + 1)
        ],
        diagnoses=diagnoses,
        metrics=[(metric, tables.TITLES[metric]) for metric in METRICS],
        runs=found.runs,
        key=tables.KEY,
        warning=tables.WARNING,
        made_by=f"fer-core {version('fer-core')}, Python {platform.python_version()}",
    )
    return Page(html, charts, left_out, remarks)


def render_run_report(folder: Path) -> str:
    """The page of a finished run, which its folder keeps as `report.html`.

    Raises:
        FerError: The run is not finished, or damaged.
    """
    return render_report(collect([folder])).html


def missing_predictions(runs: Sequence[RunRecord]) -> list[str]:
    """One line for each run without predictions on the test part."""
    return [
        f"{run.folder} has no predictions-{PART}.csv: it has no interval and is not tested; evaluate it again"
        for run in runs
        if run.predictions is None
    ]


def _diagnoses(places: Sequence[Path]) -> tuple[list[ShownDiagnosis], list[str]]:
    """What the page shows of every diagnosis, and one line for each that is damaged."""
    budget = Budget()
    shown, damaged = [], []
    for folder in find_diagnoses(places):
        try:
            shown.append(read_diagnosis(folder, budget))
        except FerError as error:
            damaged.append(str(error))
    return shown, damaged


def _title(runs: Sequence[RunRecord]) -> str:
    models, datasets = sorted({run.model for run in runs}), sorted({run.dataset for run in runs})
    shown = ", ".join(models) if len(models) < 5 else f"{len(models)} models"
    return f"{shown} on {', '.join(datasets) if len(datasets) < 5 else f'{len(datasets)} datasets'}"


def _section(table: Table, number: int, charts: Charts) -> dict[str, Any]:
    columns = [_column(column, charts) for column in table.columns]
    return {
        "table": table,
        "number": number,
        "columns": columns,
        "claims": [_claim(found) for found in find_claims(table)],
        "ranks": _ranks(table, number, charts),
    }


def _ranks(table: Table, number: int, charts: Charts) -> str:
    """Mean ranks by accuracy of the models that are on every dataset; empty where there are too few of either."""
    rows = [row for row in table.rows if all(row in column.cells for column in table.columns)]
    if len(rows) < 3 or len(table.columns) < 2:
        return ""
    scores = [[column.cells[row].scores["accuracy"].mean for column in table.columns] for row in rows]
    chart = draw_ranks(
        rows, friedman_nemenyi(scores), f"Mean ranks by accuracy over {len(table.columns)} datasets"
    )
    return charts.add(f"ranks {number}", chart)


def _claim(found: Reproduction) -> dict[str, Any]:
    claim = found.claim
    if claim is None:
        return {
            "model": found.model,
            "dataset": found.dataset,
            "metric": tables.TITLES["accuracy"],
            "value": "–",
            "protocol": "this recipe's authors give no figure of it",
            "source": "–",
            "reproduced": [(row, tables.percent(score), "") for row, score in found.reproduced],
        }
    spread = "" if claim.deviation is None else f" ± {claim.deviation:.1f}"
    classes = f", {claim.classes} classes" if claim.classes else ""
    return {
        "model": found.model,
        "dataset": found.dataset + classes,
        "metric": tables.TITLES.get(claim.metric, claim.metric),
        "value": f"{claim.value:g}{spread}",
        "protocol": claim.protocol,
        "source": claim.source,
        "reproduced": [
            (row, tables.percent(score), f"{100 * score.mean - claim.value:+.2f}")
            for row, score in found.reproduced
        ],
    }


def _column(column: Column, charts: Charts) -> dict[str, Any]:
    name = column.dataset
    cells = [_cell(row, cell, name, charts) for row, cell in column.cells.items()]
    bars = {cell["row"]: cell["recalls"] for cell in cells if cell["recalls"]}
    points = {
        cell["row"]: cell["cost"]
        for cell in cells
        if cell["cost"] is not None and column.cells[cell["row"]].scores["accuracy"].interval
    }
    return {
        "column": column,
        "name": name,
        "cells": cells,
        "classes": charts.add(f"classes {name}", draw_recalls(bars, f"Recall of every class on {name}"))
        if bars
        else "",
        "costs": _cost_charts(column, points, charts),
        "tests": [(metric, test) for metric in METRICS for test in column.comparisons[metric]],
    }


def _cost_charts(column: Column, points: dict[str, Cost], charts: Charts) -> list[tuple[str, str]]:
    """Caption and picture for each kind of cost that two rows or more have."""
    runs = {row: cell.runs[0] for row, cell in column.cells.items()}
    kinds = (
        ("Parameters", "million parameters", {row: cost.parameters / 1e6 for row, cost in points.items()}),
        ("Multiply-adds of one face", "GMACs", {row: (cost.macs or 0) / 1e9 for row, cost in points.items()}),
        ("Faces a second", "faces/s when evaluated", speeds(runs) if comparable(runs.values()) else {}),
    )
    found = []
    for caption, label, costs in kinds:
        figures = {}
        for row, cost in costs.items():
            score = column.cells[row].scores["accuracy"]
            if cost and score.interval:
                figures[row] = (cost, score.mean, *score.interval)
        if len(figures) > 1:
            chart = draw_cost(figures, f"Accuracy against {label} on {column.dataset}", label, list(column.cells))
            found.append((caption, charts.add(f"cost {label} {column.dataset}", chart)))
    return found


def _cell(row: str, cell: Cell, dataset: str, charts: Charts) -> dict[str, Any]:
    title = f"{row} on {dataset}"
    return {
        **_figures(row, cell, dataset, charts),
        "cost": measure_cost(cell.runs[0]),
        "runs": [_run(run, title, charts) for run in cell.runs],
        "config": dump_config(cell.runs[0].config),
    }


def _figures(row: str, cell: Cell, dataset: str, charts: Charts) -> dict[str, Any]:
    """What the predictions of a cell's runs say, counted together."""
    title = f"{row} on {dataset}"
    content: dict[str, Any] = {"row": row, "cell": cell, "recalls": {}, "ece": None, "per_class": []}
    if cell.tables:
        import pandas as pd

        pooled, classes = pd.concat(cell.tables, ignore_index=True), cell.runs[0].classes
        labels, scores = label_numbers(pooled, classes), probabilities_of(pooled, classes)
        confusion = compute_metrics(labels, scores, classes).confusion
        curve = reliability(scores / scores.sum(axis=1, keepdims=True), labels)
        content["per_class"] = _per_class(pooled, confusion, classes)
        content["recalls"] = {of["name"]: of["recall"] for of in content["per_class"] if of["recall"]}
        content["ece"] = f"{100 * curve.error:.2f}"
        content["pooled"] = len(cell.tables)
        content["confusion"] = charts.add(
            f"confusion {title}", draw_confusion(confusion, classes, f"Confusion matrix of {title}")
        )
        content["reliability"] = charts.add(
            f"reliability {title}", draw_reliability({"": curve}, f"Reliability of {title}")
        )
    return content


def _elsewhere(table: Table, number: int, charts: Charts) -> dict[str, Any]:
    """A table of weights on data that they were not trained on; cost and learning curves stand with the runs."""
    columns = []
    for column in table.columns:
        name = column.dataset
        cells = [_figures(row, cell, name, charts) for row, cell in column.cells.items()]
        bars = {cell["row"]: cell["recalls"] for cell in cells if cell["recalls"]}
        run = next(iter(column.cells.values())).runs[0]
        columns.append(
            {
                "column": column,
                "name": name,
                "cells": cells,
                "notes": run.notes if isinstance(run, Elsewhere) else (),
                "classes": charts.add(f"classes {name}", draw_recalls(bars, f"Recall of every class on {name}"))
                if bars
                else "",
                "tests": [(metric, test) for metric in METRICS for test in column.comparisons[metric]],
            }
        )
    return {"table": table, "number": number, "columns": columns, "elsewhere": True}


def _per_class(
    pooled: pd.DataFrame, confusion: Sequence[Sequence[int]], classes: Sequence[str]
) -> list[dict[str, Any]]:
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
            recall = (
                hits / count,
                *bootstrap_interval(
                    pooled["label"], pooled["predicted"], f"recall:{name}", groups=groups, draws=1000
                ),
            )
        precision = hits / predicted if predicted else None
        found.append({"name": name, "count": count, "recall": recall, "precision": precision})
    return found


def _run(run: RunRecord, title: str, charts: Charts) -> dict[str, Any]:
    env = run.env
    command = list(env.command) if env else []
    if command:
        script = Path(command[0]).name
        command[0] = "fer-run" if script == "__main__.py" else script  # python -m fer_core is the same
    seconds = env.training_seconds if env else ()
    name = f"{title}, seed {run.seed}"
    curves = draw_curves(run.history, f"Learning curves of {name}", run.result.best.epoch) if run.history else None
    facts = ("device", "precision", "deterministic", "threads", "processes", "python", "platform")
    return {
        "run": run,
        "command": shlex.join(command) if command else "not recorded",
        "curves": charts.add(f"curves {name}", curves) if curves else "",
        "seconds": f"{sum(seconds):,.0f} s" if seconds else "–",
        "versions": ", ".join(f"{key} {of}" for key, of in sorted(env.versions.items())) if env else "",
        "machine": ", ".join(f"{key} {getattr(env, key)}" for key in facts) if env else "",
    }

"""The report: one HTML file that needs nothing else."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from fer_core.errors import FerError
from fer_core.plotting.palette import theme
from fer_core.reports import tables
from fer_core.reports.compare import METRICS, make_tables
from fer_core.reports.cross_dataset import find_evaluations
from fer_core.reports.diagnoses import Budget, ShownDiagnosis, find_diagnoses, read_diagnosis
from fer_core.reports.further import figure
from fer_core.reports.sections import Charts, make_section
from fer_core.runs.reading import PART, Collection, RunRecord, collect

REPORT = "report.html"


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
    # The same data again is no other data: its tables are apart from those that cross datasets.
    again = make_tables([each for each in evaluations if not each.crosses])
    crossing = make_tables([each for each in evaluations if each.crosses])
    diagnoses, damaged = _diagnoses(found.places)
    left_out, remarks = (*found.problems, *unusable, *damaged), tuple(missing_predictions(found.runs))
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fer_core.reports"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    shown = (
        tables.percent,
        tables.interval,
        tables.sign,
        tables.millions,
        tables.three_digits,
        tables.duration,
        tables.claimed,
        tables.title_of,
        figure,
    )
    environment.filters |= {write.__name__: write for write in shown}
    sections = [make_section(table, number, charts) for number, table in enumerate(made, 1)]
    sections += [
        make_section(table, number, charts, evaluated=True)
        for number, table in enumerate([*crossing, *again], len(made) + 1)
    ]
    html = environment.get_template("report.html.j2").render(
        title=title or _title(found.runs),
        theme=theme(":root"),
        problems=(*left_out, *remarks),
        sections=sections,
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

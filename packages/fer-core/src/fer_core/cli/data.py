"""`fer-run data`: look after datasets."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fer_core.cli.options import data_option, dataset_options, json_option, override_option

if TYPE_CHECKING:
    from fer_core.data.check import Report

SHOWN = 20
"""Unreadable images that are named one by one; `--json` names all."""


@click.group()
def data() -> None:
    """Look after datasets."""


@data.command()
@click.argument("dataset")
@data_option
@override_option
@json_option
@click.option("--strict", is_flag=True, help="Exit with status 1 when counts differ or images cannot be read.")
def check(dataset: str, data: Path | None, overrides: tuple[str, ...], as_json: bool, strict: bool) -> None:
    """Count and read every image of DATASET, and report what is missing, damaged or repeated.

    Options of the dataset are given as `-o data.options.KEY=VALUE`.
    """
    options = dataset_options(overrides)
    from fer_core.data.check import check_dataset
    from fer_core.data.open import open_dataset

    spec, opened = open_dataset(dataset, data, options)
    report = check_dataset(opened, spec, progress=True)
    if as_json:
        click.echo(report.to_json())
    else:
        _show(report)
    if strict and report.incomplete:
        sys.exit(1)


def _show(report: Report) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{report.dataset}: samples (expected)")
    table.add_column("class")
    for split in report.counts:
        table.add_column(split or "no split", justify="right")
    classes = list(next(iter(report.counts.values())))
    for name in classes:
        table.add_row(name, *(_cell(report, split, [name]) for split in report.counts))
    table.add_section()
    table.add_row("all", *(_cell(report, split, classes) for split in report.counts))
    Console(soft_wrap=True).print(table)
    for problem in report.problems:
        click.echo(f"- {problem}")
    for reason in list(report.unreadable.values())[:SHOWN]:
        click.echo(f"    {reason}")
    if not report.incomplete:
        click.echo("Complete.")
    else:
        click.echo("This copy is not the published one." if report.expected else "Some images cannot be used.")


def _cell(report: Report, split: str, classes: Sequence[str]) -> str:
    found = sum(report.counts[split][name] for name in classes)
    expected = report.expected.get(split, {})
    if not all(name in expected for name in classes):
        return f"{found:,}"
    wanted = sum(expected[name] for name in classes)
    return f"{found:,}" if found == wanted else f"[red]{found:,} ({wanted:,})[/red]"

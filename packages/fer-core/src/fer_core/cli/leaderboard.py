"""`fer-run leaderboard`."""

from __future__ import annotations

from pathlib import Path

import click

from fer_core.cli.options import check_complete, json_option, print_json


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="A .md, .csv, .tex or .html file; else the terminal.")
@json_option
def leaderboard(folder: Path, out: Path | None, as_json: bool) -> None:
    """Tabulate every run below FOLDER, one table for each protocol.

    Damaged and unfinished runs are skipped with a warning each; then the exit status is 1.

    \b
    fer-run leaderboard runs
    fer-run leaderboard runs --out results.tex
    """  # noqa: D301  # click reads \b
    from fer_core.workflows.compare import make_leaderboard

    found = make_leaderboard(folder, out)
    if as_json:
        print_json({"results": found.records, "problems": found.problems})
    elif out is None:
        click.echo(found.text(), nl=False)
    check_complete(found.left_out)

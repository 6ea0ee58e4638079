"""`fer-run leaderboard`."""

from __future__ import annotations

from pathlib import Path

import click

from fer_core.cli.options import json_option, print_json
from fer_core.errors import FerError


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="A .md, .csv, .tex or .html file; else the terminal.")
@json_option
def leaderboard(folder: Path, out: Path | None, as_json: bool) -> None:
    """Put every run below FOLDER into tables, one for each protocol.

    \b
    fer-run leaderboard runs
    fer-run leaderboard runs --out results.tex
    """  # noqa: D301  # click reads \b
    endings = (".md", ".csv", ".tex", ".html")
    if out is not None and out.suffix not in endings:
        raise FerError(f"--out {out}: the ending says the format, so end it in {', '.join(endings)}")
    from fer_core.reports import tables
    from fer_core.reports.compare import make_tables
    from fer_core.reports.elsewhere import find_evaluations
    from fer_core.reports.page import missing_predictions, render_report
    from fer_core.runs.reading import collect

    found = collect([folder])
    if not found.runs:
        raise FerError(f"there is no finished run in {folder}: train first")
    evaluations, unusable = find_evaluations(found.runs)
    problems = [*found.problems, *missing_predictions(found.runs), *unusable]
    for line in problems:
        click.echo(f"warning  {line}", err=True)
    if out is not None and out.suffix == ".html":
        text = render_report(found)[0]
    else:
        made = [*make_tables(found.runs), *make_tables(evaluations)]
        text = {
            ".md": lambda: tables.to_markdown(made, problems),
            ".csv": lambda: tables.to_csv(made),
            ".tex": lambda: tables.to_latex(made),
        }[".md" if out is None else out.suffix]()
        if as_json:
            print_json({"results": tables.to_records(made), "problems": problems})
    if out is None:
        if not as_json:
            click.echo(text, nl=False)
        return
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise FerError(f"cannot write {out} ({error.strerror}): choose another place with --out") from error
    click.echo(f"written  {out}", err=as_json)

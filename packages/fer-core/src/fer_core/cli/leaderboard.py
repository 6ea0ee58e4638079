"""`fer-run leaderboard`."""

from __future__ import annotations

import logging
from pathlib import Path

import click

from fer_core.cli.options import check_complete, json_option, print_json
from fer_core.errors import FerError

logger = logging.getLogger(__name__)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="A .md, .csv, .tex or .html file; else the terminal.")
@json_option
def leaderboard(folder: Path, out: Path | None, as_json: bool) -> None:
    """Put every run below FOLDER into tables, one for each protocol.

    What is damaged or not finished is left out with one line; then the exit status is 1.

    \b
    fer-run leaderboard runs
    fer-run leaderboard runs --out results.tex
    """  # noqa: D301  # click reads \b
    endings = (".md", ".csv", ".tex", ".html")
    if out is not None and out.suffix not in endings:
        raise FerError(f"--out {out}: the ending says the format, so end it in {', '.join(endings)}")
    from fer_core.reports import tables
    from fer_core.reports.compare import make_tables
    from fer_core.reports.cross_dataset import find_evaluations
    from fer_core.reports.page import missing_predictions, render_report
    from fer_core.runs.reading import collect

    found = collect([folder])
    if not found.runs:
        raise FerError(f"there is no finished run in {folder}: train first")
    evaluations, unusable = find_evaluations(found.runs)
    left_out = [*found.problems, *unusable]
    problems = [*left_out, *missing_predictions(found.runs)]
    for line in problems:
        logger.warning(line)
    if out is not None and out.suffix == ".html":
        text = render_report(found).html
    else:
        made = [*make_tables(found.runs), *make_tables(evaluations)]
        text = {
            ".md": lambda: tables.to_markdown(made, problems),
            ".csv": lambda: tables.to_csv(made),
            ".tex": lambda: tables.to_latex(made),
        }[".md" if out is None else out.suffix]()
        if as_json:
            print_json({"results": tables.to_records(made), "problems": problems})
    if out is not None:
        _write(out, text)
        logger.info(f"written  {out}")
    elif not as_json:
        click.echo(text, nl=False)
    check_complete(left_out)


def _write(path: Path, text: str) -> None:
    from fer_core.files import write_text

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FerError(f"cannot write {path} ({error.strerror}): choose another place with --out") from error
    write_text(path, text)

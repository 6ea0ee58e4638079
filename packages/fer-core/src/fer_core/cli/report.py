"""`fer-run report`."""

from __future__ import annotations

from pathlib import Path

import click

from fer_core.cli.options import check_complete


@click.command()
@click.argument("places", metavar="RUN|FOLDER...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), help="HTML file to write; default: report.html in the first folder."
)
@click.option("--title", default="", help="Heading of the page.")
@click.option(
    "--charts", type=click.Path(path_type=Path), metavar="DIR", help="Also write every chart as SVG and PNG."
)
def report(places: tuple[Path, ...], out: Path | None, title: str, charts: Path | None) -> None:
    """Compare runs in one HTML file that needs no network.

    Folders are searched for runs. Runs of different protocols are kept apart, never averaged. Damaged and
    unfinished runs are skipped with a warning each; then the exit status is 1.

    \b
    fer-run report runs/MODEL-rafdb/20260901-101500-s0
    fer-run report runs --out comparison.html --charts charts
    """  # noqa: D301  # click reads \b
    from fer_core.workflows.compare import write_report

    check_complete(write_report(places, out, title, charts))

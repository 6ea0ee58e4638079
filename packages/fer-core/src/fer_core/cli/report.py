"""`fer-run report`."""

from __future__ import annotations

import logging
from pathlib import Path

import click

from fer_core.cli.options import check_complete
from fer_core.errors import FerError

logger = logging.getLogger(__name__)


@click.command()
@click.argument("places", metavar="RUN|FOLDER...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="The file; else report.html in the first folder.")
@click.option("--title", default="", help="Heading of the page.")
@click.option(
    "--charts", type=click.Path(path_type=Path), metavar="DIR", help="Also write every chart as SVG and PNG."
)
def report(places: tuple[Path, ...], out: Path | None, title: str, charts: Path | None) -> None:
    """Compare runs in one HTML file that needs no network.

    Folders are searched for runs. Runs of different protocols are set apart, never averaged. What is damaged or
    not finished is left out with one line; then the exit status is 1.

    \b
    fer-run report runs/MODEL-rafdb/20260901-101500-s0
    fer-run report runs --out comparison.html --charts charts
    """  # noqa: D301  # click reads \b
    from fer_core.files import write_text
    from fer_core.reports.page import REPORT, render_report
    from fer_core.runs.reading import collect

    found = collect(list(places))
    if not found.runs:
        reason = f" ({found.problems[0]})" if found.problems else ""
        raise FerError(f"there is no finished run in {', '.join(map(str, places))}{reason}: train first")
    page = render_report(found, title)
    for line in (*page.left_out, *page.remarks):
        logger.warning(line)
    path = out or places[0] / REPORT
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, page.html)
        written = page.charts.save(charts) if charts else []
    except OSError as error:
        raise FerError(f"cannot write {error.filename} ({error.strerror}): choose another place") from error
    logger.info(f"written  {path}: {len(found.runs)} runs, {path.stat().st_size / 1e6:.2f} MB")
    if charts:
        logger.info(f"written  {charts}: {len(written)} files")
    check_complete(page.left_out)

"""Comparing finished runs: one page, or tables."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_core.errors import FerError
from fer_core.files import write_text
from fer_core.reports import tables
from fer_core.reports.compare import make_tables
from fer_core.reports.cross_dataset import find_evaluations
from fer_core.reports.page import REPORT, missing_predictions, render_report
from fer_core.runs.reading import Collection, collect

if TYPE_CHECKING:
    from fer_core.reports.compare import Table
    from fer_core.runs.reading import RunRecord

logger = logging.getLogger(__name__)
ENDINGS = (".md", ".csv", ".tex", ".html")


@dataclass(frozen=True)
class Leaderboard:
    """Tables of runs.

    Attributes:
        found: The runs.
        evaluations: Stored evaluations of their weights.
        left_out: Which files were left out, one line each.
        problems: These lines, and those on runs that lack something.
    """

    found: Collection
    evaluations: Sequence[RunRecord]
    left_out: list[str]
    problems: list[str]

    @cached_property
    def tables(self) -> list[Table]:
        """One for each protocol."""
        return [*make_tables(self.found.runs), *make_tables(self.evaluations)]

    @property
    def records(self) -> list[Any]:
        """The tables as JSON has them."""
        return tables.to_records(self.tables)

    def text(self, ending: str = ".md") -> str:
        """The tables in the format of one of `ENDINGS`."""
        return {
            ".md": lambda: tables.to_markdown(self.tables, self.problems),
            ".csv": lambda: tables.to_csv(self.tables),
            ".tex": lambda: tables.to_latex(self.tables),
            ".html": lambda: render_report(self.found).html,
        }[ending]()


def write_report(places: Sequence[Path], out: Path | None, title: str, charts: Path | None) -> list[str]:
    """Write the page that compares the runs in some folders.

    Args:
        places: Folders of runs, or folders to search for them.
        out: The file; None for `report.html` in the first folder.
        title: Heading of the page.
        charts: Folder for the charts as files of their own.

    Returns:
        One line for each run that was left out; they are logged, too.

    Raises:
        FerError: There is no finished run, or something cannot be written.
    """
    found = _collect(places)
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
    return list(page.left_out)


def make_leaderboard(folder: Path, out: Path | None) -> Leaderboard:
    """Put every run below a folder into tables, one for each protocol.

    Args:
        folder: To search.
        out: The file to write, whose ending says the format; None: no file.

    Raises:
        FerError: There is no finished run, an unknown ending, or a file that cannot be written.
    """
    if out is not None and out.suffix not in ENDINGS:
        raise FerError(f"--out {out}: the suffix determines the format: use one of {', '.join(ENDINGS)}")
    found = _collect([folder])
    evaluations, unusable = find_evaluations(found.runs)
    left_out = [*found.problems, *unusable]
    board = Leaderboard(found, evaluations, left_out, [*left_out, *missing_predictions(found.runs)])
    for line in board.problems:
        logger.warning(line)
    if out is not None:
        text = board.text(out.suffix)
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FerError(f"cannot write {out} ({error.strerror}): choose another place with --out") from error
        write_text(out, text)
        logger.info(f"written  {out}")
    return board


def _collect(places: Sequence[Path]) -> Collection:
    found = collect(list(places))
    if not found.runs:
        reason = f" ({found.problems[0]})" if found.problems else ""
        raise FerError(f"there is no finished run in {', '.join(map(str, places))}{reason}: train first")
    return found

"""Reading label files, and building sample tables."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from fer_core.plugin import FerError
from numpy.typing import NDArray

from fer_datasets.files import require_text


def read_csv(path: Path, columns: Sequence[str] = ()) -> dict[str, list[str]]:
    """Read a comma-separated label file as text.

    Args:
        path: UTF-8 file, with or without byte order mark.
        columns: Column names of a file without a header; empty: the first line names them. Blanks around the
            names are removed.

    Returns:
        The cells of each column by its name; blank lines are ignored.

    Raises:
        FerError: Missing, empty or malformed file; a row with too few or too many cells.
    """
    require_text(path)
    rows: list[list[str]] = []
    names = list(columns)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            for cells in reader:
                if not cells:
                    continue
                if not names:
                    names = [cell.strip() for cell in cells]
                elif len(cells) == len(names):
                    rows.append(cells)
                else:
                    what = f"{path}, line {reader.line_num}: {len(cells)} cells where {len(names)} are expected"
                    raise FerError(f"{what}: the file is damaged or another one, restore it")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FerError(f"cannot read the label file {path}: {error}: it should be text in UTF-8") from error
    if not names or (columns and not rows):
        raise FerError(f"{path} is empty: restore the label file")
    if not rows:
        return {name: [] for name in names}
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))


def require_columns(table: Mapping[str, list[str]], names: Sequence[str], path: Path) -> None:
    """Raise `FerError` naming the columns that `table` lacks."""
    missing = [name for name in names if name not in table]
    if missing:
        have = ", ".join(table)
        raise FerError(f"{path} lacks the column {', '.join(missing)} (it has: {have}): is it the right file?")


def integers(values: Sequence[str], low: int, high: int, what: str, path: Path) -> NDArray[np.int64]:
    """Integers of a text column.

    Args:
        values: Cells, one per data row.
        low: Smallest value allowed.
        high: Largest value allowed.
        what: Name of the column in messages.
        path: File, for messages.

    Raises:
        FerError: A cell is not an integer or outside `low`..`high`; the message names the row, counted from 1.
    """
    result = np.empty(len(values), dtype=np.int64)
    for row, text in enumerate(values):
        try:
            number = int(text)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise FerError(
                f"{path}, row {row + 1}: {what} {text!r} is not a whole number in {low}..{high}: correct the file"
            )
        result[row] = number
    return result


def make_table(
    ids: Sequence[str],
    labels: Sequence[int] | NDArray[np.int64],
    splits: Sequence[str],
    sources: Sequence[str],
    groups: Sequence[str] | None = None,
) -> pd.DataFrame:
    """The sample table of a dataset (see `fer_core.plugin.FERDataset`).

    Raises:
        FerError: Two rows share an id.
    """
    # Objects, since pandas keeps text in pyarrow where that is installed, which has no names that are not UTF-8.
    columns = {
        "id": pd.Series(ids, dtype=object),
        "label": pd.Series(labels, dtype="int64"),
        "split": pd.Series(splits, dtype=object),
        "source": pd.Series(sources, dtype=object),
    }
    if groups is not None:
        columns["group"] = pd.Series(groups, dtype=object)
    table = pd.DataFrame(columns)
    repeated = table["id"].duplicated()
    if repeated.any():
        raise FerError(f"the sample {table['id'][repeated].iloc[0]!r} is listed twice: remove one of its rows")
    return table

"""Label files in, sample tables out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from fer_core.errors import FerError
from numpy.typing import NDArray


def read_csv(path: Path, columns: Sequence[str] = ()) -> pd.DataFrame:
    """Read a comma-separated label file as text.

    Args:
        path: UTF-8 file, with or without byte order mark.
        columns: Column names of a file without a header; empty: the first line names them. Blanks around the
            names are removed.

    Returns:
        A table of str columns, missing cells as empty text.

    Raises:
        FerError: Missing, empty or malformed file.
    """
    try:
        frame = pd.read_csv(
            path,
            header=None if columns else 0,
            dtype=str,
            na_filter=False,
            encoding="utf-8-sig",
            index_col=False,
        )
    except pd.errors.EmptyDataError:
        raise FerError(f"{path} is empty: restore the label file") from None
    except (OSError, ValueError) as error:  # ParserError and UnicodeDecodeError are ValueErrors
        reason = " ".join(str(error).split())
        raise FerError(f"cannot read the label file {path}: {reason}: restore it") from error
    if columns:
        if frame.shape[1] != len(columns):
            raise FerError(f"{path} has {frame.shape[1]} columns where {len(columns)} are expected: restore it")
        frame.columns = pd.Index(columns)
    else:
        frame.columns = pd.Index([str(name).strip() for name in frame.columns])
    return frame


def require_columns(frame: pd.DataFrame, names: Sequence[str], path: Path) -> None:
    """Raise `FerError` naming the columns that `frame` lacks."""
    missing = [name for name in names if name not in frame.columns]
    if missing:
        have = ", ".join(map(str, frame.columns))
        raise FerError(f"{path} lacks the column {', '.join(missing)} (it has: {have}): is it the right file?")


def integers(values: Sequence[str], low: int, high: int, what: str, path: Path) -> NDArray[np.int64]:
    """Whole numbers of a text column.

    Args:
        values: Cells; one a data row.
        low: Smallest value allowed.
        high: Largest value allowed.
        what: Name of the column in messages.
        path: File, for messages.

    Raises:
        FerError: A cell is no whole number or outside `low`..`high`; it names the data row, counted from 1.
    """
    result = np.empty(len(values), dtype=np.int64)
    for row, text in enumerate(values):
        try:
            number = int(text)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise FerError(
                f"{path}, row {row + 1}: {what} {text!r} is no number in {low}..{high}: correct the file"
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
    """The sample table of a dataset (see `fer_core.types.FERDataset`).

    Raises:
        FerError: Two rows share an id.
    """
    columns = {
        "id": pd.Series(ids, dtype=str),
        "label": pd.Series(labels, dtype="int64"),
        "split": pd.Series(splits, dtype=str),
        "source": pd.Series(sources, dtype=str),
    }
    if groups is not None:
        columns["group"] = pd.Series(groups, dtype=str)
    table = pd.DataFrame(columns)
    repeated = table["id"].duplicated()
    if repeated.any():
        raise FerError(f"the sample {table['id'][repeated].iloc[0]!r} is listed twice: remove one of its rows")
    return table

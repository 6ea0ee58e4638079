"""A dataset whose samples are rows of a text file: 48 x 48 grey values in one cell, as in `fer2013.csv`."""

from __future__ import annotations

import hashlib
import mmap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from fer_core.plugin import FERDataset, FerError, make_fingerprint
from numpy.typing import NDArray

from fer_datasets.files import MAX_LINE
from fer_datasets.pixel_text import SIDE, VALUES, parse_pixels

BLOCK = 8
"""Rows parsed at once when the file is read in order: arrays as long as their text (67 kB) fit the CPU's cache,
and are below the size from which an allocator requests new memory from the system."""
BLOCKS = 16
"""Blocks cached: more than the number of reading threads."""

_READING = threading.Lock()  # of the module, so that datasets can be pickled


@dataclass(frozen=True)
class PixelFile:
    """Position of the pixels of each data row in the file, and the text of its other cells.

    Attributes:
        path: The file.
        spans: int64 [rows, 2], first byte and length of each pixel cell.
        cells: Text of the other columns by name.
    """

    path: Path
    spans: NDArray[np.int64]
    cells: dict[str, list[str]]


def pixel_columns(path: Path) -> list[str]:
    """Names in the header of a file of pixel rows, without the surrounding blanks of some releases."""
    with path.open("rb") as file:
        header = file.readline(MAX_LINE)
    if b"\0" in header or len(header) == MAX_LINE:
        raise FerError(f"{path} does not begin with a line of text: it is damaged or another file, restore it")
    return _names(header)


def open_pixel_file(path: Path, columns: tuple[str, ...]) -> PixelFile:
    """Index a file of pixel rows without parsing the pixels.

    Args:
        path: Comma-separated file with a header that names `pixels` and `columns` in any order; blanks around
            the names are removed (the challenge's second release has them).
        columns: Other columns to read.

    Raises:
        FerError: Missing column, or a row with too few or too many cells.
    """
    names = pixel_columns(path)
    missing = [name for name in ("pixels", *columns) if name not in names]
    if missing:
        what = f"{path} lacks the column {', '.join(missing)} (it has: {', '.join(names)})"
        raise FerError(f"{what}: take the file of the challenge, with emotion, pixels and Usage")
    spans: list[tuple[int, int]] = []
    rows: list[list[str]] = []
    with _mapped(path) as text:
        size, end = len(text), text.find(b"\n")
        while 0 <= end < size - 1:
            start = end + 1
            end = text.find(b"\n", start, start + MAX_LINE)
            stop = end if end >= 0 else size
            if stop - start > MAX_LINE:
                what = f"{path}, row {len(spans) + 1}: the line is longer than {MAX_LINE} bytes"
                raise FerError(f"{what}: the file is damaged or another one, restore it")
            found = _locate(text, start, stop, names.index("pixels"), len(names))
            if found is not None:
                spans.append(found)
                before, after = text[start : found[0]], text[found[0] + found[1] : stop]
                rows.append([_clean(cell) for cell in (before + after).split(b",")])
            elif text[start:stop].strip():
                cells = text[start:stop].count(b",") + 1
                what = f"{path}, row {len(spans) + 1}: {cells} cells where the header has {len(names)}"
                raise FerError(f"{what}: the file is damaged or cut off, restore it")
    cells_by_name = {name: [row[names.index(name)] for row in rows] for name in columns}
    return PixelFile(path, np.array(spans, dtype=np.int64).reshape(-1, 2), cells_by_name)


def _locate(text: mmap.mmap, start: int, stop: int, place: int, columns: int) -> tuple[int, int] | None:
    """First byte and length of the pixel cell of one line, without quotes and blanks; None for too few cells."""
    first, last = start, stop
    for _ in range(place):
        first = text.find(b",", first, stop) + 1
        if not first:
            return None
    for _ in range(columns - 1 - place):
        last = text.rfind(b",", first, last)
        if last < 0:
            return None
    while last > first and text[last - 1 : last] in b' "\r\t':
        last -= 1
    while last > first and text[first : first + 1] in b' "\t':
        first += 1
    # A line without commas is empty, or not a row of this file.
    return (first, last - first) if columns == 1 or start < first or last < stop else None


def _clean(cell: bytes) -> str:
    return cell.decode("utf-8", "replace").strip(' "\r\n')


def _names(header: bytes) -> list[str]:
    return [cell.strip(' "') for cell in header.decode("utf-8-sig", "replace").strip().split(",")]


@contextmanager
def _mapped(path: Path) -> Iterator[mmap.mmap]:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        yield text


class PixelRows(FERDataset):
    """A dataset of selected rows of a `PixelFile`.

    Args:
        name: Name of the dataset.
        classes: Class names in the dataset's order.
        file: The indexed file.
        rows: int64 [samples], the file's row of each row of the table.
        table: Sample table.
        layout: Which layout was found, and what the user should know about it.
    """

    def __init__(
        self,
        name: str,
        classes: tuple[str, ...],
        file: PixelFile,
        rows: NDArray[np.int64],
        table: pd.DataFrame,
        layout: str = "",
    ) -> None:
        self.name = name
        self.classes = classes
        self.table = table
        self.layout = layout
        self._path = file.path
        self._rows = rows
        self._spans = file.spans[rows]
        self._blocks: dict[int, tuple[NDArray[np.uint8], NDArray[np.bool_]]] = {}
        self._fingerprint: str | None = None

    def read(self, row: int) -> NDArray[np.uint8]:
        """Parse one image, and its neighbours if rows are read in order: uint8 grey [48, 48, 1].

        Raises:
            FerError: The cell does not contain 2,304 numbers in 0..255.
        """
        number, place = divmod(row, BLOCK)
        with _READING:
            if place == 0 and number not in self._blocks:  # the first of a block: the others probably follow
                self._blocks[number] = self._parse(row, min(row + BLOCK, len(self._rows)))
                if len(self._blocks) > BLOCKS:
                    del self._blocks[next(iter(self._blocks))]
            block = self._blocks.get(number)
        values, bad = (part[place] for part in block) if block else (part[0] for part in self._parse(row, row + 1))
        if bad:
            where = f"{self._path}, row {int(self._rows[row]) + 1}"
            raise FerError(f"{where}: the pixels are not {VALUES} numbers in 0..255: restore the file")
        pixels: NDArray[np.uint8] = values.reshape(SIDE, SIDE, 1)
        return pixels

    def fingerprint(self) -> str:
        """sha256 over ids, labels and the text of each pixel cell; computed once."""
        if self._fingerprint is None:
            with _mapped(self._path) as text, memoryview(text) as view:
                hashes = [
                    hashlib.sha256(view[start : start + length]).hexdigest()
                    for start, length in self._spans.tolist()
                ]
            self._fingerprint = make_fingerprint(self.table["id"].tolist(), self.table["label"].tolist(), hashes)
        return self._fingerprint

    def keep(self, rows: NDArray[np.int64]) -> None:
        """Drop every row of the table but these."""
        self.table = self.table.iloc[rows].reset_index(drop=True)
        self._rows, self._spans = self._rows[rows], self._spans[rows]
        self._blocks.clear()
        self._fingerprint = None

    def _parse(self, first: int, stop: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        spans = self._spans[first:stop]
        start = int(spans[0, 0])
        with self._path.open("rb") as file:
            file.seek(start)
            text = file.read(int(spans[-1].sum()) - start)
        return parse_pixels(text, spans - np.array([start, 0], dtype=np.int64))

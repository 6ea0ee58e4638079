"""A dataset whose samples are rows of a text file: 48 x 48 grey values in one cell, as in `fer2013.csv`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd
from fer_core.errors import FerError
from numpy.typing import NDArray

SIDE = 48


@dataclass(frozen=True)
class PixelFile:
    """Where the pixels of each data row stand in the file, and the text of its other cells.

    Attributes:
        path: The file.
        spans: int64 [rows, 2], first byte and length of each pixel cell.
        cells: Text of the other columns by name.
    """

    path: Path
    spans: NDArray[np.int64]
    cells: dict[str, list[str]]


def open_pixel_file(path: Path, columns: tuple[str, ...]) -> PixelFile:
    """Index a file of pixel rows without parsing the pixels, which takes about a second for 35,887 rows.

    Args:
        path: Comma-separated file with a header that names `pixels` and `columns` in any order; blanks around
            the names are removed (the challenge's second release has them).
        columns: Other columns to read.

    Raises:
        FerError: Missing column, or a row with too few or too many cells.
    """
    spans: list[tuple[int, int]] = []
    cells: dict[str, list[str]] = {name: [] for name in columns}
    with path.open("rb") as file:
        header = file.readline()
        names = [cell.strip(' "') for cell in header.decode("utf-8-sig", "replace").strip().split(",")]
        missing = [name for name in ("pixels", *columns) if name not in names]
        if missing:
            what = f"{path} lacks the column {', '.join(missing)} (it has: {', '.join(names)})"
            raise FerError(f"{what}: take the file of the challenge, with emotion, pixels and Usage")
        pixels = names.index("pixels")
        places = [(name, names.index(name)) for name in columns]
        start = len(header)
        for line in file:
            parts = line.split(b",")
            if len(parts) == len(names):
                before = sum(len(part) + 1 for part in parts[:pixels])
                spans.append((start + before, len(parts[pixels])))
                for name, place in places:
                    cells[name].append(parts[place].decode("utf-8", "replace").strip(' "\r\n'))
            elif line.strip():
                what = f"{path}, row {len(spans) + 1}: {len(parts)} cells where the header has {len(names)}"
                raise FerError(f"{what}: the file is damaged or cut off, restore it")
            start += len(line)
    return PixelFile(path, np.array(spans, dtype=np.int64).reshape(-1, 2), cells)


class PixelRows:
    """Implements `fer_core.types.FERDataset` over chosen rows of a `PixelFile`.

    Args:
        name: Name of the dataset.
        classes: Class names in the dataset's order.
        file: The indexed file.
        rows: int64 [samples], the file's row of each row of the table.
        table: Sample table.
    """

    def __init__(
        self, name: str, classes: tuple[str, ...], file: PixelFile, rows: NDArray[np.int64], table: pd.DataFrame
    ) -> None:
        self.name = name
        self.classes = classes
        self.table = table
        self._path = file.path
        self._rows = rows
        self._spans = file.spans[rows]
        self._fingerprint: str | None = None

    def read(self, row: int) -> NDArray[np.uint8]:
        """Parse one image: uint8 grey [48, 48, 1].

        Raises:
            FerError: The cell does not hold 2,304 numbers in 0..255.
        """
        with self._path.open("rb") as file:
            text = self._text(file, row)
        try:
            values = bytearray(map(int, text.split()))
        except ValueError:
            values = bytearray()
        if len(values) != SIDE * SIDE:
            where = f"{self._path}, row {int(self._rows[row]) + 1}"
            raise FerError(f"{where}: the pixels are not {SIDE * SIDE} numbers in 0..255: restore the file")
        return np.frombuffer(values, dtype=np.uint8).reshape(SIDE, SIDE, 1)

    def fingerprint(self) -> str:
        """sha256 over ids, labels and the text of each pixel cell; computed once."""
        if self._fingerprint is None:
            from fer_core.data.table import make_fingerprint

            with self._path.open("rb") as file:
                hashes = [hashlib.sha256(self._text(file, row)).hexdigest() for row in range(len(self._rows))]
            self._fingerprint = make_fingerprint(self.table["id"].tolist(), self.table["label"].tolist(), hashes)
        return self._fingerprint

    def _text(self, file: BinaryIO, row: int) -> bytes:
        start, length = self._spans[row].tolist()
        file.seek(start)
        return file.read(length).strip(b' "\r\n')

"""A dataset whose samples are image files below one folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from fer_core.plugin import FERDataset, decode_image, make_fingerprint
from numpy.typing import NDArray

from fer_datasets.files import hash_files


class ImageFiles(FERDataset):
    """A dataset whose `source` is the path of an image file relative to `root`.

    Args:
        name: Name of the dataset.
        classes: Class names in the dataset's order.
        root: Folder of the dataset.
        table: Sample table.
        layout: Which layout was found, and what the user should know about it.
    """

    root: Path

    def __init__(
        self, name: str, classes: tuple[str, ...], root: Path, table: pd.DataFrame, layout: str = ""
    ) -> None:
        self.name = name
        self.classes = classes
        self.root = root
        self.table = table
        self.layout = layout
        self._paths: list[str] = table["source"].tolist()
        self._fingerprint: str | None = None

    def read(self, row: int) -> NDArray[np.uint8]:
        """Decode one image: uint8 RGB [H, W, 3] or grey [H, W, 1].

        Raises:
            FerError: The file is missing, empty, corrupt, too large or not an image.
        """
        return decode_image(self.root / self._paths[row], keep_grey=True)

    def fingerprint(self) -> str:
        """sha256 over ids, labels and file bytes; computed once.

        Raises:
            FerError: A file is missing.
        """
        if self._fingerprint is None:
            hashes = hash_files(self.root / path for path in self._paths)
            self._fingerprint = make_fingerprint(self.table["id"].tolist(), self.table["label"].tolist(), hashes)
        return self._fingerprint

    def keep(self, rows: NDArray[np.int64]) -> None:
        """Drop every row of the table but these."""
        self.table = self.table.iloc[rows].reset_index(drop=True)
        self._paths = self.table["source"].tolist()
        self._fingerprint = None

"""A dataset whose samples are boxes in photographs, of which one may contain several."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
from fer_core.plugin import FERDataset, FerError, decode_image, make_fingerprint
from numpy.typing import NDArray

from fer_datasets.files import hash_files

BOX = ("box_left", "box_top", "box_right", "box_bottom")
"""Columns of the table: whole pixels, right and bottom exclusive; a box may extend beyond its photograph."""


class FaceBoxes(FERDataset):
    """A dataset whose `source` is an image file, and whose columns `BOX` are the face in it.

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
        self._boxes: NDArray[np.int64] = table[list(BOX)].to_numpy(dtype=np.int64)
        self._fingerprint: str | None = None

    def read(self, row: int) -> NDArray[np.uint8]:
        """Decode a photograph and crop one face, clipped to it: uint8 [H, W, 3], or grey [H, W, 1].

        Raises:
            FerError: The image cannot be read, or the box is outside it.
        """
        image = decode_image(self.root / self._paths[row], keep_grey=True)
        height, width = image.shape[:2]
        left, top, right, bottom = self._boxes[row].tolist()
        face = image[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
        if not face.size:
            raise FerError(
                f"{self.name}: the box of {self.table['id'].iloc[row]} (left {left}, top {top}, right {right}, "
                f"bottom {bottom}) lies outside its image of {width} x {height}: correct or remove its row"
            )
        return np.ascontiguousarray(face)

    def fingerprint(self) -> str:
        """sha256 over ids, labels, file bytes and boxes; every file is hashed once.

        Raises:
            FerError: An image is missing.
        """
        if self._fingerprint is None:
            paths = sorted(set(self._paths))
            pictures = dict(zip(paths, hash_files(self.root / path for path in paths), strict=True))
            hashes = [
                hashlib.sha256(f"{pictures[path]} {box}".encode()).hexdigest()
                for path, box in zip(self._paths, self._boxes.tolist(), strict=True)
            ]
            self._fingerprint = make_fingerprint(self.table["id"].tolist(), self.table["label"].tolist(), hashes)
        return self._fingerprint


def enlarge(boxes: NDArray[np.float64], factor: float) -> NDArray[np.int64]:
    """Boxes in whole pixels, not clipped.

    Args:
        boxes: [N, 4], left, top, right, bottom.
        factor: 1: the boxes themselves, rounded. Otherwise squares around their centres, with `factor` times the
            longer side.
    """
    if factor != 1:
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        half = factor / 2 * (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True)
        boxes = np.hstack([centres - half, centres + half])
    return np.rint(boxes).astype(np.int64)

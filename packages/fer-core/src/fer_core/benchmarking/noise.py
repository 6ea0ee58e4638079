"""A dataset of noise in memory, so that a benchmark needs no data and no disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_core.data.prepare import PreparedData
from fer_core.data.splits import Split
from fer_core.types import DatasetSpec, FERDataset, Pack, class_names

CLASSES = class_names(7)
NOTHING = "0" * 64
"""Stands for a sha256."""
NOISE = DatasetSpec(
    name="noise",
    factory="fer_core.benchmarking.noise:NoiseFaces",
    classes=CLASSES,
    splits={"train": "train", "val": "val", "test": "test"},
    layouts={},
    expected_counts={},
    summary="",
    licence="",
    homepage="",
    needs_root=False,
)


class NoiseFaces(FERDataset):
    """`count` labelled images of noise, half of them for training.

    Args:
        root: Unused.
        count: Number of images.
        side: Their height and width in pixels.
    """

    name, classes = NOISE.name, CLASSES

    def __init__(self, root: Path, *, count: int = 64, side: int = 100) -> None:
        self.side = side
        names = [f"{row:06d}" for row in range(count)]
        split = ["train"] * (count - 2 * (count // 4)) + ["val"] * (count // 4) + ["test"] * (count // 4)
        label = np.arange(count) % len(CLASSES)
        self.table = pd.DataFrame({"id": names, "label": label, "split": split, "source": names})

    def read(self, row: int) -> NDArray[np.uint8]:
        """An image [side, side, 3], the same for the same row."""
        return np.random.default_rng(row).integers(0, 256, (self.side, self.side, 3), dtype=np.uint8)

    def fingerprint(self) -> str:
        """A sha256 that nothing depends on."""
        return NOTHING


class MemoryPack(Pack):
    """Images that are held in memory, [N, H, W, C]."""

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self._pixels = pixels

    def __len__(self) -> int:
        return len(self._pixels)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Height and width of every image in pixels, [N, 2]."""
        return np.tile(np.array(self._pixels.shape[1:3], dtype=np.int64), (len(self), 1))

    @property
    def uniform(self) -> bool:
        """True."""
        return True

    def images(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Copies of the images."""
        found: NDArray[np.uint8] = self._pixels[rows]
        return found


def make_data(count: int, side: int) -> PreparedData:
    """`count` images of noise, ready to be trained on."""
    faces = NoiseFaces(Path(), count=count, side=side)
    train, val, test = (np.flatnonzero(faces.table["split"] == name) for name in ("train", "val", "test"))
    pixels = np.stack([faces.read(row) for row in range(count)])
    return PreparedData(
        NOISE, faces, Split("official", train, val, test, digest=NOTHING), faces.fingerprint(), MemoryPack(pixels)
    )

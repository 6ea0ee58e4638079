"""Image files of a dataset's folder against its table: samples without a file, files without a sample."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fer_core.data.images import decode_image, image_names

if TYPE_CHECKING:
    from fer_core.types import FERDataset


@dataclass(frozen=True)
class Files:
    """The two sides of a folder of images.

    Attributes:
        root: Folder of the dataset, None where its samples are no files.
        missing: Rows whose file is not there.
        unused: Path below `root` of each image file that no sample uses, and the split of its folder: the one that
            all samples of the folder have, else empty.
    """

    root: Path | None
    missing: list[int]
    unused: list[tuple[str, str]]

    def read(self, path: str) -> NDArray[np.uint8]:
        """Decode an unused file: uint8 RGB [H, W, 3], or grey [H, W, 1]. Raises FerError naming the file."""
        assert self.root is not None
        return decode_image(self.root / path, keep_grey=True)


def compare_files(dataset: FERDataset) -> Files:
    """List the folders that hold samples of a dataset whose `root` is known, and compare them with its table."""
    root = dataset.root
    if root is None:
        return Files(None, [], [])
    sources = [source.replace("\\", "/") for source in dataset.table["source"].tolist()]
    splits: dict[str, set[str]] = {}
    for source, split in zip(sources, dataset.table["split"].tolist(), strict=True):
        splits.setdefault(source.rpartition("/")[0], set()).add(split)
    there = {folder: set(image_names(root / folder)) if (root / folder).is_dir() else set() for folder in splits}
    used = set(sources)
    missing = [
        row
        for row, source in enumerate(sources)
        if source.rpartition("/")[2] not in there[source.rpartition("/")[0]] and not (root / source).is_file()
    ]
    unused = [
        (path, next(iter(splits[folder])) if len(splits[folder]) == 1 else "")
        for folder, names in sorted(there.items())
        for path in (str(PurePosixPath(folder, name)) for name in sorted(names))
        if path not in used
    ]
    return Files(root, missing, unused)

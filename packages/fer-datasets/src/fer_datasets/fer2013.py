"""Reader of FER2013: the challenge's files, files without `Usage`, and copies sorted into folders."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
from fer_core.plugin import Alignment, FERDataset, FerError, nearest
from numpy.typing import NDArray

from fer_datasets.class_folders import list_images, spellings_of, split_folders
from fer_datasets.copies import leave_out
from fer_datasets.files import layout_error, require_folder
from fer_datasets.image_files import ImageFiles
from fer_datasets.listing import child
from fer_datasets.pixel_rows import PixelRows, open_pixel_file, pixel_columns
from fer_datasets.specs.fer2013 import CLASSES, CUSTOM, SPEC
from fer_datasets.tables import integers, make_table

FILES = (
    "fer2013.csv",
    "fer2013/fer2013.csv",
    "icml_face_data.csv",
    "fer2013_modified.csv",
    "train.csv",
)
"""Files of pixel rows; the first one found is read."""
WITHOUT_USAGE = ("fer2013_modified.csv", "train.csv")
OFFICIAL = ("Training", "PublicTest", "PrivateTest")
CUT = Alignment(kind="box", margin=0.05)
"""What the images show beside the box of a detector: measured (docs/results/faces.md), stated nowhere."""


def load(root: Path, *, dedup: bool = False, drop_constant: bool = False) -> FERDataset:
    """Read FER2013. Pixels are located, not parsed: `read` parses them.

    Args:
        root: Folder with one of `FILES`, or with folders of images.
        dedup: Keep one of several identical images (`fer_datasets.copies`).
        drop_constant: Drop constant images.

    Raises:
        FerError: Unknown layout, or a damaged file.
    """
    require_folder(SPEC, root)
    name = next((name for name in FILES if (root / name).is_file()), None)
    dataset = _from_rows(root, name) if name else _from_folders(root)
    dataset.alignment = CUT
    leave_out(dataset, SPEC.splits, dedup=dedup, drop_constant=drop_constant)
    return dataset


def _from_rows(root: Path, name: str) -> PixelRows:
    path = root / name
    known = path.name not in WITHOUT_USAGE or "Usage" in pixel_columns(path)
    pixels = open_pixel_file(path, ("emotion", "Usage") if known else ("emotion",))
    count = len(pixels.spans)
    if not count:
        raise FerError(f"{path} has a header but no rows: restore the file")
    labels = integers(pixels.cells["emotion"], 0, len(CLASSES) - 1, "the emotion", path)
    splits, remark = (pixels.cells["Usage"], "") if known else _splits_by_order(labels)
    for row, split in enumerate(splits):
        if known and split not in OFFICIAL:
            raise FerError(f"{path}, row {row + 1}: there is no Usage {split!r}: {nearest(split, OFFICIAL)}")
    table = make_table(
        [f"row-{row:05d}" for row in range(count)], labels, splits, [f"{name}#{row}" for row in range(count)]
    )
    return PixelRows(SPEC.name, CLASSES, pixels, np.arange(count), table, path.name + remark)


def _splits_by_order(labels: NDArray[np.int64]) -> tuple[list[str], str]:
    """Splits of rows without `Usage`: by their order, if every split then has the official class counts."""
    sizes = [sum(SPEC.expected_counts[split].values()) for split in OFFICIAL]
    cuts = np.cumsum([0, *sizes])
    expected = [list(SPEC.expected_counts[split].values()) for split in OFFICIAL]
    found = [np.bincount(labels[start:stop], minlength=len(CLASSES)).tolist() for start, stop in pairwise(cuts)]
    if len(labels) == cuts[-1] and found == expected:
        splits = [split for split, size in zip(OFFICIAL, sizes, strict=True) for _ in range(size)]
        return splits, " without Usage: split by the order of its rows, which fits the official counts"
    if len(labels) == sizes[0] and found[0] == expected[0]:
        return ["Training"] * sizes[0], ": Training alone, for the test rows of this release have no labels"
    return [""] * len(labels), " without Usage, and not in the official order: it has no split"


def _from_folders(root: Path) -> ImageFiles:
    splits = split_folders(root)
    if "train" not in splits:
        inner = child(root, "images", "fer2013", "fer-2013")
        splits = split_folders(inner) if inner else {}
    if "train" not in splits:
        raise layout_error(SPEC, root, "neither fer2013.csv nor icml_face_data.csv nor a folder train is there")
    if len(splits) == 1:
        raise layout_error(SPEC, root, "the folder train is there, but neither test nor validation beside it")
    found = list_images(root, splits, spellings_of(CLASSES))
    if not found.paths:
        raise layout_error(SPEC, root, "the class folders hold no images")
    stems = [path.rpartition("/")[2].rpartition(".")[0] for path in found.paths]
    prefixes = [stem.partition("_")[0] for stem in stems]
    labels = [CLASSES.index(label) for label in found.labels]
    if set(prefixes) <= set(OFFICIAL):
        layout = "class folders, split by the names of the files"
        return ImageFiles(SPEC.name, CLASSES, root, make_table(stems, labels, prefixes, found.paths), layout)
    # The split that is not trained on is reported, so its role is test.
    names = (
        CUSTOM if len(splits) == 3 else {"train": CUSTOM["train"], "val": CUSTOM["test"], "test": CUSTOM["test"]}
    )
    ids = [f"{split}/{stem}" for split, stem in zip(found.splits, stems, strict=True)]
    table = make_table(ids, labels, [names[split] for split in found.splits], found.paths)
    dataset = ImageFiles(SPEC.name, CLASSES, root, table, "class folders, a custom split: not the official one")
    dataset.expected_counts = {}
    return dataset

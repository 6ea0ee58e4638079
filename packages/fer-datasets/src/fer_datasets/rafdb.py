"""Reader of RAF-DB's basic set in its official layout."""

from __future__ import annotations

import re
from pathlib import Path

from fer_core.errors import FerError, nearest
from fer_core.types import FERDataset

from fer_datasets.files import layout_error, require_folder
from fer_datasets.image_files import ImageFiles
from fer_datasets.specs.rafdb import CLASSES, SPEC
from fer_datasets.tables import make_table

LABELS = "EmoLabel/list_patition_label.txt"
SUFFIXES = {"aligned": "_aligned.jpg", "original": ".jpg"}
"""What stands behind the sample's name in each folder of images."""

_NAME = re.compile(r"(train|test)_\d+\.jpg")


def load(root: Path, *, images: str = "aligned") -> FERDataset:
    """Read RAF-DB. Only the label file is opened, no image.

    Args:
        root: Folder that holds `EmoLabel` and `Image`, or `basic/` with these.
        images: `aligned` (100 x 100 faces) or `original` (whole pictures).

    Raises:
        FerError: Unknown layout or option, or a damaged label file.
    """
    if images not in SUFFIXES:
        raise FerError(f"rafdb: there are no images {images!r}: {nearest(images, SUFFIXES)}")
    require_folder(SPEC, root)
    base = root / "basic" if (root / "basic" / LABELS).is_file() else root
    if not (base / LABELS).is_file():
        raise layout_error(SPEC, root, f"the label file {LABELS} is missing")
    folder = base / "Image" / images
    if (folder / images).is_dir():  # archives unpacked into a folder of their own name
        folder = folder / images
    if not folder.is_dir():
        raise layout_error(SPEC, base, f"the labels are there, but the folder Image/{images} is missing")
    names, labels = _read_labels(base / LABELS)
    below = folder.relative_to(root).as_posix()
    stems = [name.removesuffix(".jpg") for name in names]
    table = make_table(
        stems,
        labels,
        [stem.partition("_")[0] for stem in stems],
        [f"{below}/{stem}{SUFFIXES[images]}" for stem in stems],
    )
    return ImageFiles(SPEC.name, CLASSES, root, table)


def _read_labels(path: Path) -> tuple[list[str], list[int]]:
    names, labels = [], []
    for number, line in enumerate(path.read_bytes().decode("utf-8-sig", "replace").splitlines(), start=1):
        cells = line.split()
        if not cells:
            continue
        where = f"{path}, line {number}"
        if len(cells) != 2 or not _NAME.fullmatch(cells[0]):
            raise FerError(f"{where}: {line.strip()!r} is not of the form 'train_00001.jpg 5': restore the file")
        if cells[1] not in {str(label + 1) for label in range(len(CLASSES))}:
            raise FerError(f"{where}: the label {cells[1]!r} is not in 1..{len(CLASSES)}: restore the file")
        names.append(cells[0])
        labels.append(int(cells[1]) - 1)
    if not names:
        raise FerError(f"{path} is empty: restore the label file")
    return names, labels

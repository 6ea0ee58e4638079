"""Copies of FERPlus with one label per image, derived by an undocumented rule."""

from __future__ import annotations

from pathlib import Path

from fer_core.plugin import FerError

from fer_datasets.class_folders import class_names, list_images, spellings_of, split_folders
from fer_datasets.files import safe_relative
from fer_datasets.image_files import ImageFiles
from fer_datasets.listing import child, find_base
from fer_datasets.specs.ferplus import CLASSES, SPEC
from fer_datasets.tables import integers, make_table, read_csv, require_columns

MODIFIED = "FERPlus_Label_modified.csv"
SPLITS = {"train": "train", "val": "valid", "test": "test"}


def from_class_folders(root: Path) -> ImageFiles | None:
    """`{train,valid,test}/<class>/`; None if there are no such folders.

    Raises:
        FerError: The folders are numbered: some copies use FERPlus's numbering, others AffectNet's.
    """
    base = find_base(root, lambda folder: "train" in split_folders(folder))
    if base is None:
        return None
    splits = split_folders(base)
    names = class_names(splits)
    if all(name.isdecimal() for name in names):
        raise FerError(
            f"ferplus: the class folders in {base} are numbered ({', '.join(sorted(names))}), and copies differ "
            f"in what the numbers mean: open it as dataset folder with data.options.classes={{'0': NAME, ...}}"
        )
    found = list_images(root, splits, spellings_of(CLASSES))
    table = make_table(
        [path.rpartition(".")[0] for path in found.paths],
        [CLASSES.index(label) for label in found.labels],
        [SPLITS[split] for split in found.splits],
        found.paths,
    )
    return ImageFiles(SPEC.name, CLASSES, root, table, "class folders by an unstated rule")


def from_modified(root: Path) -> ImageFiles | None:
    """`FERPlus_Image/` with `FERPlus_Label_modified.csv`; None if the file does not exist. It has no splits.

    Raises:
        FerError: Damaged file, or labels that do not show whether they start at 0 or at 1.
    """
    path, folder = root / MODIFIED, child(root, "ferplus_image")
    if not path.is_file() or folder is None:
        return None
    cells = read_csv(path)
    require_columns(cells, ("Image name", "label"), path)
    if not cells["label"]:
        raise FerError(f"{path} has a header but no rows: restore the file")
    numbers = integers(cells["label"], 0, len(CLASSES), "the label", path)
    lowest, highest = int(numbers.min()), int(numbers.max())
    if (lowest == 0) == (highest == len(CLASSES)):
        raise FerError(
            f"{path}: labels {lowest}..{highest} may count from 0 or from 1: write them so that they do either, "
            f"0..{len(CLASSES) - 1} or 1..{len(CLASSES)}, with every class present"
        )
    names = [safe_relative(name.strip(), f"{path}, row {row + 1}") for row, name in enumerate(cells["Image name"])]
    table = make_table(
        [name.rpartition(".")[0] or name for name in names],
        numbers - (lowest > 0),
        [""] * len(names),
        [f"{folder.relative_to(root).as_posix()}/{name}" for name in names],
    )
    counted = f"labels from {min(lowest, 1)}"
    return ImageFiles(SPEC.name, CLASSES, root, table, f"{MODIFIED} by an unstated rule ({counted}, no split)")

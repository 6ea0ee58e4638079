"""Reader of CAER-S."""

from __future__ import annotations

from pathlib import Path

from fer_core.plugin import Alignment, FERDataset

from fer_datasets.files import layout_error, require_folder, subfolders
from fer_datasets.image_files import ImageFiles
from fer_datasets.labels import SYNONYMS
from fer_datasets.listing import child, class_folders, find_base, stems
from fer_datasets.specs.caers import CLASSES, SPEC
from fer_datasets.tables import make_table

SPELLINGS = {spelling: name for spelling, name in SYNONYMS.items() if name in CLASSES}


def load(root: Path) -> FERDataset:
    """Read CAER-S. No image is opened.

    Args:
        root: Folder that holds `train` and `test` with a folder for each class, or the folder above it.

    Raises:
        FerError: Unknown layout, or a folder that is not a class.
    """
    require_folder(SPEC, root)
    base = find_base(root, _fits)
    if base is None:
        raise layout_error(SPEC, root, "there are no train and test with a folder for each class")
    ids: list[str] = []
    labels: list[int] = []
    splits: list[str] = []
    sources: list[str] = []
    for split in SPEC.splits:
        part = child(base, split)
        if part is None:
            raise layout_error(SPEC, base, f"the folder {split} is missing")
        for name, folder, images in class_folders(part, SPELLINGS):
            below = folder.relative_to(root).as_posix()
            ids += [f"{split}/{name}/{stem}" for stem in stems(images)]
            sources += [f"{below}/{image}" for image in images]
            labels += [CLASSES.index(name)] * len(images)
            splits += [split] * len(images)
    if not ids:
        raise layout_error(SPEC, base, "the class folders hold no images")
    dataset = ImageFiles(SPEC.name, CLASSES, root, make_table(ids, labels, splits, sources), "official")
    dataset.alignment = Alignment(kind="none")
    return dataset


def _fits(base: Path) -> bool:
    parts = [part for part in (child(base, split) for split in SPEC.splits) if part is not None]
    return any(folder.name.strip().lower() in SPELLINGS for part in parts for folder in subfolders(part))

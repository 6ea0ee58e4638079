"""Images sorted into `<split>/<class>/`, the layout of many copies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fer_datasets.files import subfolders
from fer_datasets.labels import SYNONYMS
from fer_datasets.listing import child, class_folders

PARTS = {"train": ("train",), "val": ("valid", "val", "validation"), "test": ("test",)}
"""Role of a split and the accepted names of its folder, in any case."""


@dataclass(frozen=True)
class FoundImages:
    """Images by row: path relative to the root, role of the split's folder, class name."""

    paths: list[str] = field(default_factory=list)
    splits: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)


def split_folders(base: Path) -> dict[str, Path]:
    """Role -> folder, for the split folders below `base` that contain folders."""
    found = {role: child(base, *names) for role, names in PARTS.items()}
    return {role: folder for role, folder in found.items() if folder is not None and subfolders(folder)}


def class_names(splits: Mapping[str, Path]) -> set[str]:
    """Names of all class folders, in lower case."""
    return {folder.name.strip().lower() for split in splits.values() for folder in subfolders(split)}


def list_images(root: Path, splits: Mapping[str, Path], spellings: Mapping[str, str]) -> FoundImages:
    """Every visible image in the class folders of each split, sorted by class and name; none is opened.

    Raises:
        FerError: A folder is not in `spellings` (lower-case folder name -> class), or two are the same class.
    """
    found = FoundImages()
    for role, split in splits.items():
        for label, folder, names in class_folders(split, spellings):
            below = folder.relative_to(root).as_posix()
            found.paths.extend(f"{below}/{name}" for name in names)
            found.splits.extend([role] * len(names))
            found.labels.extend([label] * len(names))
    return found


def spellings_of(classes: Sequence[str]) -> dict[str, str]:
    """Every spelling of these expressions, mapped to the expression."""
    return {name: canonical for name, canonical in SYNONYMS.items() if canonical in classes}

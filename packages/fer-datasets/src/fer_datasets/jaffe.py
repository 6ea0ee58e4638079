"""Reader of JAFFE, whose file names contain subject and expression."""

from __future__ import annotations

import re
from pathlib import Path

from fer_core.plugin import FERDataset, FerError

from fer_datasets.files import images_in, layout_error, require_folder, subfolders
from fer_datasets.image_files import ImageFiles
from fer_datasets.specs.jaffe import CLASSES, SPEC
from fer_datasets.tables import make_table

CODES = dict(zip(("AN", "DI", "FE", "HA", "NE", "SA", "SU"), CLASSES, strict=True))
DEPTH = 2
"""Depth of the search below the root: some copies are sorted into folders by class or subject."""

_NAME = re.compile(r"([A-Z]{2})[._-]([A-Z]{2})(\d)[._-](\d+)", re.IGNORECASE)


def load(root: Path) -> FERDataset:
    """Read JAFFE. No image is opened.

    Args:
        root: Folder of the images, or its parent; subfolders (by class or subject) are ignored.

    Raises:
        FerError: No image of JAFFE, an image with another form of name, or a duplicate.
    """
    require_folder(SPEC, root)
    paths = _images(root, DEPTH)
    matches = [_NAME.fullmatch(path.stem) for path in paths]
    if not any(matches):
        raise layout_error(SPEC, root, "there are no images with names such as KA.AN1.39.tiff")
    ids, labels, groups = [], [], []
    for path, match in zip(paths, matches, strict=True):
        if match is None or match[2].upper() not in CODES:
            raise FerError(
                f"jaffe: {path} is not named as KA.AN1.39.tiff (codes {', '.join(CODES)}): correct or remove it"
            )
        subject, code, repetition, number = match.groups()
        ids.append(f"{subject.upper()}.{code.upper()}{repetition}.{number}")
        labels.append(CLASSES.index(CODES[code.upper()]))
        groups.append(subject.upper())
    sources = [path.relative_to(root).as_posix() for path in paths]
    table = make_table(ids, labels, [""] * len(ids), sources, groups)
    layout = "official" if all(path.parent == root for path in paths) else "official names, in folders"
    return ImageFiles(
        SPEC.name, CLASSES, root, table, f"{layout}; {len(set(groups))} subjects, no official splits"
    )


def _images(folder: Path, depth: int) -> list[Path]:
    found = images_in(folder)
    return found + [path for inner in subfolders(folder) for path in _images(inner, depth - 1)] if depth else found

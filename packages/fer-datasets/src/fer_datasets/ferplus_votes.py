"""The label files of FERPlus: the votes, joined with the images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from fer_core.plugin import FerError
from numpy.typing import NDArray

from fer_datasets.files import images_in, layout_error, safe_relative
from fer_datasets.listing import child
from fer_datasets.pixel_rows import PixelFile, open_pixel_file
from fer_datasets.specs.fer2013 import CLASSES as EMOTIONS
from fer_datasets.specs.ferplus import CLASSES, SPEC
from fer_datasets.tables import integers, read_csv, require_columns

FOLDERS = {"train": "fer2013train", "valid": "fer2013valid", "test": "fer2013test"}
"""Split -> its folder of generated images, lower case."""
USAGES = {"Training": "train", "PublicTest": "valid", "PrivateTest": "test"}
VOTE_COLUMNS = (*CLASSES, "unknown", "NF")


@dataclass(frozen=True)
class Voted:
    """Every row of a label file.

    Attributes:
        source: `label.csv`, or `fer2013new.csv` joined by row or by name.
        layout: The same as text for the user.
        ids: Unique names.
        splits: `train`, `valid` or `test`.
        sources: Source of the pixels.
        votes: int64 [N, 10], as in the file.
        usable: bool [N], false for rows that name no image.
        emotions: int64 [N], FER2013's own labels, -1 where unknown; None without its file.
        pixels: The file of pixel rows, row i for row i; None if `sources` are image files.
    """

    source: str
    layout: str
    ids: list[str]
    splits: list[str]
    sources: list[str]
    votes: NDArray[np.int64]
    usable: NDArray[np.bool_]
    emotions: NDArray[np.int64] | None = None
    pixels: PixelFile | None = None


def find_pixels(root: Path) -> Path | None:
    """`fer2013.csv`, if it is there."""
    files = (root / "fer2013.csv", root / "fer2013" / "fer2013.csv")
    return next((path for path in files if path.is_file()), None)


def from_folders(root: Path, base: Path) -> Voted:
    """The generated folders, each with its `label.csv`."""
    ids: list[str] = []
    splits: list[str] = []
    sources: list[str] = []
    votes = []
    for split, folder in _folders(base).items():
        path = folder / "label.csv"
        if not path.is_file():
            raise layout_error(SPEC, base, f"{folder.name}/label.csv is missing")
        if not images_in(folder):
            hint = "run the authors' src/generate_training_data.py, which draws them from fer2013.csv"
            raise layout_error(SPEC, base, f"{folder.name} has labels but no images ({hint})")
        cells = read_csv(path, columns=("name", "box", *VOTE_COLUMNS))
        below = folder.relative_to(root).as_posix()
        for row, name in enumerate(cells["name"]):
            name = safe_relative(name.strip(), f"{path}, row {row + 1}")
            ids.append(name.removesuffix(".png"))
            sources.append(f"{below}/{name}")
        votes.append(_votes(cells, path))
        splits += [split] * len(votes[-1])
    usable = np.ones(len(ids), dtype=bool)
    return Voted(
        "label.csv",
        "generated images, votes of label.csv",
        ids,
        splits,
        sources,
        np.concatenate(votes),
        usable,
        _emotions_by_name(root, ids),
    )


def from_rows(root: Path, pixel_path: Path) -> Voted:
    """`fer2013new.csv` with `fer2013.csv`: row i of one matches row i of the other."""
    path, cells, pixels = _aligned(root, pixel_path)
    usages = cells["Usage"]
    below = pixel_path.relative_to(root).as_posix()
    return Voted(
        "fer2013new.csv",
        "rows of fer2013.csv, votes of fer2013new.csv",
        [f"row-{row:05d}" for row in range(len(usages))],  # names are not unique in this file, rows are
        [USAGES[usage] for usage in usages],
        [f"{below}#{row}" for row in range(len(usages))],
        _votes(cells, path),
        _named(cells),
        _emotions(pixels),
        pixels,
    )


def from_names(root: Path, base: Path) -> Voted:
    """`fer2013new.csv` with the generated images, joined by name.

    Four names occur twice; in the authors' generator the later row overwrites the image, so it is used.
    """
    path, cells = _read_new(root)
    folders = {split: folder.relative_to(root).as_posix() for split, folder in _folders(base).items()}
    splits = [USAGES[usage] for usage in cells["Usage"]]
    named = _named(cells)
    names = [
        safe_relative(name.strip(), f"{path}, row {row + 1}") if named[row] else ""
        for row, name in enumerate(cells["Image name"])
    ]
    last = {name: row for row, name in enumerate(names)}
    ids = [name.removesuffix(".png") for name in names]
    return Voted(
        "fer2013new.csv by name",
        "generated images, votes of fer2013new.csv",
        ids,
        splits,
        [f"{folders[split]}/{name}" for split, name in zip(splits, names, strict=True)],
        _votes(cells, path),
        named & np.array([last[name] == row for row, name in enumerate(names)], dtype=bool),
        _emotions_by_name(root, ids),
    )


def _aligned(root: Path, pixel_path: Path) -> tuple[Path, dict[str, list[str]], PixelFile]:
    """`fer2013new.csv` and the file of pixel rows. Raises FerError where their rows do not agree one by one."""
    path, cells = _read_new(root)
    pixels = open_pixel_file(pixel_path, ("Usage", "emotion"))
    if cells["Usage"] != pixels.cells["Usage"]:
        rows, others = len(cells["Usage"]), len(pixels.spans)
        what = f"{path} ({rows} rows) and {pixel_path} ({others} rows) do not belong together"
        raise FerError(f"{what}: their rows and Usage must agree one by one, take both from the original sources")
    return path, cells, pixels


def _emotions(pixels: PixelFile) -> NDArray[np.int64]:
    return integers(pixels.cells["emotion"], 0, len(EMOTIONS) - 1, "the emotion", pixels.path)


def _emotions_by_name(root: Path, ids: list[str]) -> NDArray[np.int64] | None:
    """FER2013's labels of images, whose names only `fer2013new.csv` knows; of two rows the later one counts."""
    pixel_path = find_pixels(root)
    if pixel_path is None or not (root / "fer2013new.csv").is_file():
        return None
    _, cells, pixels = _aligned(root, pixel_path)
    names = (name.strip().removesuffix(".png") for name in cells["Image name"])
    known = dict(zip(names, _emotions(pixels).tolist(), strict=True))
    return np.array([known.get(name, -1) if name else -1 for name in ids], dtype=np.int64)


def _folders(base: Path) -> dict[str, Path]:
    found = {split: child(base, name) for split, name in FOLDERS.items()}
    return {split: folder for split, folder in found.items() if folder is not None}


def _read_new(root: Path) -> tuple[Path, dict[str, list[str]]]:
    path = root / "fer2013new.csv"
    cells = read_csv(path)
    require_columns(cells, ("Usage", "Image name", *VOTE_COLUMNS), path)
    unknown = set(cells["Usage"]) - set(USAGES)
    if unknown:
        raise FerError(f"{path}: Usage {min(unknown)!r} is not one of {', '.join(USAGES)}: restore the file")
    return path, cells


def _named(cells: dict[str, list[str]]) -> NDArray[np.bool_]:
    return np.array([bool(name.strip()) for name in cells["Image name"]], dtype=bool)


def _votes(cells: dict[str, list[str]], path: Path) -> NDArray[np.int64]:
    columns = [integers(cells[name], 0, 10, f"the votes for {name}", path) for name in VOTE_COLUMNS]
    return np.stack(columns, axis=1)

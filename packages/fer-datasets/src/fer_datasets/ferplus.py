"""Reader of FERPlus: generated folders with `label.csv`, or `fer2013new.csv` beside `fer2013.csv`.

The two sets of labels are not interchangeable: 1,602 images have other votes in `label.csv`. The figures that
papers quote (25,045 / 3,191 / 3,137) come from `label.csv`, so the folders win where both are present.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from fer_core.errors import FerError, nearest
from fer_core.types import FERDataset
from numpy.typing import NDArray

from fer_datasets.files import images_in, layout_error, require_folder, safe_relative
from fer_datasets.image_files import ImageFiles
from fer_datasets.pixel_rows import PixelRows, open_pixel_file
from fer_datasets.specs.ferplus import CLASSES, SPEC
from fer_datasets.tables import integers, make_table, read_csv, require_columns
from fer_datasets.votes import EMOTIONS, majority, remove_outliers

FOLDERS = {"train": "FER2013Train", "valid": "FER2013Valid", "test": "FER2013Test"}
USAGES = {"Training": "train", "PublicTest": "valid", "PrivateTest": "test"}
VOTE_COLUMNS = (*CLASSES, "unknown", "NF")
MODES = ("majority",)


def load(root: Path, *, mode: str = "majority") -> FERDataset:
    """Read FERPlus.

    Args:
        root: Folder that holds `FER2013Train`, `FER2013Valid`, `FER2013Test`, or `data/` with these, or the
            two csv files.
        mode: Rule from votes to labels; `majority` drops images without an absolute majority.

    Returns:
        Dataset with the columns `votes_<class>`: counts without single votes, not normalised.

    Raises:
        FerError: Unknown mode, unknown layout, or a damaged label file.
    """
    if mode not in MODES:
        raise FerError(f"ferplus: there is no mode {mode!r}: {nearest(mode, MODES)}")
    require_folder(SPEC, root)
    for base in (root, root / "data"):
        present = [folder for folder in FOLDERS.values() if (base / folder).is_dir()]
        if present:
            missing = [folder for folder in FOLDERS.values() if folder not in present]
            if missing:
                raise layout_error(SPEC, base, f"{' and '.join(missing)} missing beside {' and '.join(present)}")
            return _from_folders(root, base)
    if (root / "fer2013new.csv").is_file():
        return _from_csv(root)
    raise layout_error(SPEC, root, "neither FER2013Train, FER2013Valid, FER2013Test nor fer2013new.csv stand")


def _from_folders(root: Path, base: Path) -> FERDataset:
    ids: list[str] = []
    splits: list[str] = []
    sources: list[str] = []
    votes = []
    for split, folder in FOLDERS.items():
        path = base / folder / "label.csv"
        if not path.is_file():
            raise layout_error(SPEC, base, f"{folder}/label.csv is missing")
        if not images_in(base / folder):
            hint = "run the authors' src/generate_training_data.py, which draws them from fer2013.csv"
            raise layout_error(SPEC, base, f"{folder} has labels but no images ({hint})")
        cells = read_csv(path, columns=("name", "box", *VOTE_COLUMNS))
        for row, name in enumerate(cells["name"]):
            name = safe_relative(name, f"{path}, row {row + 1}")
            ids.append(name.removesuffix(".png"))
            sources.append((base / folder / name).relative_to(root).as_posix())
        votes.append(_votes(cells, path))
        splits += [split] * len(votes[-1])
    counts = np.concatenate(votes)
    labels = majority(counts)
    keep = np.flatnonzero(labels >= 0)
    table = _table(keep, ids, labels, splits, sources, counts)
    return ImageFiles(SPEC.name, CLASSES, root, table)


def _from_csv(root: Path) -> FERDataset:
    path, pixel_path = root / "fer2013new.csv", root / "fer2013.csv"
    if not pixel_path.is_file():
        raise layout_error(SPEC, root, "fer2013.csv, which holds the images, is missing beside fer2013new.csv")
    cells = read_csv(path)
    require_columns(cells, ("Usage", "Image name", *VOTE_COLUMNS), path)
    pixels = open_pixel_file(pixel_path, ("Usage",))
    usages = cells["Usage"]
    if usages != pixels.cells["Usage"]:
        what = f"{path} ({len(usages)} rows) and {pixel_path} ({len(pixels.spans)} rows) do not belong together"
        raise FerError(f"{what}: their rows and Usage must agree one by one, take both from the original sources")
    unknown = set(usages) - set(USAGES)
    if unknown:
        raise FerError(f"{path}: Usage {min(unknown)!r} is none of {', '.join(USAGES)}: restore the file")
    counts = _votes(cells, path)
    labels = majority(counts)
    named = np.array([bool(name.strip()) for name in cells["Image name"]], dtype=bool)
    keep = np.flatnonzero((labels >= 0) & named)
    ids = [f"row-{row:05d}" for row in range(len(counts))]  # names repeat in this file, rows do not
    splits = [USAGES[usage] for usage in usages]
    table = _table(keep, ids, labels, splits, [f"fer2013.csv#{row}" for row in range(len(counts))], counts)
    return PixelRows(SPEC.name, CLASSES, pixels, keep, table)


def _votes(cells: dict[str, list[str]], path: Path) -> NDArray[np.int64]:
    columns = [integers(cells[name], 0, 10, f"the votes for {name}", path) for name in VOTE_COLUMNS]
    return np.stack(columns, axis=1)


def _table(
    keep: NDArray[np.int64],
    ids: list[str],
    labels: NDArray[np.int64],
    splits: list[str],
    sources: list[str],
    counts: NDArray[np.int64],
) -> pd.DataFrame:
    if not len(keep):
        raise FerError("ferplus: no image has a majority for an emotion: are these the original label files?")
    rows = keep.tolist()
    table = make_table(
        [ids[row] for row in rows], labels[keep], [splits[row] for row in rows], [sources[row] for row in rows]
    )
    kept = remove_outliers(counts[keep])
    for column in range(EMOTIONS):
        table[f"votes_{CLASSES[column]}"] = kept[:, column]
    return table

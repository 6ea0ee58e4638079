"""Reader of ExpW: boxes in photographs, or images of aligned faces.

Labels belong to faces, not to photographs: one may show several people with different expressions.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from fer_core.plugin import Alignment, FERDataset, FerError, image_names, nearest
from numpy.typing import NDArray

from fer_datasets.face_boxes import BOX, FaceBoxes, enlarge
from fer_datasets.files import layout_error, require_folder, require_text, subfolders, visible
from fer_datasets.image_files import ImageFiles
from fer_datasets.listing import child, find_base, safe_paths
from fer_datasets.specs.expw import CLASSES, SPEC
from fer_datasets.tables import make_table

LABELS = "label.lst"
# The order in the file: not left, top, right, bottom.
COLUMNS = ("image", "face", "top", "left", "right", "bottom", "confidence", "label")
IMAGES = ("origin", "aligned")
SHARED = ("drop", "keep")


def load(root: Path, *, images: str | None = None, crop: float = 1.0, shared: str = "drop") -> FERDataset:
    """Read ExpW. Only the label file is opened, no image.

    Args:
        root: Folder with `label/label.lst` and `image/origin` or `aligned_image`, or its parent.
        images: `origin`: faces are cropped from photographs. `aligned`: images of one face each, named like
            the photograph. None: `origin` if present.
        crop: Side of a square around the box's centre, as a multiple of the box; 1 is the box itself.
        shared: What to do if several faces share one aligned image, which shows only one of them: `drop` all of
            them, or `keep` the image with each label, as some published readers do.

    Raises:
        FerError: Unknown layout or option, or a damaged label file.
    """
    if images is not None and images not in IMAGES:
        raise FerError(f"expw: there are no images {images!r}: {nearest(images, IMAGES)}")
    if shared not in SHARED:
        raise FerError(f"expw: shared cannot be {shared!r}: {nearest(str(shared), SHARED)}")
    if isinstance(crop, bool) or not isinstance(crop, int | float) or not 0 < crop <= 10:
        raise FerError(f"expw: crop cannot be {crop!r}: give a factor above 0 and at most 10, such as 1.3")
    require_folder(SPEC, root)
    base = find_base(root, lambda folder: _label_file(folder) is not None)
    labels = None if base is None else _label_file(base)
    if base is None or labels is None:
        raise layout_error(SPEC, root, f"the label file label/{LABELS} is missing")
    folders = _image_folders(base)
    wanted = images or next((kind for kind in IMAGES if kind in folders), None)
    if wanted is None or wanted not in folders:
        raise layout_error(SPEC, base, _missing(base, wanted))
    table = _table(_read_labels(labels), folders[wanted].relative_to(root).as_posix(), float(crop))
    if wanted == "origin":
        pictures = table["source"].nunique()
        layout = f"official ({len(table):,} faces in {pictures:,} photographs, crop {crop:g}, no official split)"
        dataset = FaceBoxes(SPEC.name, CLASSES, root, table, layout)
        # At 1 the crop is the box itself, which is not square.
        dataset.alignment = None if crop == 1 else Alignment(kind="box", margin=round(crop - 1, 6))
        return dataset
    if crop != 1:
        raise FerError(f"expw: crop {crop:g} needs whole photographs: leave it at 1 for aligned images")
    return _aligned(root, table, folders[wanted], shared)


def _label_file(base: Path) -> Path | None:
    folder = child(base, "label", "labels")
    for place in (base,) if folder is None else (folder, base):
        if (place / LABELS).is_file():
            return place / LABELS
    return None


def _image_folders(base: Path) -> dict[str, Path]:
    """Folder of each kind of images that exists."""
    inner = child(base, "image", "images")
    places = (base,) if inner is None else (inner, base)
    names = {"origin": ("origin", "original"), "aligned": ("aligned_image", "aligned_images", "aligned")}
    found: dict[str, Path] = {}
    for kind, spellings in names.items():
        folder = next((path for path in (child(place, *spellings) for place in places) if path), None)
        if folder is not None:
            found[kind] = folder
    return found


def _missing(base: Path, wanted: str | None) -> str:
    for place in (base, *subfolders(base)):
        archives = [path.name for path in visible(place) if ".7z" in path.name.lower() and path.is_file()]
        if archives and wanted != "aligned":
            how = "unpack the first part with 7z, which joins the others"
            return f"the photographs are still packed ({archives[0]}...): {how}"
    folder = {"origin": "image/origin", "aligned": "aligned_image"}.get(
        wanted or "", "image/origin or aligned_image"
    )
    return f"the labels are there, but the folder {folder} is missing"


def _read_labels(path: Path) -> pd.DataFrame:
    """Columns `COLUMNS` without the confidence, with validated numbers."""
    require_text(path)
    lines = pd.Series(path.read_bytes().decode("utf-8-sig", "replace").splitlines(), dtype=object)
    lines.index += 1
    lines = lines[lines.str.strip() != ""]
    # From the right: file names may contain blanks, numbers do not.
    parts = [line.rsplit(None, len(COLUMNS) - 1) for line in lines]
    short = next((place for place, cells in enumerate(parts) if len(cells) != len(COLUMNS)), None)
    if short is not None:
        form = "'angry_actor_104.jpg 0 28 113 226 141 22.9362 0'"
        where = f"{path}, line {lines.index[short]}"
        raise FerError(f"{where}: {lines.iloc[short].strip()!r} is not of the form {form}: restore the file")
    if not parts:
        raise FerError(f"{path} is empty: restore the label file")
    cells = pd.DataFrame(parts, columns=list(COLUMNS), index=lines.index)
    cells["image"] = safe_paths(cells["image"].str.strip(), str(path))
    for name in COLUMNS[2:]:
        cells[name] = pd.to_numeric(cells[name], errors="coerce")
    numbers = np.abs(cells[list(COLUMNS[2:])].to_numpy(dtype=np.float64))
    _refuse(cells, ~(numbers < 2**31).all(axis=1), path, "a cell is not a number, or is too large for an image")
    outside = ~cells["label"].isin(range(len(CLASSES)))
    _refuse(cells, outside.to_numpy(), path, f"the label is not in 0..{len(CLASSES) - 1}")
    flat = (cells["right"] <= cells["left"]) | (cells["bottom"] <= cells["top"])
    _refuse(cells, flat.to_numpy(), path, "the box has no area (the order is top, left, right, bottom)")
    return cells.reset_index(drop=True)


def _refuse(cells: pd.DataFrame, wrong: NDArray[np.bool_], path: Path, what: str) -> None:
    if wrong.any():
        row = cells[wrong].iloc[0]
        raise FerError(f"{path}, line {row.name} ({row['image']}, face {row['face']}): {what}: correct the line")


def _table(cells: pd.DataFrame, below: str, crop: float) -> pd.DataFrame:
    ids = (cells["image"] + "#" + cells["face"]).tolist()
    names = cells["image"].tolist()
    table = make_table(
        ids,
        cells["label"].to_numpy(dtype=np.int64),
        [""] * len(ids),
        [f"{below}/{name}" for name in names],
        names,
    )
    boxes = cells[["left", "top", "right", "bottom"]].to_numpy(dtype=np.float64)
    table[list(BOX)] = enlarge(boxes, crop)
    return table


def _aligned(root: Path, table: pd.DataFrame, folder: Path, shared: str) -> FERDataset:
    there = table["group"].isin(set(image_names(folder)))
    several = table["group"].duplicated(keep=False)
    kept = there & ~several if shared == "drop" else there
    if not kept.any():
        raise layout_error(SPEC, root, f"no image in {folder.name} has a name of the label file")
    notes = [f"{int((~there).sum()):,} faces without an image left out"] if not there.all() else []
    ambiguous = int((there & several).sum())
    if ambiguous:
        done = "left out" if shared == "drop" else "kept, though it shows one of them"
        notes.append(f"{ambiguous:,} faces that share an image {done}")
    chosen = table[kept].drop(columns=list(BOX)).reset_index(drop=True)
    layout = "; ".join([f"aligned ({len(chosen):,} faces, no official split)", *notes])
    dataset = ImageFiles(SPEC.name, CLASSES, root, chosen, layout)
    dataset.expected_counts = {}
    return dataset

"""AffectNet's labels in text files: the older release, POSTER's lists, and the cache that DAN's code writes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from fer_core.plugin import FerError

from fer_datasets.files import layout_error, require_text
from fer_datasets.listing import child, safe_paths
from fer_datasets.specs.affectnet import SPEC

FULL_COLUMNS = (
    "subDirectory_filePath",
    "face_x",
    "face_y",
    "face_width",
    "face_height",
    "facial_landmarks",
    "expression",
    "valence",
    "arousal",
)
"""Columns of the older release, for copies without a header."""
FULL_FILES = {"train": "training.csv", "val": "validation.csv"}
IMAGES = ("manually_annotated_images", "manually_annotated", "images")


def read_full(base: Path) -> tuple[pd.DataFrame, str]:
    """`training.csv` and `validation.csv`: columns id, label 0..10, split, source, and a note."""
    lists = child(base, "manually_annotated_file_lists") or base
    images = child(base, *IMAGES) or base
    images = child(images, *IMAGES) or images
    below = "" if images == base else f"{images.relative_to(base).as_posix()}/"
    frames = []
    for split, name in FULL_FILES.items():
        path = lists / name
        if not path.is_file():
            continue
        bare = not _first_line(path).startswith(FULL_COLUMNS[0])
        wanted = [FULL_COLUMNS[0], "expression"]
        cells = _read_csv(path, wanted, names=FULL_COLUMNS if bare else None)
        paths = safe_paths(cells[wanted[0]].str.strip(), str(path))
        frames.append(_frame(split, paths, cells["expression"], below + paths, path))
    if not frames:
        raise layout_error(SPEC, base, f"{lists.relative_to(base)} holds neither training.csv nor validation.csv")
    return pd.concat(frames, ignore_index=True), ""


def read_lists(base: Path, parts: Mapping[str, Path]) -> tuple[pd.DataFrame, str]:
    """`train_set/train_annotations_8class.txt` etc., one "name label" per line; the longest list is read."""
    frames, names = [], []
    for split, part in parts.items():
        found = sorted(part.glob("*annotations*.txt"), key=lambda path: (-path.stat().st_size, path.name))
        if not found:
            raise layout_error(SPEC, base, f"{part.relative_to(base)} holds no list of labels (*annotations*.txt)")
        path = found[0]
        lines = pd.Series(_text(path).splitlines(), dtype=str).str.strip()
        lines = lines[lines != ""]
        if not len(lines):
            raise FerError(f"{path} is empty: restore the list of labels")
        cells = lines.str.rsplit(n=1, expand=True).reindex(columns=[0, 1])
        if cells[1].isna().any():
            row = int(cells.index[cells[1].isna()][0])
            raise FerError(
                f"{path}, line {row + 1}: {lines[row]!r} is not of the form '0.jpg 1': restore the file"
            )
        files = safe_paths(cells[0], str(path))
        below = (child(part, "images") or part).relative_to(base).as_posix()
        frames.append(_frame(split, files, cells[1], below + "/" + files, path))
        names.append(path.name)
    return pd.concat(frames, ignore_index=True), f" ({', '.join(names)})"


def read_cache(base: Path) -> tuple[pd.DataFrame, str]:
    """`affectnet.csv`. Its paths begin with a folder of its author: the part before the split is removed."""
    path = base / "affectnet.csv"
    cells = _read_csv(path, ["phase", "img_path", "label"])
    if not len(cells):
        raise FerError(f"{path} has a header but no rows: restore the file")
    phases = cells["phase"].str.strip()
    unknown = ~phases.isin(SPEC.splits)
    if unknown.any():
        raise FerError(f"{path}: the phase {phases[unknown].iloc[0]!r} is neither train nor val: restore the file")
    paths = cells["img_path"].str.strip().str.replace("\\", "/").str.replace("//", "/")
    paths = safe_paths(paths.str.replace(r"^.*/(?=(?:train|val)_set/)", "", regex=True), str(path))
    frames = [
        _frame(split, names.str.rpartition("/")[2], cells["label"][names.index], names, path)
        for split, names in paths.groupby(phases, sort=False)
    ]
    return pd.concat(frames).sort_index(), ""


def _frame(split: str, names: pd.Series, labels: pd.Series, sources: pd.Series, path: Path) -> pd.DataFrame:
    numbers = pd.to_numeric(labels.str.strip(), errors="coerce")
    wrong = ~(numbers.abs() < 2**31) | (numbers != numbers.round())  # the first is also true for nan and inf
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise FerError(
            f"{path}, row {row + 1}: the label {labels.iloc[row]!r} is not a whole number: restore the file"
        )
    ids = split + "/" + names.str.replace(r"\.[^./]*$", "", regex=True)
    return pd.DataFrame({"id": ids, "label": numbers.astype("int64"), "split": split, "source": sources})


def _read_csv(path: Path, wanted: list[str], names: tuple[str, ...] | None = None) -> pd.DataFrame:
    require_text(path)
    try:
        table = pd.read_csv(
            path,
            names=list(names) if names else None,
            header=None if names else 0,
            dtype=str,
            keep_default_na=False,
            encoding="utf-8-sig",
            usecols=lambda name: name.strip() in wanted,
        )
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise FerError(f"cannot read the label file {path}: {reason}: restore the file") from error
    table = table.rename(columns=str.strip)
    missing = [name for name in wanted if name not in table]
    if missing:
        raise FerError(f"{path} lacks the column {', '.join(missing)}: is it the right file?")
    return table


def _first_line(path: Path) -> str:
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        return file.readline(1000).strip().strip('"')


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise FerError(f"cannot read the label file {path}: {error}: it should be text in UTF-8") from error

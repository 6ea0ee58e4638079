"""Reader of AffectNet: the public release with `.npy` labels, the older full release, and three derived copies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
from fer_core.plugin import FERDataset, FerError, image_names

from fer_datasets.affectnet_lists import read_cache, read_full, read_lists
from fer_datasets.files import layout_error, require_folder, subfolders
from fer_datasets.image_files import ImageFiles
from fer_datasets.labels import SYNONYMS
from fer_datasets.listing import child, class_folders, file_names, find_base, stems
from fer_datasets.npy_labels import read_npy_labels
from fer_datasets.specs.affectnet import CLASSES, SPEC
from fer_datasets.tables import make_table

SPLITS = {"train": ("train_set", "train"), "val": ("val_set", "valid_set", "val", "valid", "validation")}
"""Folder names of each split."""
LABEL = "_exp.npy"
FULL_LABELS = 11
"""The older release also has 8 (none), 9 (uncertain) and 10 (no face)."""
SPELLINGS = SYNONYMS | {str(number): name for number, name in enumerate(CLASSES)}

Frame = pd.DataFrame
"""Columns id, label (as numbered in the file), split, source (relative to the base)."""


def load(root: Path, *, classes: int = 8) -> FERDataset:
    """Read AffectNet. No image is opened.

    Args:
        root: Folder in one of the layouts of the spec, or the folder above it.
        classes: 8, or 7 without contempt.

    Raises:
        FerError: Unknown layout or number of classes, or damaged labels.
    """
    if classes not in (7, 8):
        raise FerError(f"affectnet: there are no {classes} classes: give 8, or 7 to leave contempt out")
    require_folder(SPEC, root)
    for name, fits, read in LAYOUTS:
        base = find_base(root, fits)
        if base is not None:
            frame, remark = read(base)
            return _dataset(root, base, frame, classes, name, remark)
    raise layout_error(SPEC, root, _missing(root))


def _dataset(root: Path, base: Path, frame: Frame, classes: int, layout: str, remark: str) -> FERDataset:
    if not len(frame):
        raise layout_error(SPEC, base, f"the layout {layout!r} is there, but lists no images")
    last = FULL_LABELS if layout == "full" else len(CLASSES)
    wrong = frame[(frame["label"] < 0) | (frame["label"] >= last)]
    if len(wrong):
        found = f"{wrong['id'].iloc[0]!r} has the label {wrong['label'].iloc[0]}"
        raise FerError(f"affectnet: {len(wrong)} labels are not in 0..{last - 1}, {found}: restore the labels")
    said = [f"{layout}{remark}"]
    for what, left_out in (
        ("without an expression (labels 8 to 10)", frame["label"] >= len(CLASSES)),
        ("of contempt", frame["label"] == 7 if classes == 7 else frame["label"] < 0),
    ):
        if left_out.any():
            said.append(f"{int(left_out.sum()):,} images {what} left out")
            frame = frame[~left_out.reindex(frame.index)]
    if layout == "lists" and classes == 8 and not (frame["label"] == 7).any():
        hint = "give -o data.options.classes=7"
        raise FerError(f"affectnet: the lists in {base} hold seven classes, contempt is absent: {hint}")
    below = base.relative_to(root).as_posix()
    sources = frame["source"] if below == "." else below + "/" + frame["source"]
    table = make_table(frame["id"].tolist(), frame["label"].to_numpy(), frame["split"].tolist(), sources.tolist())
    dataset = ImageFiles(SPEC.name, CLASSES[:classes], root, table, "; ".join(said))
    # In the public release one face of contempt is missing.
    known = CLASSES[: 7 if layout == "full" else classes]
    dataset.expected_counts = {
        split: {
            name: count
            for name, count in counts.items()
            if name in CLASSES[:classes] and (name in known or split == "train")
        }
        for split, counts in SPEC.expected_counts.items()
    }
    return dataset


def _parts(base: Path) -> dict[str, Path]:
    """Folder of each split that exists."""
    found = {split: child(base, *names) for split, names in SPLITS.items()}
    return {split: folder for split, folder in found.items() if folder is not None}


def _is_release(base: Path) -> bool:
    return any(child(part, "annotations") is not None for part in _parts(base).values())


def _read_release(base: Path) -> tuple[Frame, str]:
    frames, unlabelled, unread = [], 0, []
    for split, part in _parts(base).items():
        annotations, images = child(part, "annotations"), child(part, "images")
        if annotations is None or images is None:
            missing = "annotations" if annotations is None else "images"
            raise layout_error(SPEC, base, f"{part.relative_to(base)}/{missing} is missing")
        labels = [name for name in file_names(annotations) if name.endswith(LABEL)]
        if not labels:
            raise layout_error(SPEC, base, f"{annotations.relative_to(base)} holds no *{LABEL}")
        files = image_names(images)
        by_stem = dict(zip(stems(files), files, strict=True))
        samples = [name.removesuffix(LABEL) for name in labels]
        unlabelled += len(by_stem.keys() - set(samples))
        unread += [sample for sample in samples if sample not in by_stem]
        below = images.relative_to(base).as_posix()
        frames.append(
            pd.DataFrame(
                {
                    "id": [f"{split}/{sample}" for sample in samples],
                    "label": read_npy_labels(annotations, labels),
                    "split": split,
                    "source": [f"{below}/{by_stem.get(sample, sample + '.jpg')}" for sample in samples],
                }
            )
        )
    remarks = [f"; {unlabelled:,} images without a label left out"] if unlabelled else []
    if unread:
        remarks.append(f"; {len(unread):,} labels without an image, first {unread[0]}")
    return pd.concat(frames, ignore_index=True), "".join(remarks)


def _is_folders(base: Path) -> bool:
    return any(
        folder.name.strip().lower() in SPELLINGS for part in _parts(base).values() for folder in subfolders(part)
    )


def _read_folders(base: Path) -> tuple[Frame, str]:
    frames = []
    for split, part in _parts(base).items():
        for name, folder, images in class_folders(part, SPELLINGS):
            below = folder.relative_to(base).as_posix()
            frames.append(
                pd.DataFrame(
                    {
                        "id": [f"{split}/{name}/{stem}" for stem in stems(images)],
                        "label": CLASSES.index(name),
                        "split": split,
                        "source": [f"{below}/{image}" for image in images],
                    }
                )
            )
    return pd.concat(frames, ignore_index=True), ""


def _is_full(base: Path) -> bool:
    return (base / "training.csv").is_file() or (base / "Manually_Annotated_file_lists").is_dir()


def _is_lists(base: Path) -> bool:
    return any(any(part.glob("*annotations*.txt")) for part in _parts(base).values())


def _is_cache(base: Path) -> bool:
    return (base / "affectnet.csv").is_file()


def _missing(root: Path) -> str:
    parts = _parts(root)
    if parts:
        held = ", ".join(folder.name for folder in parts.values())
        return f"{held} hold neither annotations, nor a list of labels, nor class folders"
    return "neither train_set with annotations, training.csv, class folders, nor affectnet.csv stand"


LAYOUTS: tuple[tuple[str, Callable[[Path], bool], Callable[[Path], tuple[Frame, str]]], ...] = (
    ("release", _is_release, _read_release),
    ("full", _is_full, read_full),
    ("class folders", _is_folders, _read_folders),
    ("lists", _is_lists, lambda base: read_lists(base, _parts(base))),
    ("affectnet.csv", _is_cache, read_cache),
)
"""In the order of the search: originals before the copies derived from them."""

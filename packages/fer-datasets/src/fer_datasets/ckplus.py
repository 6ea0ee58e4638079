"""Reader of CK+: the official sequences, of which single frames are used, or copies of such frames.

Frames of one sequence are nearly identical, so splits are by subject; copies without subjects have no folds.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from fer_core.plugin import FERDataset, FerError, image_names, nearest

from fer_datasets.ckplus_tree import IMAGE_FOLDERS, LABEL_FOLDERS, frame_parts, read_sequences, subject_tree
from fer_datasets.files import layout_error, require_folder, subfolders
from fer_datasets.image_files import ImageFiles
from fer_datasets.labels import SYNONYMS
from fer_datasets.listing import child, class_folders, find_base, stems
from fer_datasets.named_csv import read_named_csv
from fer_datasets.pixel_rows import PixelRows, open_pixel_file
from fer_datasets.specs.ckplus import ALL_SEQUENCES, NUMBERED, SEQUENCES, SPEC, expected
from fer_datasets.tables import integers, make_table

PIXELS = "ckextended.csv"
PIXEL_ORDER = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral", "contempt")
CSV, CSV_IMAGES = "ckplus_labels.csv", "ckplus_images"
PEAKS = {name: SYNONYMS[name] for name in SYNONYMS if SYNONYMS[name] in SEQUENCES}
"""Spellings of the folders of CK+48."""


@dataclass(frozen=True)
class _Stills:
    """Which frames of a sequence are samples: the last `peaks`, and the first one of `neutral` sequences."""

    name: str
    peaks: int
    neutral: str = ""


FRAMES = {
    stills.name: stills
    for stills in (
        _Stills("last", 1),
        _Stills("last3", 3),
        _Stills("last+neutral", 1, "labelled"),
        _Stills("last3+neutral", 3, "labelled"),
        _Stills("last+all-neutral", 1, "all"),
        _Stills("last3+all-neutral", 3, "all"),
    )
}


def load(root: Path, *, frames: str | None = None, contempt: bool = True) -> FERDataset:
    """Read CK+. No image is opened.

    Args:
        root: Folder of one of the layouts, or the folder above it.
        frames: Frames to use: the `last` frame of each labelled sequence or the `last3`; `+neutral` adds the
            first frame of these sequences, `+all-neutral` that of all 593. None: `last3`, or what a copy
            contains.
        contempt: False excludes the 18 sequences of contempt.

    Raises:
        FerError: Unknown layout or option, frames that a copy does not contain, or damaged data.
    """
    if frames is not None and frames not in FRAMES:
        raise FerError(f"ckplus: there are no frames {frames!r}: {nearest(str(frames), FRAMES)}")
    if not isinstance(contempt, bool):
        raise FerError(f"ckplus: contempt cannot be {contempt!r}: give true or false")
    require_folder(SPEC, root)
    for fits, read in (
        (_is_official, _from_tree),
        (_is_ck48, _from_ck48),
        (lambda base: (base / PIXELS).is_file(), _from_pixels),
        (lambda base: (base / CSV).is_file(), _from_csv),
    ):
        base = find_base(root, fits) or next(
            (found for inner in subfolders(root) if (found := find_base(inner, fits))), None
        )
        if base is not None:
            return read(root, base, frames, contempt)
    raise layout_error(
        SPEC, root, f"no cohn-kanade-images, no folders of CK+48, no {PIXELS} and no {CSV} are there"
    )


def _is_official(base: Path) -> bool:
    return subject_tree(base, IMAGE_FOLDERS) is not None


def _is_ck48(base: Path) -> bool:
    for folder in subfolders(base):
        if folder.name.strip().lower() in PEAKS:
            images = image_names(folder)
            return bool(images) and frame_parts(Path(images[0]).stem) is not None
    return False


def _classes(contempt: bool, neutral: bool) -> tuple[str, ...]:
    there = {"neutral": neutral, "contempt": contempt}
    return tuple(name for name in NUMBERED if there.get(name, True))


def _from_tree(root: Path, base: Path, frames: str | None, contempt: bool) -> FERDataset:
    images, labels = subject_tree(base, IMAGE_FOLDERS), subject_tree(base, LABEL_FOLDERS)
    if images is None or labels is None:
        raise layout_error(SPEC, base, "the images are there, but the folder Emotion with the labels is missing")
    stills = FRAMES[frames or "last3"]
    classes = _classes(contempt, bool(stills.neutral))
    files: list[Path] = []
    names: list[str] = []
    subjects: list[str] = []
    sequences = read_sequences(images, labels)
    for sequence in sequences:
        expression = "" if sequence.label is None else NUMBERED[sequence.label]
        if expression == "contempt" and not contempt:
            continue
        first = bool(stills.neutral and (expression or stills.neutral == "all"))
        needed = stills.peaks * bool(expression) + first
        if len(sequence.frames) < needed:
            have = (
                f"{sequence.folder} holds {len(sequence.frames)} frames, and frames={stills.name} needs {needed}"
            )
            raise FerError(f"ckplus: {have}: unpack all images")
        chosen = sequence.frames[-stills.peaks :] if expression else []
        files += [sequence.folder / name for name in [*sequence.frames[:first], *chosen]]
        names += ["neutral"] * first + [expression] * len(chosen)
        subjects += [sequence.subject] * (first + len(chosen))
    if not any(sequence.label for sequence in sequences):
        raise layout_error(SPEC, base, f"{labels.relative_to(base)} holds no label file")
    ids = [path.stem for path in files]
    sources = [path.relative_to(root).as_posix() for path in files]
    table = make_table(ids, [classes.index(name) for name in names], [""] * len(ids), sources, subjects)
    labelled = sum(sequence.label is not None for sequence in sequences)
    layout = (
        f"official ({labelled} labelled of {len(sequences)} sequences, {len(set(subjects))} subjects used, "
        f"frames {stills.name}{'' if contempt else ', without contempt'}, no official split)"
    )
    dataset = ImageFiles(SPEC.name, classes, root, table, layout)
    without = 0 if contempt else SEQUENCES["contempt"]
    total = ALL_SEQUENCES if stills.neutral == "all" else sum(SEQUENCES.values())
    dataset.expected_counts = expected(stills.peaks, total - without, classes)
    return dataset


def _from_ck48(root: Path, base: Path, frames: str | None, contempt: bool) -> FERDataset:
    stills = _offered("CK+48", frames, ("last3", "last"))
    classes = _classes(contempt, neutral=False)
    found: dict[tuple[str, str], list[tuple[int, str, str]]] = {}
    expressions: dict[tuple[str, str], str] = {}
    for name, folder, images in class_folders(base, PEAKS):
        if name not in classes:
            continue
        for image in images:
            parts = frame_parts(Path(image).stem)
            if parts is None:
                raise FerError(f"ckplus: {folder / image} is not named like S010_004_00000017.png: move it away")
            if expressions.setdefault(parts[:2], name) != name:
                both = f"{expressions[parts[:2]]} and {name}"
                raise FerError(f"ckplus: the sequence of {folder / image} is labelled {both}: restore the copy")
            source = (folder / image).relative_to(root).as_posix()
            found.setdefault(parts[:2], []).append((parts[2], Path(image).stem, source))
    rows = [(key, frame) for key in sorted(found) for frame in sorted(found[key])[-stills.peaks :]]
    table = make_table(
        [frame[1] for _, frame in rows],
        [classes.index(expressions[key]) for key, _ in rows],
        [""] * len(rows),
        [frame[2] for _, frame in rows],
        [key[0] for key, _ in rows],
    )
    subjects = len({key[0] for key in found})
    layout = f"CK+48 ({len(found)} sequences, {subjects} subjects, frames {stills.name}, no official split)"
    dataset = ImageFiles(SPEC.name, classes, root, table, layout)
    dataset.expected_counts = expected(stills.peaks, 0, classes)
    return dataset


def _from_pixels(root: Path, base: Path, frames: str | None, contempt: bool) -> FERDataset:
    stills = _offered(PIXELS, frames, ("last+all-neutral", "last"))
    path = base / PIXELS
    pixels = open_pixel_file(path, ("emotion", "Usage"))
    numbers = integers(pixels.cells["emotion"], 0, len(PIXEL_ORDER) - 1, "the emotion", path)
    usages = pixels.cells["Usage"]
    for row, usage in enumerate(usages):
        if usage not in SPEC.splits:
            raise FerError(f"{path}, row {row + 1}: there is no Usage {usage!r}: {nearest(usage, SPEC.splits)}")
    classes = _classes(contempt, bool(stills.neutral))
    labels = np.array([classes.index(name) if name in classes else -1 for name in PIXEL_ORDER])[numbers]
    kept = np.flatnonzero(labels >= 0)
    if not len(kept):
        raise FerError(f"{path} holds no row of {', '.join(classes)}: restore the file")
    source = path.relative_to(root).as_posix()
    rows = kept.tolist()
    table = make_table(
        [f"row-{row:05d}" for row in rows],
        labels[kept],
        [usages[row] for row in rows],
        [f"{source}#{row}" for row in rows],
    )
    layout = f"{PIXELS} ({len(rows)} frames, subjects unknown; Usage is a random division, not one by subject)"
    dataset = PixelRows(SPEC.name, classes, pixels, kept, table, layout)
    dataset.expected_counts = {}
    dataset.refused = _refused(PIXELS)
    return dataset


def _from_csv(root: Path, base: Path, frames: str | None, contempt: bool) -> FERDataset:
    _offered(CSV, frames, ("last3",))
    folder = child(base, CSV_IMAGES)
    if folder is None:
        raise layout_error(SPEC, base, f"{CSV} is there, but the folder {CSV_IMAGES} is missing")
    everything = _classes(contempt=True, neutral=False)
    names, labels, _ = read_named_csv(base / CSV, everything)
    classes = _classes(contempt, neutral=False)
    rows = [row for row, label in enumerate(labels.tolist()) if everything[label] in classes]
    ids = stems(names)
    below = folder.relative_to(root).as_posix()
    table = make_table(
        [ids[row] for row in rows],
        [classes.index(everything[labels[row]]) for row in rows],
        [""] * len(rows),
        [f"{below}/{names[row]}" for row in rows],
    )
    layout = f"csv ({len(rows)} frames, subjects unknown: any split has nearly equal frames on both sides)"
    dataset = ImageFiles(SPEC.name, classes, root, table, layout)
    dataset.expected_counts = expected(3, 0, classes)
    dataset.refused = _refused(CSV)
    return dataset


def _offered(copy: str, frames: str | None, offers: tuple[str, ...]) -> _Stills:
    """The requested frames, or by default the first of `offers`, which are all that the copy contains."""
    if frames is not None and frames not in offers:
        have = " or ".join(f"frames={name}" for name in offers)
        raise FerError(f"ckplus: {copy} does not hold frames={frames}: use {have}, or the official tree")
    return FRAMES[frames or offers[0]]


def _refused(copy: str) -> dict[str, str]:
    what = f"the subjects are unknown in {copy}, so folds would share people and nearly equal frames"
    return {"kfold": f"{what}; use the official tree or CK+48"}

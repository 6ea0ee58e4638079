"""Reader of FERPlus: its two label files with votes, and copies without votes.

The two label files are not interchangeable: 1,602 images have other votes in `label.csv`. The counts that papers
quote (25,045 / 3,191 / 3,137) come from `label.csv` and the rule `majority`, which are the defaults.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from fer_core.plugin import FERDataset, FerError, nearest

from fer_datasets.copies import leave_out
from fer_datasets.fer2013 import CUT
from fer_datasets.ferplus_copies import from_class_folders, from_modified
from fer_datasets.ferplus_votes import FOLDERS, Voted, find_pixels, from_folders, from_names, from_rows
from fer_datasets.files import layout_error, require_folder
from fer_datasets.image_files import ImageFiles
from fer_datasets.listing import child
from fer_datasets.pixel_rows import PixelRows
from fer_datasets.specs.fer2013 import CLASSES as EMOTIONS
from fer_datasets.specs.ferplus import CLASSES, SPEC, counts_of
from fer_datasets.tables import make_table
from fer_datasets.votes import RULES, labels_of, majority

NAMES = {name.lower(): name for name in ("FER2013Train", "FER2013Valid", "FER2013Test")}
LABELS = ("label.csv", "fer2013new.csv")


def load(
    root: Path,
    *,
    mode: str = "majority",
    labels: str | None = None,
    dedup: bool = False,
    drop_constant: bool = False,
) -> FERDataset:
    """Read FERPlus.

    Args:
        root: Folder with one of the layouts of the spec.
        mode: Rule from votes to targets of the training split, one of `fer_datasets.votes.RULES`. The other splits
            always follow `majority`, as in the reference reader.
        labels: `label.csv` or `fer2013new.csv`; None: `label.csv` if present.
        dedup: Keep one of several identical images (`fer_datasets.copies`).
        drop_constant: Drop constant images.

    Returns:
        Dataset whose columns `votes_<class>`, divided by their sum, are the target of the mode. With the mode
        `probability`, labels are sampled from them at every access (`draw_labels`). Where `fer2013.csv` is beside
        `fer2013new.csv`, FER2013's own labels of the same faces are the extra target `fer2013`.

    Raises:
        FerError: Unknown option, unknown layout, or a damaged label file.
    """
    if mode not in RULES:
        raise FerError(f"ferplus: there is no mode {mode!r}: {nearest(mode, RULES)}")
    if labels is not None and labels not in LABELS:
        raise FerError(f"ferplus: there is no label file {labels!r}: {nearest(labels, LABELS)}")
    require_folder(SPEC, root)
    voted = _find_votes(root, labels)
    dataset = _with_votes(root, voted, mode) if voted else _without_votes(root, mode, labels)
    dataset.alignment = CUT
    leave_out(dataset, SPEC.splits, dedup=dedup, drop_constant=drop_constant)
    return dataset


def _find_votes(root: Path, labels: str | None) -> Voted | None:
    """The samples of the requested label file, or by default of the first that exists."""
    places = [place for place in (root, child(root, "data")) if place]
    base = next((place for place in places if child(place, *FOLDERS.values())), None)
    if base is not None:
        missing = [name for lower, name in NAMES.items() if child(base, lower) is None]
        if missing:
            present = [name for name in NAMES.values() if name not in missing]
            raise layout_error(SPEC, base, f"{' and '.join(missing)} missing beside {' and '.join(present)}")
    if base is not None and labels != LABELS[1]:
        return from_folders(root, base)
    if labels == LABELS[0]:
        raise layout_error(SPEC, root, "label.csv is requested, but FER2013Train, FER2013Valid, FER2013Test miss")
    if not (root / LABELS[1]).is_file():
        if labels:
            raise layout_error(SPEC, root, "fer2013new.csv, which is requested, is missing")
        return None
    pixels = find_pixels(root)
    if pixels is not None:
        return from_rows(root, pixels)
    if base is not None:
        return from_names(root, base)
    raise layout_error(SPEC, root, "fer2013.csv, which holds the images, is missing beside fer2013new.csv")


def _with_votes(root: Path, voted: Voted, mode: str) -> ImageFiles | PixelRows:
    train = np.array([split == "train" for split in voted.splits], dtype=bool)
    weights = np.where(train[:, None], RULES[mode](voted.votes), majority(voted.votes))
    numbers = labels_of(voted.votes, weights)
    keep = np.flatnonzero((numbers >= 0) & voted.usable)
    if not len(keep):
        raise FerError(
            f"ferplus: no image has a majority for an emotion ({mode}): are these the original label files?"
        )
    rows = keep.tolist()
    table = make_table(
        [voted.ids[row] for row in rows],
        numbers[keep],
        [voted.splits[row] for row in rows],
        [voted.sources[row] for row in rows],
    )
    for column, name in enumerate(CLASSES):
        table[f"votes_{name}"] = weights[keep, column]
    if voted.emotions is not None:
        table["target_fer2013"] = pd.Categorical.from_codes(voted.emotions[keep], pd.Index(EMOTIONS))
    layout = f"{voted.layout}; {mode}" + ("" if mode == "majority" else " for training, majority for the rest")
    dataset = (
        ImageFiles(SPEC.name, CLASSES, root, table, layout)
        if voted.pixels is None
        else PixelRows(SPEC.name, CLASSES, voted.pixels, keep, table, layout)
    )
    dataset.expected_counts = counts_of(voted.source, mode)
    dataset.draw_labels = mode == "probability"
    return dataset


def _without_votes(root: Path, mode: str, labels: str | None) -> ImageFiles:
    dataset = from_modified(root)
    if dataset is None:  # a dataset has no length, so it cannot be tested for truth
        dataset = from_class_folders(root)
    if dataset is None:
        what = "neither FER2013Train, FER2013Valid, FER2013Test nor fer2013new.csv nor class folders are there"
        raise layout_error(SPEC, root, what)
    if mode != "majority" or labels is not None:
        asked = f"labels={labels}" if labels else f"mode={mode}"
        hint = "drop the option, or take label.csv or fer2013new.csv from the authors"
        raise FerError(f"ferplus: {asked} needs the votes, which {dataset.layout} do not hold: {hint}")
    dataset.expected_counts = {}
    return dataset

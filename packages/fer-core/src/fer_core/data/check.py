"""Whether a copy of a dataset is complete and sound."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import repeat
from typing import TYPE_CHECKING

import numpy as np

from fer_core.data.progress import show_progress
from fer_core.data.table import check_table
from fer_core.errors import FerError

if TYPE_CHECKING:
    from fer_core.types import DatasetSpec, FERDataset

Counts = dict[str, dict[str, int]]
"""Samples per split and class."""


@dataclass(frozen=True)
class Report:
    """What was found in a dataset; samples are named by id.

    Attributes:
        dataset: Name.
        counts: Samples per split (the authors' names, empty where there is none) and class.
        expected: The same as the dataset's spec has it, where known.
        differences: One line for each count that is not the expected one.
        unreadable: Id -> why its image cannot be read (missing, empty, damaged).
        constant: Ids of images all of one value, such as black ones.
        duplicates_within: Groups of ids with equal pixels, inside one split.
        duplicates_across: Groups of ids with equal pixels, over two or more splits.
        conflicts: Groups of ids with equal pixels and different labels; they stand in the groups above, too.
    """

    dataset: str
    counts: Counts
    expected: Counts
    differences: list[str]
    unreadable: dict[str, str]
    constant: list[str]
    duplicates_within: list[list[str]]
    duplicates_across: list[list[str]]
    conflicts: list[list[str]]

    @property
    def incomplete(self) -> bool:
        """Whether this copy differs from the published dataset: other counts, or images that cannot be read."""
        return bool(self.differences or self.unreadable)

    @property
    def problems(self) -> list[str]:
        """Every finding as one line, the gravest first; empty for a sound copy."""
        lines = (
            [f"{len(self.unreadable)} images cannot be read{_first(self.unreadable)}"] if self.unreadable else []
        )
        lines += self.differences
        for groups, what in (
            (self.duplicates_across, "occur in two or more splits"),
            (self.conflicts, "have different labels"),
            (self.duplicates_within, "repeat within a split"),
        ):
            if groups:
                images = sum(map(len, groups))
                lines.append(f"{images} images with equal pixels ({len(groups)} groups) {what}{_first(groups[0])}")
        if self.constant:
            lines.append(f"{len(self.constant)} images show one single value{_first(self.constant)}")
        return lines

    def to_json(self) -> str:
        """Everything, `problems` and `incomplete` included."""
        return json.dumps({**asdict(self), "problems": self.problems, "incomplete": self.incomplete}, indent=2)


def check_dataset(dataset: FERDataset, spec: DatasetSpec, progress: bool = False) -> Report:
    """Count the samples, read every image, and compare the pixels of all.

    Args:
        dataset: Opened.
        spec: Gives the expected counts, unless the dataset has counts of its own.
        progress: Show progress on stderr when it takes long.

    Raises:
        FerError: The table itself is unusable (`check_table`).
    """
    check_table(dataset)
    table = dataset.table
    ids, labels, splits = table["id"].tolist(), table["label"].tolist(), table["split"].tolist()
    known = [split for split in spec.splits if split in set(splits)]
    counts = {split: dict.fromkeys(dataset.classes, 0) for split in (*known, *sorted(set(splits) - set(known)))}
    for split, label in zip(splits, labels, strict=True):
        counts[split][dataset.classes[label]] += 1
    unreadable: dict[str, str] = {}
    constant: list[str] = []
    equal: dict[bytes, list[int]] = {}
    with (
        ThreadPoolExecutor(min(8, (os.cpu_count() or 1) + 1)) as threads,
        show_progress(f"checking {len(table)} images of {dataset.name}", len(table), progress) as advance,
    ):
        for start in range(0, len(table), 1024):
            advance(start)
            rows = range(start, min(start + 1024, len(table)))
            for row, (pixels, flat) in zip(rows, threads.map(_examine, repeat(dataset), rows), strict=True):
                if isinstance(pixels, str):
                    unreadable[ids[row]] = pixels
                    continue
                equal.setdefault(pixels, []).append(row)
                if flat:
                    constant.append(ids[row])
    groups = [rows for rows in equal.values() if len(rows) > 1]
    across = [rows for rows in groups if len({splits[row] for row in rows}) > 1]
    within = [rows for rows in groups if len({splits[row] for row in rows}) == 1]
    conflicts = [rows for rows in groups if len({labels[row] for row in rows}) > 1]
    wanted = getattr(dataset, "expected_counts", spec.expected_counts)
    expected = {split: dict(classes) for split, classes in wanted.items()}
    return Report(
        dataset.name,
        counts,
        expected,
        _differences(counts, expected, dataset.classes),
        unreadable,
        constant,
        *([[ids[row] for row in rows] for rows in kind] for kind in (within, across, conflicts)),
    )


def _examine(dataset: FERDataset, row: int) -> tuple[bytes | str, bool]:
    """Digest of an image, or why it cannot be read, and whether all its pixels are equal."""
    try:
        image = dataset.read(row)
    except (FerError, OSError) as error:
        return str(error), False
    shape = ",".join(map(str, image.shape))
    digest = hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16, key=shape.encode())
    return digest.digest(), bool((image == image[0, 0]).all())


def _differences(counts: Counts, expected: Counts, classes: Iterable[str]) -> list[str]:
    lines = []
    for split, wanted in expected.items():
        found = counts.get(split, {})
        if not found:
            lines.append(f"the split {split or '(none)'} with {sum(wanted.values())} samples is absent")
            continue
        for name in classes:
            if name in wanted and found.get(name, 0) != wanted[name]:
                number, wish = found.get(name, 0), wanted[name]
                lines.append(f"{split or 'all'}: {number} samples of {name}, not {wish} ({number - wish:+d})")
    return lines


def _first(ids: Iterable[str]) -> str:
    """`: a, b, c...` for the first three."""
    names = list(ids)
    return f": {', '.join(names[:3])}{'...' if len(names) > 3 else ''}"

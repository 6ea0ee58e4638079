"""Whether a copy of a dataset is complete and intact."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from fer_core.data.inspection.copies import pixel_digest
from fer_core.data.inspection.near_duplicates import group_near, perceptual_hash
from fer_core.data.inspection.unused_files import compare_files
from fer_core.data.progress import show_progress
from fer_core.data.table import check_table, published_counts
from fer_core.data.targets import targets_of
from fer_core.errors import FerError

if TYPE_CHECKING:
    from fer_core.types import DatasetSpec, FERDataset

Counts = dict[str, dict[str, int]]
"""Samples per split and class; or, per split, images that another split holds, too."""


@dataclass(frozen=True)
class Report:
    """What was found in a dataset; samples are named by id, files that no sample uses by path.

    Attributes:
        dataset: Name.
        layout: Layout that was found, as the dataset words it.
        counts: Samples per split (the authors' names, empty where there is none) and class.
        expected: The same as published for this layout, where known.
        differences: One line for each count that is not the expected one.
        targets: Extra target -> split -> number of samples that have it.
        missing: Ids of samples whose file is not there.
        unreadable: Id -> why its image cannot be read (empty, damaged, too large).
        unused: Image files beside those of the samples that no sample uses: without a label, or left out.
        compared: Images whose pixels were compared.
        distinct: Different ones among them.
        constant: Ids of images with a single pixel value, such as black ones.
        duplicates_within: Groups of ids with equal pixels, inside one split.
        duplicates_across: Groups of ids with equal pixels, over two or more splits.
        copies: Split -> an earlier split -> number of the former's images that the latter holds, too.
        conflicts: Groups of ids with equal pixels and different labels; they stand in the groups above, too.
        near: Groups of ids of near-duplicate images, at least two of which differ; None if not requested.
    """

    dataset: str
    layout: str
    counts: Counts
    expected: Counts
    differences: list[str]
    targets: Counts
    missing: list[str]
    unreadable: dict[str, str]
    unused: list[str]
    compared: int
    distinct: int
    constant: list[str]
    duplicates_within: list[list[str]]
    duplicates_across: list[list[str]]
    copies: Counts
    conflicts: list[list[str]]
    near: list[list[str]] | None

    @property
    def incomplete(self) -> bool:
        """Whether this copy differs from the published dataset: other counts, or images that cannot be read."""
        return bool(self.differences or self.missing or self.unreadable)

    @property
    def problems(self) -> list[str]:
        """Every finding as one line, the most severe first; empty for an intact copy."""
        lines = []
        for ids, what in ((self.missing, "are missing"), (self.unreadable, "cannot be read")):
            if ids:
                lines.append(f"{len(ids)} images {what}{_first(ids)}")
        lines += self.differences
        for groups, what in (
            (self.duplicates_across, "occur in two or more splits"),
            (self.conflicts, "have different labels"),
            (self.duplicates_within, "repeat within a split"),
        ):
            if groups:
                images = sum(map(len, groups))
                lines.append(f"{images} images with equal pixels ({len(groups)} groups) {what}{_first(groups[0])}")
            if groups is self.duplicates_across:
                lines += [
                    f"{number} images of {split} are in {other}, too"
                    for split, others in self.copies.items()
                    for other, number in others.items()
                ]
        if self.near:
            images = sum(map(len, self.near))
            lines.append(f"{images} images are near-duplicates ({len(self.near)} groups){_first(self.near[0])}")
        if self.constant:
            lines.append(f"{len(self.constant)} images have a single pixel value{_first(self.constant)}")
        if self.unused:
            lines.append(f"{len(self.unused)} image files belong to no sample{_first(self.unused)}")
        return lines

    def to_json(self) -> str:
        """Everything, `problems` and `incomplete` included."""
        content = {**asdict(self), "problems": self.problems, "incomplete": self.incomplete}
        return json.dumps(content, indent=2, allow_nan=False)


@dataclass(frozen=True)
class _Image:
    """Record of an image: digest and perceptual hash of its pixels, or the reason why it cannot be read."""

    digest: bytes = b""
    flat: bool = False
    look: bytes = b""
    failure: str = ""


@dataclass(frozen=True)
class _Found:
    """Rows by state of their images: `equal` holds every readable one, in groups of equal pixels."""

    failures: dict[int, str]
    flat: list[int]
    equal: list[list[int]]
    looks: dict[int, bytes]


def check_dataset(
    dataset: FERDataset, spec: DatasetSpec, *, near: bool = False, all_files: bool = False, progress: bool = False
) -> Report:
    """Count the samples, read every image, and compare the pixels of all.

    Args:
        dataset: Opened.
        spec: Gives the expected counts, unless the dataset has counts of its own.
        near: Find near-duplicate images, too.
        all_files: Compare the image files that no sample uses, too. Such a file counts for the split of the
            samples in its folder.
        progress: Show progress on stderr when it takes long.

    Raises:
        FerError: The table itself is unusable, for example because of a label out of range (`check_table`).
    """
    check_table(dataset)
    table = dataset.table
    ids, labels, splits = table["id"].tolist(), table["label"].tolist(), table["split"].tolist()
    order = [split for split in spec.splits if split in set(splits)]
    order += sorted(set(splits) - set(order))
    counts = {split: dict.fromkeys(dataset.classes, 0) for split in order}
    for split, label in zip(splits, labels, strict=True):
        counts[split][dataset.classes[label]] += 1

    files = compare_files(dataset)
    unused = [path for path, _ in files.unused]
    if all_files:
        ids, splits = ids + unused, splits + [split for _, split in files.unused]
        labels = labels + [None] * len(unused)

    def examine(row: int) -> _Image:
        return _examine(
            lambda: dataset.read(row) if row < len(table) else files.read(unused[row - len(table)]), near
        )

    found = _gather(_in_threads(examine, len(ids), dataset.name, progress))
    groups = [rows for rows in found.equal if len(rows) > 1]
    across = [rows for rows in groups if len({splits[row] for row in rows}) > 1]
    within = [rows for rows in groups if len({splits[row] for row in rows}) == 1]
    conflicts = [rows for rows in groups if len({labels[row] for row in rows} - {None}) > 1]
    alike = group_near(found.looks) if near else []
    missing = set(files.missing)
    expected = {split: dict(classes) for split, classes in published_counts(dataset, spec).items()}

    def named(kind: Iterable[list[int]]) -> list[list[str]]:
        return [[ids[row] for row in rows] for rows in kind]

    return Report(
        dataset=dataset.name,
        layout=dataset.layout,
        counts=counts,
        expected=expected,
        differences=_differences(counts, expected, dataset.classes),
        targets=_having(dataset, order),
        missing=[ids[row] for row in files.missing],
        unreadable={ids[row]: reason for row, reason in found.failures.items() if row not in missing},
        unused=unused,
        compared=sum(map(len, found.equal)),
        distinct=len(found.equal),
        constant=[ids[row] for row in found.flat],
        duplicates_within=named(within),
        duplicates_across=named(across),
        copies=_copies(across, splits, order),
        conflicts=named(conflicts),
        near=named(alike) if near else None,
    )


def _having(dataset: FERDataset, splits: Iterable[str]) -> Counts:
    """How many samples of each split have each extra target."""
    own = dataset.table["split"]
    return {
        name: {split: int(target.present[own == split].sum()) for split in splits}
        for name, target in targets_of(dataset).items()
    }


def _gather(images: Iterable[_Image]) -> _Found:
    found = _Found({}, [], [], {})
    place: dict[bytes, int] = {}
    for row, image in enumerate(images):
        if image.failure:
            found.failures[row] = image.failure
            continue
        if image.flat:
            found.flat.append(row)
        group = place.setdefault(image.digest, len(place))
        if group < len(found.equal):
            found.equal[group].append(row)
            continue
        found.equal.append([row])
        if image.look:
            found.looks[row] = image.look
    return found


def _in_threads(examine: Callable[[int], _Image], count: int, name: str, progress: bool) -> Iterator[_Image]:
    """What `examine` returns for 0..count-1, in order, with a bounded number of images in memory."""
    with (
        ThreadPoolExecutor(min(8, (os.cpu_count() or 1) + 1)) as threads,
        show_progress(f"checking {count} images of {name}", count, progress) as advance,
    ):
        for start in range(0, count, 1024):
            advance(start)
            yield from threads.map(examine, range(start, min(start + 1024, count)))


def _examine(read: Callable[[], np.ndarray[tuple[int, ...], np.dtype[np.uint8]]], near: bool) -> _Image:
    try:
        image = read()
    except (FerError, OSError) as error:
        return _Image(failure=str(error))
    flat = bool((image == image[0, 0]).all())
    return _Image(pixel_digest(image), flat, perceptual_hash(image) if near and not flat else b"")


def _copies(groups: Iterable[list[int]], splits: list[str], order: list[str]) -> Counts:
    """For each pair of splits, how many images of the later one the earlier one holds, too."""
    numbers: Counts = {}
    for rows in groups:
        held = Counter(splits[row] for row in rows)
        for earlier, later in combinations(order, 2):
            if held[earlier] and held[later]:
                others = numbers.setdefault(later, {})
                others[earlier] = others.get(earlier, 0) + held[later]
    return numbers


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

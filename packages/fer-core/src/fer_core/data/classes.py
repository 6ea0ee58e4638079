"""Fewer classes, or merged ones: a table from the names of a dataset's classes to the names of a task's."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fer_core.errors import FerError, nearest
from fer_core.types import ClassChanges, FERDataset

if TYPE_CHECKING:
    import pandas as pd

    from fer_core.types import ClassTable, Pack


def target_names(classes: Sequence[str], table: ClassTable) -> dict[str, str | None]:
    """New name of every class, None for one that is left out. Names in `table` that `classes` lack do nothing."""
    if isinstance(table, Mapping):
        return {name: table.get(name, name) for name in classes}
    return {name: name if name in table else None for name in classes}


def check_names(known: Iterable[str], table: ClassTable, lacking: str, key: str) -> None:
    """Reject a table with a name that is not a class, or a list with a name twice.

    Args:
        known: Class names.
        table: The table.
        lacking: Who lacks the name, for the message: `rafdb does not have`.
        key: What the user wrote the table for, for the message.

    Raises:
        FerError: It names the class.
    """
    names = list(known)
    for name in table:
        if name not in names:
            raise FerError(f"{key} names the class '{name}', which {lacking}: {nearest(name, names)}")
    if not isinstance(table, Mapping) and len(set(table)) < len(table):
        raise FerError(f"{key} names a class twice ({', '.join(table)}): name each once")


def select_classes(dataset: FERDataset, table: ClassTable, key: str = "data.classes") -> FERDataset:
    """`dataset` with the classes that `table` makes of its own.

    Raises:
        FerError: The table names no class of the dataset, or leaves fewer than two classes or no faces.
    """
    check_names(dataset.classes, table, f"{dataset.name} does not have", key)
    targets = target_names(dataset.classes, table)
    order = order_of(targets) if isinstance(table, Mapping) else tuple(table)
    if len(order) < 2:
        left = order[0] if order else "none"
        raise FerError(f"{key} leaves {dataset.name} {left} of its classes: leave at least two")
    return with_targets(dataset, targets, order)


def order_of(targets: Mapping[str, str | None]) -> tuple[str, ...]:
    """The new names, each once, in the order of the dataset's classes."""
    return tuple(dict.fromkeys(name for name in targets.values() if name is not None))


def with_targets(dataset: FERDataset, targets: Mapping[str, str | None], order: Sequence[str]) -> FERDataset:
    """`dataset` with its classes renamed to `targets` and numbered as in `order`; itself where nothing changes."""
    if tuple(order) == dataset.classes and all(old == new for old, new in targets.items()):
        return dataset
    return SelectedClasses(dataset, targets, order)


class SelectedClasses(FERDataset):
    """A dataset without some classes, or with classes under another name.

    Faces keep their ids, splits, groups and pixels. Votes for merged classes are added up, those for classes that
    are left out are left out.

    Args:
        dataset: The whole one.
        targets: New name of each of its classes, None to leave it out.
        order: The new classes.

    Attributes:
        rows: Row of the whole dataset's table for each row of this one.
    """

    def __init__(self, dataset: FERDataset, targets: Mapping[str, str | None], order: Sequence[str]) -> None:
        self.dataset = dataset
        self.name = dataset.name
        self.classes = tuple(order)
        self.targets = dict(targets)
        self.layout, self.root = dataset.layout, dataset.root
        self.refused, self.draw_labels = dataset.refused, dataset.draw_labels
        self.alignment = dataset.alignment
        self.expected_counts = {}  # the published counts are those of the whole dataset
        place = {name: number for number, name in enumerate(self.classes)}
        numbers = np.array([place.get(targets[name] or "", -1) for name in dataset.classes], dtype=np.int64)
        labels = numbers[dataset.table["label"].to_numpy()]
        self.rows: NDArray[np.int64] = np.flatnonzero(labels >= 0)
        if not len(self.rows):
            raise FerError(f"{self.name} has no faces of {', '.join(self.classes)}: keep other classes")
        table = dataset.table.iloc[self.rows].reset_index(drop=True)
        table["label"] = labels[self.rows]
        self.table = _with_votes(table, dataset.classes, targets)
        self.label_space = {self.name: _changes(dataset, targets)}

    @property
    def parts(self) -> tuple[FERDataset, ...]:
        """Those of the whole dataset."""
        return self.dataset.parts

    def read(self, row: int) -> NDArray[np.uint8]:
        """Pixels of one row."""
        return self.dataset.read(int(self.rows[row]))

    def fingerprint(self) -> str:
        """sha256 over the whole dataset's fingerprint and the table of classes."""
        text = json.dumps([self.dataset.fingerprint(), self.targets, self.classes], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def open_pack(self, cache: Path, progress: bool) -> Pack:
        """The whole dataset's pack, which every choice of classes shares."""
        from fer_core.data.packs.open import open_pack
        from fer_core.data.packs.views import SelectedPack

        return SelectedPack(open_pack(self.dataset, cache, progress), self.rows)


def describe_classes(dataset: FERDataset) -> list[str]:
    """One line per dataset on merged, renamed or left-out classes, with numbers of faces; one on votes."""
    words = {name: _in_words(changes) for name, changes in dataset.label_space.items()}
    lines = [f"{name}: {'; '.join(parts)}" for name, parts in words.items() if parts]
    if unused := ", ".join(dataset.votes_unused):
        lines.append(f"votes of {unused} are not used, since not every part of {dataset.name} has them")
    return lines


def _in_words(changes: ClassChanges) -> list[str]:
    def faces(counts: Mapping[str, int]) -> str:
        return ", ".join(f"{name} ({count:,} faces)" for name, count in counts.items())

    words = [f"{faces(old)} as {new}" for new, old in changes.renamed.items()]
    return [*words, f"{faces(changes.left_out)} left out"] if changes.left_out else words


def _changes(dataset: FERDataset, targets: Mapping[str, str | None]) -> ClassChanges:
    """Number of faces of each class that changes."""
    counts = np.bincount(dataset.table["label"].to_numpy(), minlength=len(dataset.classes)).tolist()
    renamed: dict[str, dict[str, int]] = {}
    left_out: dict[str, int] = {}
    together = [new for new in targets.values() if new is not None]
    for old, count in zip(dataset.classes, counts, strict=True):
        new = targets[old]
        if new is None:
            left_out[old] = count
        elif new != old or together.count(new) > 1:
            renamed.setdefault(new, {})[old] = count
    return ClassChanges(renamed, left_out)


def _with_votes(table: pd.DataFrame, classes: Sequence[str], targets: Mapping[str, str | None]) -> pd.DataFrame:
    votes = {name: table[f"votes_{name}"] for name in classes if f"votes_{name}" in table.columns}
    table = table.drop(columns=[f"votes_{name}" for name in votes])
    sums: dict[str, pd.Series] = {}
    for old, column in votes.items():
        new = targets[old]
        if new is not None:
            sums[new] = sums[new] + column if new in sums else column
    return table.assign(**{f"votes_{name}": column for name, column in sums.items()})

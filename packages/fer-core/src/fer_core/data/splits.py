"""Which samples train, which choose the epoch, which are reported: protocols of the core and of plugins.

`official`, `official+holdout`, `kfold:N:K`, `kfold:N:K:sorted`, `stratified-shuffle:K`, `seed-shuffle:K`,
`seed-shuffle:K:S` and `file:PATH` are the core's, by the hook `fer_splits` as any other. K counts from 0.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fer_core import registry
from fer_core.data.folds import fold_of_rows
from fer_core.data.protocols import Protocol, read_protocol
from fer_core.errors import FerError
from fer_core.makers import CORE, in_one_line
from fer_core.types import HOLDOUT

if TYPE_CHECKING:
    from fer_core.types import FERDataset, Role

    Rows = NDArray[np.int64]
    Parts = tuple[Rows, Rows, Rows]

UNUSED = "unused"
"""Role in a split file for a sample that is left out on purpose."""


@dataclass(frozen=True)
class Split:
    """Row numbers of the table by role: disjoint, each sorted.

    Attributes:
        protocol: What was done, in the grammar, also where less was asked for (`official` became
            `official+holdout`). Of a split file only the name is kept: the digest says what was in it.
        train: Rows to learn from.
        val: Rows to choose the epoch on; may be empty.
        test: Rows to report on.
        digest: sha256 over every role with its sorted ids.
        fraction: Share of the training part that `train` holds (`thin`).
        unlabelled: Rows of the rest, for methods that learn without their labels.
    """

    protocol: str
    train: Rows
    val: Rows
    test: Rows
    digest: str
    fraction: float = 1.0
    unlabelled: Rows = field(default_factory=lambda: np.empty(0, dtype=np.int64))


def make_split(
    dataset: FERDataset, roles: Mapping[str, Role], protocol: str, *, holdout: float, seed: int, select: str
) -> Split:
    """Divide a dataset.

    Args:
        dataset: With a table that `check_table` accepts.
        roles: The authors' split names and the role of each (`DatasetSpec.splits`).
        protocol: `NAME[:ARGUMENTS][+holdout]`, of a protocol that `fer-run list splits` shows. Without a
            validation part, `+holdout` (added by itself when `select` is `best:val`) takes one from the training
            part. `official` for a table that names no split at all is `stratified-shuffle:0`.
        holdout: Fraction of the training part that `+holdout` takes.
        seed: Of the hold-out, of `kfold` and of `stratified-shuffle`.
        select: `last`, `best:val` or `best:test`.

    Raises:
        FerError: The protocol is unknown, impossible for this dataset, or one that it rejects
            (`FERDataset`, attribute `refused`).
    """
    asked = read_protocol(protocol)
    if asked.name == "official" and (dataset.table["split"] == "").all():
        asked = read_protocol("stratified-shuffle:0")
    train, val, test = _divide(dataset, roles, asked, seed)
    base = f"file:{Path(asked.rest).name}" if asked.name == "file" else asked.base
    if asked.held_out and len(val):
        raise FerError(f"{protocol} on {dataset.name}: it has a validation part already; use data.split={base}")
    if not len(val) and (asked.held_out or select == "best:val"):
        train, val = _hold_out(dataset, train, holdout, seed, f"a hold-out of {holdout:g}")
        base += HOLDOUT
    _check_classes(dataset, train, base)
    train, val, test = np.sort(train), np.sort(val), np.sort(test)
    return Split(base, train, val, test, _digest(dataset, train, val, test))


def thin(dataset: FERDataset, split: Split, fraction: float, seed: int) -> Split:
    """A split whose training part is a share of that of `split`; validation and test parts stay whole.

    Of each class about the same share is drawn, at least one sample; a larger share contains a smaller one. The
    digest is that of the smaller split, so that no result of a part passes for one of the whole.

    Args:
        dataset: That was divided.
        split: How.
        fraction: In (0, 1]; 1 leaves everything as it is.
        seed: Of the draw.
    """
    if fraction == 1:
        return split
    labels, random = _labels(dataset)[split.train], np.random.RandomState(seed)
    drawn = [random.permutation(split.train[labels == label]) for label in np.unique(labels)]
    train = np.sort(np.concatenate([rows[: max(1, round(fraction * len(rows)))] for rows in drawn]))
    digest, rest = _digest(dataset, train, split.val, split.test), np.setdiff1d(split.train, train)
    return replace(split, train=train, digest=digest, fraction=fraction, unlabelled=rest)


def _divide(dataset: FERDataset, roles: Mapping[str, Role], asked: Protocol, seed: int) -> Parts:
    refused = dataset.refused.get(asked.name)
    if refused:
        raise FerError(f"{asked.name} on {dataset.name}: {refused}")
    maker, divide = registry.maker("splits", asked.name), registry.factory("splits", asked.name)
    with in_one_line(maker, dataset.name):
        parts: Parts = divide(dataset, roles, seed, *asked.arguments)
    return (
        parts if maker.distribution == CORE else _checked(parts, len(dataset.table), f"{maker} on {dataset.name}")
    )


def _checked(found: object, samples: int, whose: str) -> Parts:
    """What a protocol of a plugin returned, if it can be used."""
    expected = "expected three integer arrays of row numbers (train, val, test), without a row twice"
    if not isinstance(found, tuple) or len(found) != 3:
        raise FerError(f"{whose} returned a {type(found).__name__}: {expected}")
    parts = [np.asarray(rows) for rows in found]
    for name, rows in zip(("train", "val", "test"), parts, strict=True):
        if rows.ndim != 1 or (len(rows) and not np.issubdtype(rows.dtype, np.integer)):
            raise FerError(f"{whose} returned {name} of type {rows.dtype} and shape {rows.shape}: {expected}")
    chosen = np.concatenate(parts).astype(np.int64)
    if len(np.unique(chosen)) < len(chosen):
        raise FerError(f"{whose} returned a row twice: {expected}")
    if len(chosen) and not 0 <= chosen.min() <= chosen.max() < samples:
        raise FerError(f"{whose} returned a row outside 0..{samples - 1}: {expected}")
    if not len(parts[2]):
        raise FerError(f"{whose} gave no sample to the test part: choose another data.split")
    train, val, test = (rows.astype(np.int64) for rows in parts)
    return train, val, test


def official(dataset: FERDataset, roles: Mapping[str, Role], seed: int) -> Parts:
    """The authors' own parts."""
    names = dataset.table["split"]
    unknown = sorted(set(names.unique()) - set(roles))
    if unknown:
        count = int((names == unknown[0]).sum())
        raise FerError(
            f"{count} samples of {dataset.name} stand in the split '{unknown[0]}', which has no role "
            f"(known: {', '.join(roles) or 'none'}); use data.split=stratified-shuffle:0 or file:PATH"
        )
    role = names.map(dict(roles))
    train, val, test = (np.flatnonzero(role == part) for part in ("train", "val", "test"))
    for part, rows in (("test", test), ("training", train)):
        if not len(rows):
            counts = {str(split): int(count) for split, count in names.value_counts().items()}
            offers = ", ".join(f"{split} ({roles[split]}, {n} samples)" for split, n in counts.items())
            raise FerError(
                f"{dataset.name} has no {part} split here: the data holds {offers}; "
                f"add the missing part or use data.split=stratified-shuffle:0"
            )
    return train, val, test


def from_file(dataset: FERDataset, roles: Mapping[str, Role], seed: int, place: str) -> Parts:
    """Roles by id from a CSV with the columns id and role."""
    import pandas as pd

    path = Path(place)
    try:
        listed = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise FerError(
            f"cannot read the split file {path}: {str(error).splitlines()[0]}; give a CSV with columns id,role"
        ) from error
    if not {"id", "role"} <= set(listed.columns):
        raise FerError(f"the split file {path} has the columns {', '.join(listed.columns)}; it needs id and role")
    wrong = listed[~listed["role"].isin(["train", "val", "test", UNUSED])]
    if len(wrong):
        raise FerError(
            f"{path}: '{wrong['id'].iloc[0]}' has the role '{wrong['role'].iloc[0]}'; "
            f"use train, val, test or {UNUSED}"
        )
    repeated = listed["id"][listed["id"].duplicated()]
    if len(repeated):
        raise FerError(f"{path}: '{repeated.iloc[0]}' is listed twice; keep one")
    rows = pd.Index(dataset.table["id"]).get_indexer(pd.Index(listed["id"]))
    if (rows < 0).any():
        raise FerError(
            f"{path}: {int((rows < 0).sum())} ids are not in {dataset.name}, first "
            f"'{listed['id'].iloc[int(np.flatnonzero(rows < 0)[0])]}'; use the ids of the dataset's table"
        )
    if len(rows) < len(dataset.table):
        absent = np.setdiff1d(np.arange(len(dataset.table)), rows)
        raise FerError(
            f"{path} does not list {len(absent)} samples of {dataset.name}, first "
            f"'{dataset.table['id'].iloc[int(absent[0])]}'; give them a role, or '{UNUSED}' to leave them out"
        )
    role = listed["role"].to_numpy()
    train, val, test = (rows[role == part].astype(np.int64) for part in ("train", "val", "test"))
    if not len(train) or not len(test):
        raise FerError(f"{path} gives no sample the role {'test' if len(train) else 'train'}; both are needed")
    return train, val, test


def kfold(
    dataset: FERDataset, roles: Mapping[str, Role], seed: int, folds: int, fold: int, order: str = ""
) -> Parts:
    """Fold `fold` of `folds` is the test part; stratified, and whole groups where the table has them.

    With the order `sorted` the groups are dealt out in the order of their names, group k to fold k mod `folds`:
    the custom of CK+ with its subjects.
    """
    if folds < 2 or fold >= folds:
        raise FerError(f"kfold:{folds}:{fold} does not exist: N is at least 2 and K one of 0..N-1")
    labels, groups = _labels(dataset), _groups(dataset)
    if groups is None and order:
        raise FerError(
            f"kfold:{folds}:{fold}:{order} on {dataset.name}: its groups are unknown, and only groups can be "
            f"dealt out in order; use kfold:{folds}:{fold}"
        )
    member = None if groups is None else _member(groups, _by_value if order else str)
    units = int(np.bincount(labels)[np.unique(labels)].min() if member is None else member.max() + 1)
    if units < folds:
        what = "groups" if groups is not None else "samples in the smallest class"
        raise FerError(f"kfold:{folds}:{fold} on {dataset.name}: only {units} {what}; use fewer folds")
    rows = np.arange(len(labels))
    if member is not None:
        tested = (member % folds if order else fold_of_rows(labels, member, folds, seed)) == fold
        return rows[~tested], rows[:0], rows[tested]
    from sklearn.model_selection import StratifiedKFold

    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    train, test = list(splitter.split(rows, labels))[fold]
    return train, rows[:0], test


def _member(groups: NDArray[np.object_], key: Callable[[str], Any] = str) -> Rows:
    """The group of every row as a number: the place of its name among all names, sorted by `key`."""
    from pandas import factorize

    member, names = factorize(groups)
    place = np.empty(len(names), dtype=np.int64)
    order = sorted(range(len(names)), key=[key(name) for name in names.tolist()].__getitem__)
    place[order] = np.arange(len(names))
    return place[member]


def _by_value(name: str) -> list[tuple[bool, int, str]]:
    """Sorts numbers in names by their value: S9 before S10."""
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in re.split(r"(\d+)", name)]


def stratified_shuffle(dataset: FERDataset, roles: Mapping[str, Role], seed: int, repetition: int) -> Parts:
    """60 / 20 / 20, each class alike, whole groups where the table has them."""
    draw = int(np.random.SeedSequence([seed, repetition]).generate_state(1)[0])
    what = f"stratified-shuffle:{repetition}"
    rest, test = _hold_out(dataset, np.arange(len(dataset.table)), 0.2, draw, what)
    train, val = _hold_out(dataset, rest, 0.25, draw, what)
    return train, val, test


def seed_shuffle(
    dataset: FERDataset, roles: Mapping[str, Role], seed: int, repetition: int, inner: int | None = None
) -> Parts:
    """60 / 20 / 20 by the scikit-learn calls of StevenHSKim/FER-Models: not stratified, groups ignored.

    `inner` seeds the second cut. There it is the iteration's number, which counts from 1, so repetition 0 has 1;
    in StevenHSKim/FER-crossval it counts from 0.
    """
    from sklearn.model_selection import ShuffleSplit, train_test_split

    rows = np.arange(len(dataset.table))
    if len(rows) < 5:
        raise FerError(f"seed-shuffle on {dataset.name}: {len(rows)} samples are too few; add some")
    outer = ShuffleSplit(n_splits=repetition + 1, test_size=0.2, random_state=42)
    rest, test = list(outer.split(rows))[repetition]
    train, val = train_test_split(rest, test_size=0.25, random_state=repetition + 1 if inner is None else inner)
    return train, val, test


def _hold_out(dataset: FERDataset, rows: Rows, fraction: float, seed: int, what: str) -> tuple[Rows, Rows]:
    """(kept, held out): about `fraction` of each class, at least as many samples as there are classes."""
    if not 0 < fraction < 1:
        raise FerError(f"{what} is not possible: give data.holdout a fraction between 0 and 1, such as 0.1")
    labels, groups = _labels(dataset)[rows], _groups(dataset)
    present, counts = np.unique(labels, return_counts=True)
    if counts.min() < 2 or len(rows) < 2 * len(present):
        rare = dataset.classes[int(present[counts.argmin()])]
        raise FerError(
            f"{what} on {dataset.name}: {counts.min()} samples of class '{rare}' are too few to divide; "
            f"add some or leave the class out"
        )
    if groups is not None:
        held = _held_groups(labels, groups[rows], fraction, seed)
        if not held.any():
            raise FerError(f"{what} on {dataset.name}: all samples are one group; use another data.split")
        return rows[~held], rows[held]
    from sklearn.model_selection import StratifiedShuffleSplit

    size = min(max(round(len(rows) * fraction), len(present)), len(rows) - len(present))
    kept, taken = next(StratifiedShuffleSplit(1, test_size=size, random_state=seed).split(rows, labels))
    return rows[kept], rows[taken]


def _held_groups(labels: Rows, groups: NDArray[np.object_], fraction: float, seed: int) -> NDArray[np.bool_]:
    """Whole groups, visited in random order; one is held when that brings the class counts nearer their targets.

    The random order matters: taking large groups first would hold out a biased kind of group.
    """
    member = _member(groups)
    count = int(member.max()) + 1
    counts = np.zeros((count, int(labels.max()) + 1))
    np.add.at(counts, (member, labels), 1)
    target = fraction * counts.sum(axis=0)
    weight = 1 / np.maximum(target, fraction)
    missing = target.copy()
    held = np.zeros(count, dtype=bool)
    for group in np.random.RandomState(seed).permutation(count):
        after = missing - counts[group]
        if (weight * after**2).sum() < (weight * missing**2).sum():
            held[group], missing = True, after
    if not held.any() and count > 1:
        # Every group is larger than the targets: the one that misses them least.
        held[int((weight * (target - counts) ** 2).sum(axis=1).argmin())] = True
    return held[member]


def _check_classes(dataset: FERDataset, train: Rows, protocol: str) -> None:
    """A class without training samples would be a silent zero in every result."""
    counts = np.bincount(_labels(dataset)[train], minlength=len(dataset.classes))
    absent = [name for name, count in zip(dataset.classes, counts, strict=True) if count == 0]
    if absent:
        raise FerError(
            f"{protocol} on {dataset.name}: no training sample of {', '.join(absent)}; "
            f"add some, leave the class out, or choose another data.split"
        )


def _labels(dataset: FERDataset) -> Rows:
    return dataset.table["label"].to_numpy(dtype=np.int64)


def _groups(dataset: FERDataset) -> NDArray[np.object_] | None:
    """Group of every row; a sample whose group is unknown (empty) is a group of its own."""
    if "group" not in dataset.table.columns:
        return None
    groups = dataset.table["group"].to_numpy(dtype=object)
    return np.where(groups != "", groups, "\0" + dataset.table["id"].to_numpy(dtype=object))


def _digest(dataset: FERDataset, train: Rows, val: Rows, test: Rows) -> str:
    ids = dataset.table["id"].to_numpy(dtype=object)
    digest = hashlib.sha256()
    for role, rows in (("train", train), ("val", val), ("test", test)):
        digest.update(
            "".join(f"{role}\t{sample}\n" for sample in sorted(ids[rows])).encode("utf-8", "surrogateescape")
        )
    return digest.hexdigest()

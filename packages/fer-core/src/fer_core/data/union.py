"""Several datasets as one: `a+b` holds the faces of both that belong to classes which both have, by name."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_core import registry
from fer_core.data.attributes import attribute_columns
from fer_core.data.table import published_counts
from fer_core.data.targets import unite as unite_targets
from fer_core.errors import FerError, nearest
from fer_core.plugins import load_plugins
from fer_core.types import DatasetSpec, FERDataset

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fer_core.provenance import Component
    from fer_core.types import ClassTable, Pack

PLUS = "+"


@dataclass(frozen=True, kw_only=True)
class UnionSpec(DatasetSpec):
    """Spec of `a+b`. Its `splits` are those of the parts behind the part's name (`a/train`), with their roles."""

    parts: tuple[DatasetSpec, ...] = ()


def find_dataset(name: str) -> DatasetSpec:
    """The spec of a dataset, or of a union `a+b`.

    Raises:
        FerError: An unknown name, or a union of a dataset with itself.
    """
    if PLUS not in name or load_plugins().claims("datasets", name):
        spec: DatasetSpec = registry.find("datasets", name)
        return spec
    parts = tuple(registry.find("datasets", part) for part in part_names(name))
    names = [part.name for part in parts]
    if len(set(names)) < len(names):
        raise FerError(f"{name} names one dataset twice: name different ones, or one alone")
    return UnionSpec(
        name=PLUS.join(names),
        factory="fer_core.data.union:UnitedDataset",
        classes=tuple(c for c in parts[0].classes if all(c in part.classes for part in parts)),
        splits={f"{part.name}/{split}": role for part in parts for split, role in part.splits.items()},
        layouts={},
        expected_counts={},
        summary=f"{' and '.join(names)} as one dataset, by classes that all have",
        licence="; ".join(f"{part.name}: {part.licence}" for part in parts),
        homepage=", ".join(part.homepage for part in parts if part.homepage),
        options={part.name: dict(part.options) for part in parts},
        needs_root=False,
        parts=parts,
    )


def recorded_dataset(name: str, components: Sequence[Component]) -> str:
    """The local name of a dataset, or of several as `a+b`, that a record calls `name`."""
    return PLUS.join(registry.recorded("datasets", part, components) for part in part_names(name))


def part_names(name: str) -> list[str]:
    """`fer++rafdb` -> `fer+`, `rafdb`: a name may itself end with the sign, before its distribution too."""
    names: list[str] = []
    for part in name.split(PLUS):
        if part and not part.startswith("@"):
            names.append(part)
        elif names:
            names[-1] += PLUS + part
    return names


def part_roots(spec: UnionSpec, root: Path | None) -> dict[str, Path | None]:
    """Folder of each part from `a=DIR1,b=DIR2`; None for a part that is not named there.

    Raises:
        FerError: The text has another form.
    """
    found: dict[str, Path | None] = {part.name: None for part in spec.parts}
    for entry in re.split(r",(?=[^,=/\\]+=)", str(root)) if root is not None else ():
        name, equals, folder = entry.partition("=")
        if not equals or not folder:
            form = ",".join(f"{part.name}=DIR" for part in spec.parts)
            raise FerError(
                f"--data {root} gives no folder for each part of {spec.name}: write --data {form}, "
                f"or set FER_DATA to the folder that holds {' and '.join(found)}"
            )
        found[_part_of(spec, name.strip(), "--data")] = Path(folder)
    return found


def part_options(spec: UnionSpec, options: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Options of each part from `{a: {...}, b: {...}}`. Raises FerError on another name, or another form."""
    found: dict[str, dict[str, Any]] = {part.name: {} for part in spec.parts}
    for name, value in options.items():
        part = _part_of(spec, name, "data.options")
        if not isinstance(value, Mapping):
            raise FerError(f"data.options.{name} is {value!r}: expected the options of {part}, as a mapping")
        found[part] = dict(value)
    return found


def _part_of(spec: UnionSpec, name: str, where: str) -> str:
    for part in spec.parts:
        if load_plugins().means("datasets", name, part):
            return part.name
    known = [part.name for part in spec.parts]
    raise FerError(f"{where} names {name}, which is not a part of {spec.name}: {nearest(name, known)}")


def unite(spec: UnionSpec, parts: Sequence[FERDataset], table: ClassTable | None) -> UnitedDataset:
    """One dataset from the opened parts.

    Args:
        spec: Of the union.
        parts: In its order.
        table: Applied to the classes of every part first; then the classes that all parts have are kept.

    Raises:
        FerError: Fewer than two classes are shared, or the table names a class that is not there.
    """
    from fer_core.data.classes import check_names, order_of, target_names, with_targets

    table = {} if table is None else table
    every = dict.fromkeys(name for part in parts for name in part.classes)
    check_names(every, table, f"{spec.name} does not have", "data.classes")
    targets = [target_names(part.classes, table) for part in parts]
    orders = [order_of(target) for target in targets]
    shared = tuple(name for name in orders[0] if all(name in order for order in orders))
    if not isinstance(table, Mapping):
        for part, order in zip(parts, orders, strict=True):
            if missing := [name for name in table if name not in order]:
                raise FerError(
                    f"data.classes names {missing[0]}, which {part.name} lacks: leave it out of the list"
                )
        shared = tuple(table)
    if len(shared) < 2:
        own = "; ".join(f"{part.name}: {', '.join(order)}" for part, order in zip(parts, orders, strict=True))
        raise FerError(
            f"{spec.name} share {' and '.join(shared) or 'no class'} ({own}): at least two are needed; "
            "map names with -o 'data.classes={OLD: NEW}'"
        )
    kept = [{old: new if new in shared else None for old, new in target.items()} for target in targets]
    views = [with_targets(part, target, shared) for part, target in zip(parts, kept, strict=True)]
    return UnitedDataset(spec, views, shared)


class UnitedDataset(FERDataset):
    """The rows of several datasets with equal classes, one after another.

    Ids, sources, splits and groups get the name of their part as prefix (`a/ID`). Votes exist where every part has
    them, and an alignment where the faces of all parts are cut in the same way. Extra targets and attributes are
    missing in the rows of parts that lack them.

    Args:
        spec: Of the union.
        parts: Datasets of the classes `classes`.
        classes: Class names.
    """

    def __init__(self, spec: UnionSpec, parts: Sequence[FERDataset], classes: tuple[str, ...]) -> None:
        import numpy as np
        import pandas as pd

        self.name, self.classes, self._members = spec.name, classes, tuple(parts)
        self._ends = np.cumsum([len(part.table) for part in parts])
        votes = [f"votes_{name}" for name in classes]
        voted = [part.name for part in parts if set(votes) <= set(part.table.columns)]
        has_votes = len(voted) == len(parts)
        self.draw_labels = _draws(spec, parts)
        self.alignments = {part.name: part.alignment for part in parts}
        self.alignment = parts[0].alignment if len(set(self.alignments.values())) == 1 else None
        has_groups = any("group" in part.table.columns for part in parts)
        attributes = sorted({column for part in parts for column in attribute_columns(part.table)})
        tables = [_rows(part, votes if has_votes else [], has_groups, attributes) for part in parts]
        self.table = pd.concat(tables, ignore_index=True).join(unite_targets(parts))
        self.layout = "; ".join(f"{part.name}: {part.layout}" for part in parts if part.layout)
        self.refused = {
            protocol: f"{part.name}: {reason}" for part in parts for protocol, reason in part.refused.items()
        }
        self.expected_counts = {
            f"{part.name}/{split}": dict(counts)
            for part, own in zip(parts, spec.parts, strict=True)
            for split, counts in published_counts(part, own).items()
        }
        self.label_space = {name: changes for part in parts for name, changes in part.label_space.items()}
        self.votes_unused = () if has_votes else tuple(voted)

    @property
    def parts(self) -> tuple[FERDataset, ...]:
        """Those of its members, in their order."""
        return tuple(part for member in self._members for part in member.parts)

    def read(self, row: int) -> NDArray[np.uint8]:
        """Pixels of one row."""
        part = int(self._ends.searchsorted(row, side="right"))
        first = int(self._ends[part - 1]) if part else 0
        return self._members[part].read(row - first)

    def fingerprint(self) -> str:
        """sha256 over the names and fingerprints of the parts."""
        text = json.dumps([[part.name, part.fingerprint()] for part in self._members])
        return hashlib.sha256(text.encode()).hexdigest()

    def open_pack(self, cache: Path, progress: bool) -> Pack:
        """The packs of the parts, one behind another."""
        from fer_core.data.packs.open import open_pack
        from fer_core.data.packs.views import JoinedPack

        return JoinedPack([open_pack(part, cache, progress) for part in self._members])

    def shares(self, rows: NDArray[np.int64]) -> dict[str, int]:
        """How many of `rows` belong to each part."""
        import numpy as np

        counts = np.bincount(self._ends.searchsorted(rows, side="right"), minlength=len(self._members))
        return {part.name: int(count) for part, count in zip(self._members, counts, strict=True)}


def _draws(spec: UnionSpec, parts: Sequence[FERDataset]) -> bool:
    """Whether labels are drawn from the votes at every visit: all parts ask for it, or none."""
    draw = {part.name: part.draw_labels for part in parts}
    if any(draw.values()) and not all(draw.values()):
        one, other = max(draw, key=lambda name: draw[name]), min(draw, key=lambda name: draw[name])
        raise FerError(
            f"{spec.name}: {one} draws its labels from votes, but {other} has one label per face: "
            f"choose another mode in data.options.{one}"
        )
    return all(draw.values())


def _rows(part: FERDataset, votes: list[str], with_groups: bool, attributes: list[str]) -> Any:
    """The rows of a part, with its name before every value that another part could have, too."""
    prefix, table = f"{part.name}/", part.table
    columns = table[["id", "label", "split", "source"]].assign(
        id=prefix + table["id"],
        source=prefix + table["source"],
        split=(prefix + table["split"]).where(table["split"] != "", ""),
    )
    if with_groups:
        known = "group" in table.columns
        columns["group"] = (prefix + table["group"]).where(table["group"] != "", "") if known else ""
    for name in attributes:
        columns[name] = table[name] if name in table.columns else ""
    return columns.join(table[votes])

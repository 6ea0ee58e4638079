"""A checkpoint's classes and a dataset's, matched by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from fer_core.config.yaml_text import read_yaml
from fer_core.data.classes import check_names, order_of, target_names
from fer_core.errors import FerError
from fer_core.runs.records import LabelSpace, Renamed

if TYPE_CHECKING:
    from fer_core.types import FERDataset

SHARED = "shared"
Rule = Literal["shared"] | Mapping[str, str | None] | None
"""None: both must have the same classes. `shared`: faces of classes that both have. A mapping: renames, merges and
leaves out classes of both, before that."""
TINY = 1e-30


@dataclass(frozen=True)
class Match:
    """The match of a dataset's labels and a checkpoint's probabilities.

    Attributes:
        classes: What is measured.
        labels: For every row of the dataset's table its index in `classes`, -1 where the face is left out, [N].
        merge: Which of the checkpoint's classes go to which of `classes`, 0 or 1, [checkpoint's, `classes`].
        restrict: Whether probabilities are divided by their sum over `classes`.
        present: The classes that the dataset has.
        record: The rule and what it changed; None where both have the same classes.
    """

    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    merge: NDArray[np.float32]
    restrict: bool
    present: tuple[str, ...]
    record: LabelSpace | None

    def probabilities(self, of_checkpoint: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 [n, checkpoint's classes] to [n, `classes`]: those of merged classes are added up."""
        if self.record is None:
            return of_checkpoint
        merged = of_checkpoint @ self.merge
        if not self.restrict:
            return merged
        found: NDArray[np.float32] = merged / np.maximum(merged.sum(axis=1, keepdims=True), TINY)
        return found

    def describe(self, rows: NDArray[np.int64]) -> list[str]:
        """Lines on what is compared and left out among `rows`; none where both have the same classes."""
        if self.record is None:
            return []
        used = int((self.labels[rows] >= 0).sum())
        lines = [f"classes  {', '.join(self.present)}: {used:,} of {len(rows):,} faces"]
        for side, names in self.record.renamed:
            renamed = [f"{old} as {new}" for old, new in names.items()]
            if renamed:
                lines.append(f"classes  of the {side}: {', '.join(renamed)}")
        if self.record.left_out:
            lines.append(f"classes  left out, faces of {', '.join(self.record.left_out)}")
        if extra := self.record.without_faces:
            rule = "cannot be predicted" if self.restrict else "can be predicted, which counts as wrong"
            lines.append(f"classes  that the dataset lacks: {', '.join(extra)}; they {rule}")
        return lines


def match_classes(
    dataset: FERDataset, classes: Sequence[str], checkpoint: Path, rule: Rule = None, *, restrict: bool = False
) -> Match:
    """Map labels and predictions to the same classes.

    Args:
        dataset: Opened.
        classes: The checkpoint's.
        checkpoint: Its path, for messages.
        rule: See `Rule`.
        restrict: Restrict predictions to classes that the dataset has.

    Raises:
        FerError: Different classes without a rule, or a rule that leaves fewer than two shared ones.
    """
    if rule is None:
        _require_equal(dataset, classes, checkpoint)
    table: Mapping[str, str | None] = rule if isinstance(rule, Mapping) else {}
    known = dict.fromkeys((*dataset.classes, *classes))
    check_names(known, table, f"neither {dataset.name} nor {checkpoint.name} has", "--classes")
    of_faces = target_names(dataset.classes, table)
    # A class that the table leaves out has no faces, but the checkpoint may still take a face for it.
    of_outputs = {old: table.get(old) or old for old in classes}
    outputs, faces = order_of(of_outputs), order_of(of_faces)
    present = tuple(name for name in outputs if name in faces)
    if rule is not None and rule != SHARED and (lost := [name for name in faces if name not in outputs]):
        raise FerError(
            f"--classes leaves {dataset.name} with the class '{lost[0]}', which {checkpoint.name} does not know "
            f"({', '.join(outputs)}): map it to one of these, or to null to leave its faces out"
        )
    if len(present) < 2:
        raise FerError(
            f"{dataset.name} ({', '.join(faces)}) and {checkpoint.name} ({', '.join(outputs)}) share "
            f"{' and '.join(present) or 'no class'}: map names with --classes map.yaml"
        )
    measured = present if restrict else outputs
    place = {name: number for number, name in enumerate(measured)}
    numbers = np.array([place.get(of_faces[name] or "", -1) for name in dataset.classes], dtype=np.int64)
    merge = np.zeros((len(classes), len(measured)), dtype=np.float32)
    for number, name in enumerate(classes):
        if of_outputs[name] in place:
            merge[number, place[of_outputs[name]]] = 1
    record = None
    if rule is not None:
        record = LabelSpace(
            names=dict(sorted(table.items())),
            restricted=restrict,
            shared=present,
            left_out=tuple(name for name in dataset.classes if of_faces[name] not in present),
            without_faces=tuple(name for name in outputs if name not in present),
            renamed=Renamed(
                dataset={old: new for old, new in of_faces.items() if new not in (old, None)},
                checkpoint={old: new for old, new in of_outputs.items() if new != old},
            ),
        )
    labels: NDArray[np.int64] = numbers[dataset.table["label"].to_numpy()]
    return Match(measured, labels, merge, restrict, present, record)


def read_rule(given: str | Path | Mapping[str, str | None] | None) -> Rule:
    """A rule from `shared`, a mapping, or the path of a YAML file with one.

    Raises:
        FerError: No such file, or no mapping from names to names or null.
    """
    if given is None or given == SHARED:
        return "shared" if given else None
    table = given if isinstance(given, Mapping) else read_yaml(Path(given), str(given))
    items = list(table.items()) if isinstance(table, Mapping) else []
    rule = {
        old: new for old, new in items if isinstance(old, str) and (new is None or (isinstance(new, str) and new))
    }
    if not rule or len(rule) < len(items):
        raise FerError(f"--classes {given}: expected a mapping from class names to class names or null")
    return rule


def _require_equal(dataset: FERDataset, classes: Sequence[str], checkpoint: Path) -> None:
    unknown = [name for name in dataset.classes if name not in classes]
    absent = [name for name in classes if name not in dataset.classes]
    if not unknown and not absent:
        return
    what = (
        f"{dataset.name} has the classes {', '.join(unknown)}, which {checkpoint.name} was not trained on "
        f"(it knows {', '.join(classes)})"
        if unknown
        else f"{checkpoint.name} was trained on the classes {', '.join(absent)}, which {dataset.name} lacks "
        f"(it has {', '.join(dataset.classes)})"
    )
    raise FerError(
        f"{what}: evaluate the faces of shared classes with --classes shared, or say what "
        "each class stands for with --classes map.yaml"
    )

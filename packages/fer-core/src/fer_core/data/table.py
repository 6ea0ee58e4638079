"""Checks of a dataset's table, and its fingerprint."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from fer_core.data.attributes import attributes_of
from fer_core.data.targets import targets_of
from fer_core.errors import FerError
from fer_core.records import MAX_CLASSES, MAX_NAME

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from fer_core.types import DatasetSpec, FERDataset

COLUMNS = ("id", "label", "split", "source")


def check_table(dataset: FERDataset) -> None:
    """Reject a table that training could misread.

    Raises:
        FerError: A column is missing, the table is empty, a value is absent, an id is not unique, or a label is
            not an index into `dataset.classes`, the name of a class cannot stand on a line, or an extra target
            or an attribute is not one.
    """
    import numpy as np
    import pandas as pd

    table, name = dataset.table, dataset.name
    missing = [column for column in COLUMNS if column not in table.columns]
    if missing:
        raise FerError(
            f"the table of {name} lacks the column {', '.join(missing)}: "
            f"every dataset gives {', '.join(COLUMNS)}; add it where the dataset builds its table"
        )
    if len(table) == 0:
        raise FerError(f"{name} has no samples: nothing labelled was found; check the folder given with --data")
    if not np.array_equal(table.index.to_numpy(), np.arange(len(table))):
        raise FerError(
            f"the table of {name} is not indexed 0..{len(table) - 1}: call reset_index(drop=True) on it"
        )
    for column in (*COLUMNS, *(["group"] if "group" in table.columns else [])):
        absent = table[column].isna()
        if absent.any():
            where = _sample(table, int(np.flatnonzero(absent)[0]))
            raise FerError(
                f"{name}: {int(absent.sum())} samples have no {column}, first {where}; fill in or leave out"
            )
    if len(dataset.classes) > MAX_CLASSES:
        raise FerError(f"{name} has {len(dataset.classes):,} classes, more than {MAX_CLASSES:,}: leave some out")
    unfit = [known for known in dataset.classes if not (known.isprintable() and 0 < len(known) <= MAX_NAME)]
    if unfit:
        raise FerError(f"{name}: the class {unfit[0]!r:.60} is not a short name on one line: rename it")
    repeated = table["id"].duplicated()
    if repeated.any():
        row = int(np.flatnonzero(repeated)[0])
        raise FerError(
            f"{name}: {int(repeated.sum())} samples repeat an id, first {_sample(table, row)}; make the ids unique"
        )
    if not pd.api.types.is_integer_dtype(table["label"].dtype):
        raise FerError(
            f"{name}: labels have the type {table['label'].dtype}, not an integer; give indices into the classes"
        )
    labels = table["label"].to_numpy()
    outside = np.flatnonzero((labels < 0) | (labels >= len(dataset.classes)))
    if len(outside):
        row = int(outside[0])
        raise FerError(
            f"{name}: {len(outside)} labels are out of range, first {int(labels[row])} of {_sample(table, row)}; "
            f"{len(dataset.classes)} classes allow 0..{len(dataset.classes) - 1}"
        )
    targets_of(dataset)
    attributes_of(dataset)


def votes_of(dataset: FERDataset) -> NDArray[np.float64] | None:
    """The votes of every row, [rows, classes]; None where the table has none."""
    columns = [f"votes_{name}" for name in dataset.classes]
    if not set(columns) <= set(dataset.table.columns):
        return None
    votes: NDArray[np.float64] = dataset.table[columns].to_numpy("float64")
    return votes


def published_counts(dataset: FERDataset, spec: DatasetSpec) -> Mapping[str, Mapping[str, int]]:
    """Samples per split and class that this copy should have, empty where unknown."""
    return spec.expected_counts if dataset.expected_counts is None else dataset.expected_counts


def make_fingerprint(ids: Iterable[str], labels: Iterable[int], source_hashes: Iterable[str]) -> str:
    """Identity of a dataset's content, whatever the order of its rows.

    Args:
        ids: Unique id of each sample.
        labels: Class index of each sample.
        source_hashes: Digest of what each sample's pixels are made from. Include anything that changes the
            pixels, such as a crop or a margin.

    Returns:
        sha256, in hexadecimal, over the sorted lines `id TAB label TAB source hash`.
    """
    lines = sorted(
        f"{sample}\t{label}\t{source}\n" for sample, label, source in zip(ids, labels, source_hashes, strict=True)
    )
    # File names on Linux need not be UTF-8.
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _sample(table: pd.DataFrame, row: int) -> str:
    """A row as users know it: by id, or by its number if the id is absent."""
    sample = table["id"].iloc[row]
    return f"'{sample}'" if isinstance(sample, str) else f"row {row}"

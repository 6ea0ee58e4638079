"""Attributes of faces: the columns `attribute_NAME` of a dataset's table, which divide faces into subgroups."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fer_core.errors import FerError
from fer_core.records import MAX_NAME

if TYPE_CHECKING:
    import pandas as pd

    from fer_core.types import FERDataset

ATTRIBUTE = "attribute_"
UNKNOWN = "unknown"
"""What readers see where the value of a face is empty text."""
COPIES = "copies"
"""The attribute that every face has: whether the training data hold a copy of it."""
RESERVED = ("class", COPIES, "group", "split")
"""Names of other ways to divide faces."""


def attributes_of(dataset: FERDataset) -> dict[str, list[str]]:
    """The value of every row, `UNKNOWN` where it is empty, by the name of the attribute, sorted.

    Raises:
        FerError: A column `attribute_NAME` has no usable name, or a value is not text on one line.
    """
    found = {}
    for column in sorted(attribute_columns(dataset.table)):
        name = column.removeprefix(ATTRIBUTE)
        if not re.fullmatch(r"\w[\w-]*", name) or name in RESERVED:
            raise FerError(
                f"{dataset.name}: {column!r:.80} does not name an attribute: use letters, digits, '_' and '-', "
                f"and none of {', '.join(RESERVED)}"
            )
        values = dataset.table[column].tolist()
        for row, value in enumerate(values):
            if not (isinstance(value, str) and len(value) <= MAX_NAME and value.isprintable()):
                sample = dataset.table["id"].iloc[row]
                raise FerError(
                    f"{dataset.name}: the attribute {name} of '{sample}' is {value!r:.80}: give short text on one "
                    "line, empty where it is unknown"
                )
        found[name] = [value or UNKNOWN for value in values]
    return found


def attribute_columns(table: pd.DataFrame) -> list[str]:
    """The columns of a table that are attributes."""
    return [column for column in table.columns if isinstance(column, str) and column.startswith(ATTRIBUTE)]

"""The folder of a diagnosis: tables, pictures, and one record that says what they are."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_core.errors import FerError
from fer_core.files import write_atomically, write_json

if TYPE_CHECKING:
    import pandas as pd

RECORD = "diagnosis.json"
FORMAT = 1
PARTS = ("mistakes", "suspects", "slices", "robustness", "attention", "embedding")
"""What a diagnosis may hold, in the order of a report."""


class NotPossibleError(FerError):
    """Why a part is left out: it is not possible for this network or these faces."""


@dataclass
class Part:
    """One part of a diagnosis.

    Attributes:
        figures: Plain values.
        tables: `file` and `title` of each CSV.
        pictures: `file`, `title` and `description` (what it shows, for readers who cannot see it) of each PNG.
        notes: What a reader has to know.
    """

    figures: dict[str, Any] = field(default_factory=dict)
    tables: list[dict[str, str]] = field(default_factory=list)
    pictures: list[dict[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def content(self) -> dict[str, Any]:
        """As plain values."""
        return {"figures": self.figures, "tables": self.tables, "pictures": self.pictures, "notes": self.notes}


class Folder:
    """Where a diagnosis is written. Each file is whole or absent, and the record comes last.

    Args:
        path: Made where it is missing.
        identity: What the diagnosis is of; parts in the folder stay if they are of the same.

    Raises:
        FerError: The folder cannot be made.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any]) -> None:
        self.path, self.identity = path, dict(identity)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FerError(f"cannot make {path} ({error.strerror}): choose another folder with --out") from error
        self.parts = {name: part for name, part in self._earlier().items() if name in PARTS}

    def _earlier(self) -> dict[str, Any]:
        """Parts of an earlier diagnosis of the same weights and faces."""
        try:
            stored = json.loads((self.path / RECORD).read_text(encoding="utf-8"))
            same = all(stored.get(key) == value for key, value in self.identity.items())
            return dict(stored["parts"]) if same and stored["format"] == FORMAT else {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}

    def add(self, name: str, part: Part) -> None:
        """Put a part in, in the place of an earlier one, and write the record."""
        self.parts[name] = part.content()
        write_json(self.path / RECORD, self.content())

    def drop(self, names: Iterable[str]) -> None:
        """Take out parts that do not apply."""
        for name in names:
            self.parts.pop(name, None)

    def content(self) -> dict[str, Any]:
        """The record."""
        ordered = {name: self.parts[name] for name in PARTS if name in self.parts}
        return {"format": FORMAT, **self.identity, "parts": ordered}

    def table(self, part: Part, name: str, table: pd.DataFrame, title: str) -> None:
        """Write `NAME.csv`."""
        write_atomically(
            self.path / f"{name}.csv",
            lambda partial: table.to_csv(partial, index=False, float_format="%.6g", lineterminator="\n"),
        )
        part.tables.append({"file": f"{name}.csv", "title": title})

    def picture(self, part: Part, name: str, title: str, description: str) -> Path:
        """The path for `NAME.png`, which the caller draws."""
        part.pictures.append({"file": f"{name}.png", "title": title, "description": description})
        return self.path / f"{name}.png"

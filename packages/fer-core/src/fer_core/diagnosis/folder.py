"""The folder of a diagnosis: tables, figures, and one record that describes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fer_core.errors import FerError
from fer_core.files import write_atomically, write_text
from fer_core.runs.diagnosis import RECORD, DiagnosisRecord, Part, Parts, PictureFile, TableFile

if TYPE_CHECKING:
    import pandas as pd

    from fer_core.records import Record


class NotPossibleError(FerError):
    """A part is left out because it is not possible for this network or these faces."""


class Folder:
    """Writes a diagnosis. Each file is written atomically, and the record last.

    Args:
        path: Made where it is missing.
        identity: What the diagnosis is of, without parts; those in the folder stay if they are of the same.

    Attributes:
        record: The identity, and the parts so far.

    Raises:
        FerError: The folder cannot be made.
    """

    def __init__(self, path: Path, identity: DiagnosisRecord) -> None:
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FerError(f"cannot make {path} ({error.strerror}): choose another folder with --out") from error
        self.record = self._earlier(identity)
        self._tables: list[TableFile] = []
        self._pictures: list[PictureFile] = []

    def _earlier(self, identity: DiagnosisRecord) -> DiagnosisRecord:
        """The record of an earlier diagnosis of the same weights and faces, else one without parts."""
        try:
            stored = DiagnosisRecord.read(self.path / RECORD, "")
        except FerError:  # missing or damaged: a new record replaces it
            return identity
        return stored if stored.model_copy(update={"parts": Parts()}) == identity else identity

    def add(self, name: str, figures: Record, notes: Sequence[str] = ()) -> None:
        """Put in a part with the files that were made since the last one, and write the record."""
        part = Part(
            figures=figures, tables=tuple(self._tables), pictures=tuple(self._pictures), notes=tuple(notes)
        )
        self._tables, self._pictures = [], []
        self._replace({name: part})
        write_text(self.path / RECORD, self.record.text())

    def drop(self, names: Iterable[str]) -> None:
        """Take out parts that do not apply."""
        self._replace(dict.fromkeys(names))

    def _replace(self, parts: dict[str, Part[Record] | None]) -> None:
        self.record = self.record.model_copy(update={"parts": self.record.parts.model_copy(update=parts)})

    def table(self, name: str, table: pd.DataFrame, title: str) -> None:
        """Write `NAME.csv`."""
        write_atomically(
            self.path / f"{name}.csv",
            lambda partial: table.to_csv(partial, index=False, float_format="%.6g", lineterminator="\n"),
        )
        self._tables.append(TableFile(file=f"{name}.csv", title=title))

    def picture(self, name: str, title: str, description: str) -> Path:
        """The path for `NAME.png`, which the caller draws."""
        self._pictures.append(PictureFile(file=f"{name}.png", title=title, description=description))
        return self.path / f"{name}.png"

"""Diagnoses in a report: what `fer-run diagnose` left in its folder, read without a network."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_core.errors import FerError
from fer_core.records import Record, read_bytes
from fer_core.runs.diagnosis import RECORD, DiagnosisRecord, Part, PictureFile
from fer_core.runs.reading import find_files

if TYPE_CHECKING:
    import pandas as pd

ADVICE = "diagnose again"
TITLES = {
    "mistakes": "Mistakes",
    "label_issues": "Label issues",
    "slices": "Slices",
    "robustness": "Robustness",
    "attention": "Attention",
    "embedding": "Embedding",
}
LINES = 12
"""Lines of a table that are shown; of the slices as many for each column."""
MOST_LINES = 200
"""Lines of a table that is shown whole."""
MAP = "embedding.csv"
"""Points of a map, which a table does not show."""
BUDGET = 5_000_000
"""Bytes of the pictures on a page; those beyond it are named instead."""
QUALITY = 82
WIDEST = 1400
"""Pixels that a picture keeps."""
HEADINGS = {
    "id": "face",
    "label": "given class",
    "predicted": "predicted",
    "likely": "likely class",
    "confidence": "probability",
    "p_label": "of the given class",
    "p_likely": "of the likely class",
    "count": "faces",
    "share": "share of the class",
    "low": "from",
    "high": "to",
    "column": "by",
    "mean_class_accuracy": "mean class accuracy",
}
PERCENT = frozenset(
    {"confidence", "p_label", "p_likely", "share", "low", "high", "accuracy", "mean_class_accuracy", "margin"}
)


@dataclass(frozen=True)
class Embedded:
    """A picture in the page: its `data:` address, empty where it is not there, and its size in pixels."""

    data: str = ""
    width: int = 0
    height: int = 0


class Budget:
    """Bytes that pictures may still take."""

    def __init__(self, bytes_left: int = BUDGET) -> None:
        self.left = bytes_left

    def embed(self, path: Path) -> Embedded:
        """A picture, without its pixels where it is missing or too large for what is left."""
        from PIL import Image

        from fer_core.data.images import decode_image

        try:
            picture = Image.fromarray(decode_image(path))
        except FerError:
            return Embedded()
        if picture.width > WIDEST:
            size = (WIDEST, round(picture.height * WIDEST / picture.width))
            picture = picture.resize(size, Image.Resampling.LANCZOS)
        packed = io.BytesIO()
        picture.save(packed, "WEBP", quality=QUALITY, method=4)
        text = base64.b64encode(packed.getvalue()).decode("ascii")
        if len(text) > self.left:
            return Embedded()
        self.left -= len(text)
        data = "data:image/webp;base64," + text
        return Embedded(data, picture.width, picture.height)


def find_diagnoses(places: Sequence[Path]) -> list[Path]:
    """Folders of diagnoses in the given folders and below them, each once."""
    found: dict[Path, Path] = {}
    for place in places:
        for record in sorted(find_files(place, RECORD)):
            found.setdefault(record.parent.resolve(), record.parent)
    return list(found.values())


@dataclass(frozen=True)
class ShownTable:
    """The first lines of a CSV: its columns with whether they are figures, and rows of cells as text."""

    title: str
    file: Path
    total: int
    columns: list[tuple[str, bool]]
    rows: list[list[str]]


@dataclass(frozen=True)
class ShownPart:
    """A part of a diagnosis as the page shows it; `pictures` are pairs of a file and what is embedded of it."""

    name: str
    title: str
    part: Part[Record]
    pictures: list[tuple[PictureFile, Embedded]]
    tables: list[ShownTable]


@dataclass(frozen=True)
class ShownDiagnosis:
    """A diagnosis as the page shows it; `what` names the weights, or the runs that were pooled."""

    folder: Path
    what: str
    record: DiagnosisRecord
    parts: list[ShownPart]


def read_diagnosis(folder: Path, budget: Budget) -> ShownDiagnosis:
    """What the page shows of one diagnosis.

    Raises:
        FerError: The record or a table is damaged.
    """
    record = DiagnosisRecord.read(folder / RECORD, ADVICE)
    what = f"{folder.parent.name}/{record.weights}"
    if record.runs:
        what = f"{record.runs} runs of {', '.join(record.models)}"
    parts = [
        ShownPart(
            name,
            TITLES[name],
            part,
            [(picture, budget.embed(folder / picture.file)) for picture in part.pictures],
            [_table(folder / table.file, table.title) for table in part.tables if table.file != MAP],
        )
        for name, part in record.parts.made().items()
    ]
    return ShownDiagnosis(folder, what, record, parts)


def _table(path: Path, title: str) -> ShownTable:
    """The first lines of a CSV, figures as a reader expects them."""
    import pandas as pd

    content = read_bytes(path, ADVICE)
    try:
        table = pd.read_csv(io.BytesIO(content), keep_default_na=False, dtype={"id": str, "value": str})
    except ValueError as error:
        raise FerError(f"{path} is not a table ({str(error).splitlines()[0]}): {ADVICE}") from error
    columns = [(HEADINGS.get(str(name), str(name).replace("_", " ")), _is_figure(table, name)) for name in table]
    shown = table.head(LINES)
    if path.stem == "slices" and "column" in table:
        shown = table.groupby("column", sort=False).head(LINES)
    elif path.stem == "robustness":
        shown = table.head(MOST_LINES)
    rows = [[_cell(str(name), value) for name, value in line.items()] for line in shown.to_dict("records")]
    return ShownTable(title, path, len(table), columns, rows)


def _is_figure(table: pd.DataFrame, name: Any) -> bool:
    import pandas as pd

    return bool(pd.api.types.is_numeric_dtype(table[name]) and not pd.api.types.is_bool_dtype(table[name]))


def _cell(name: str, value: Any) -> str:
    if isinstance(value, float):
        return f"{100 * value:.1f} %" if name in PERCENT else f"{value:g}"
    if name == "small":
        return "small" if str(value) == "True" else ""
    return f"{value:,}" if isinstance(value, int) else str(value)

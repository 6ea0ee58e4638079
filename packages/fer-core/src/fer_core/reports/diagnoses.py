"""Diagnoses in a report: what `fer-run diagnose` left in its folder, read without a network."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_core.errors import FerError
from fer_core.runs.reading import find_files

if TYPE_CHECKING:
    import pandas as pd

RECORD = "diagnosis.json"
PARTS = {
    "mistakes": "Mistakes",
    "suspects": "Suspected labels",
    "slices": "Slices",
    "robustness": "Robustness",
    "attention": "Attention",
    "embedding": "Embedding",
}
LINES = 12
"""Of a table that are shown; of the slices as many for each column."""
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


class Budget:
    """Bytes that pictures may still take."""

    def __init__(self, bytes_left: int = BUDGET) -> None:
        self.left = bytes_left

    def embed(self, path: Path) -> dict[str, Any]:
        """A picture's `data` address, empty where it is missing or no room is left, its `width` and `height`."""
        from PIL import Image

        from fer_core.data.images import decode_image

        try:
            picture = Image.fromarray(decode_image(path))
        except FerError:
            return {"data": ""}
        if picture.width > WIDEST:
            size = (WIDEST, round(picture.height * WIDEST / picture.width))
            picture = picture.resize(size, Image.Resampling.LANCZOS)
        packed = io.BytesIO()
        picture.save(packed, "WEBP", quality=QUALITY, method=4)
        text = base64.b64encode(packed.getvalue()).decode("ascii")
        if len(text) > self.left:
            return {"data": ""}
        self.left -= len(text)
        data = "data:image/webp;base64," + text
        return {"data": data, "width": picture.width, "height": picture.height}


def find_diagnoses(places: Sequence[Path]) -> list[Path]:
    """Folders of diagnoses in the given folders and below them, each once."""
    found: dict[Path, Path] = {}
    for place in places:
        for record in sorted(find_files(place, RECORD)):
            found.setdefault(record.parent.resolve(), record.parent)
    return list(found.values())


def read_diagnosis(folder: Path, budget: Budget) -> dict[str, Any]:
    """What the page shows of one diagnosis.

    Raises:
        FerError: The record is damaged.
    """
    path = folder / RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        of = [str(record[key]) for key in ("dataset", "split")]
        parts = [(name, record["parts"][name]) for name in PARTS if name in record["parts"]]
        shown = [_part(folder, name, part, budget) for name, part in parts]
        metrics = {key: float(value) for key, value in record["metrics"].items()}
        faces = int(record["faces"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise FerError(f"{path} is unreadable ({error!r}): diagnose again") from error
    runs = f"{record['runs']} runs of {', '.join(record['models'])}" if "runs" in record else ""
    return {
        "folder": folder,
        "title": " ".join(of),
        "what": runs or f"{folder.parent.name}/{record.get('weights', '')}",
        "faces": faces,
        "metrics": metrics,
        "parts": shown,
    }


def _part(folder: Path, name: str, part: dict[str, Any], budget: Budget) -> dict[str, Any]:
    pictures = [
        {
            "title": str(picture["title"]),
            "description": str(picture["description"]),
            "file": folder / str(picture["file"]),
            **budget.embed(folder / Path(str(picture["file"])).name),
        }
        for picture in part["pictures"]
    ]
    tables = [_table(folder / Path(str(table["file"])).name, str(table["title"])) for table in part["tables"]]
    return {
        "name": name,
        "title": PARTS[name],
        "pictures": pictures,
        "tables": [table for table in tables if table],
        "notes": [str(note) for note in part["notes"]],
        "figures": part["figures"],
    }


def _table(path: Path, title: str) -> dict[str, Any] | None:
    """The first lines of a CSV, figures as a reader expects them; None for points of a map and missing files."""
    import pandas as pd

    if path.stem == "embedding" or not path.is_file():
        return None
    try:
        table = pd.read_csv(path, keep_default_na=False, dtype={"id": str, "value": str})
    except (OSError, ValueError) as error:
        raise FerError(f"{path} is unreadable ({str(error).splitlines()[0]}): diagnose again") from error
    columns = [(HEADINGS.get(str(name), str(name).replace("_", " ")), _is_figure(table, name)) for name in table]
    shown = table.head(LINES)
    if path.stem == "slices":
        shown = table.groupby("column", sort=False).head(LINES)
    elif path.stem == "robustness":
        shown = table
    return {
        "title": title,
        "file": path,
        "total": len(table),
        "columns": columns,
        "rows": [[_cell(name, value) for name, value in line.items()] for line in _records(shown)],
    }


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in line.items()} for line in table.to_dict("records")]


def _is_figure(table: pd.DataFrame, name: Any) -> bool:
    import pandas as pd

    return bool(pd.api.types.is_numeric_dtype(table[name]) and not pd.api.types.is_bool_dtype(table[name]))


def _cell(name: str, value: Any) -> str:
    if isinstance(value, float):
        return f"{100 * value:.1f} %" if name in PERCENT else f"{value:g}"
    if name == "small":
        return "small" if str(value) == "True" else ""
    return f"{value:,}" if isinstance(value, int) else str(value)

"""Answers as rows of tables and as plain values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from fer_core.inference.find import EDGES, POINTS

if TYPE_CHECKING:
    import pandas as pd

    from fer_core.faces import Detection
    from fer_core.inference.answer import Answer, Face
    from fer_core.types import Json

Cell = str | float | int | None
PLACE = (*EDGES, "score", *POINTS)
"""Columns that say where a face is, empty where the whole image is the face."""


def columns(classes: Sequence[str], *, several: bool) -> list[str]:
    """Names of the columns of a table; `several` is whether several networks say something."""
    first = ["model"] if several else []
    return [*first, "source", "face", *PLACE, "label", "probability", *(f"p_{name}" for name in classes), "error"]


def cells(found: Answer, classes: Sequence[str], *, several: bool) -> Iterator[list[str]]:
    """The rows of an image: one for each face, one if it has none, one if it has an error; numbers are rounded."""
    rows: Iterable[Mapping[str, Cell]] = [_row(face) for face in found.faces]
    if not found.faces:
        rows = [{"source": found.source, "error": "" if found.error is None else str(found.error)}]
    for row in rows:
        yield [as_text(name, row.get(name)) for name in columns(classes, several=several)]


def plain(found: Answer, *, several: bool) -> Iterator[Mapping[str, Json]]:
    """As `cells`, as values of JSON."""
    if found.error is not None:
        yield {"source": found.source, "error": str(found.error)}
    elif not found.faces:
        yield {"source": found.source, "face": None, "label": None}
    for face in found.faces:
        at = face.detection
        yield {
            **({"model": face.model} if several else {}),
            "source": face.source,
            "face": face.number,
            "box": None if at is None else at.box,
            "score": None if at is None else at.score,
            "points": None if at is None else at.points,
            "label": face.label,
            "probability": face.probability,
            "probabilities": face.probabilities,
        }


def table_of(faces: Sequence[Face]) -> pd.DataFrame:
    """One row for each face, numbers as they are; without the columns of places where no face was looked for."""
    import pandas as pd

    classes = list(dict.fromkeys(chain.from_iterable(face.probabilities for face in faces)))
    names = columns(classes, several=False)[:-1]
    if all(face.detection is None for face in faces):
        names = [name for name in names if name not in ("face", *PLACE)]
    rows = [_row(face) for face in faces]
    return pd.DataFrame({name: [row.get(name) for row in rows] for name in names})


def place_of(found: Detection | None) -> Mapping[str, Cell]:
    """The columns `PLACE` of a face."""
    if found is None:
        return {}
    row: dict[str, Cell] = {**dict(zip(EDGES, found.box, strict=True)), "score": found.score}
    if found.points is not None:
        row |= zip(POINTS, chain.from_iterable(found.points), strict=True)
    return row


def _row(face: Face) -> dict[str, Cell]:
    row: dict[str, Cell] = {"model": face.model, "source": face.source, "face": face.number}
    row |= place_of(face.detection)
    row |= {"label": face.label, "probability": face.probability}
    return row | {f"p_{name}": value for name, value in face.probabilities.items()}


def as_text(column: str, value: Cell) -> str:
    """A cell: numbers are rounded, None is empty."""
    if not isinstance(value, float):
        return "" if value is None else str(value)
    return f"{value:.2f}" if column in PLACE and column != "score" else f"{value:.6f}"

"""Gender, race and age of RAF-DB's faces, as labelled by the authors' annotators."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fer_core.plugin import FerError

from fer_datasets.listing import child

ATTRIBUTES = {
    "gender": ("male", "female", "unsure"),
    "race": ("Caucasian", "African-American", "Asian"),
    "age": ("0-3", "4-19", "20-39", "40-69", "70+"),
}
"""Meaning of the numbers in the last three lines of a file, which follow the lines of five landmarks."""
LINES = 8


def read_attributes(base: Path, stems: Sequence[str]) -> dict[str, list[str]]:
    """Columns `attribute_gender`, `_race` and `_age` from `Annotation/manual`; none if the folder does not exist.

    Args:
        base: Folder that contains `Annotation`.
        stems: Name of each sample.

    Returns:
        The values as text, empty for samples without a file.

    Raises:
        FerError: A file is damaged.
    """
    above = child(base, "annotation")
    folder = child(above, "manual") if above else None
    if folder is None:
        return {}
    rows = [_read(folder / f"{stem}_manu_attri.txt") for stem in stems]
    return {f"attribute_{name}": [row[place] for row in rows] for place, name in enumerate(ATTRIBUTES)}


def _read(path: Path) -> tuple[str, ...]:
    try:
        lines = path.read_text(encoding="utf-8-sig", errors="replace").split("\n")
    except FileNotFoundError:
        return ("",) * len(ATTRIBUTES)
    cells = [line.strip() for line in lines if line.strip()]
    try:
        if len(cells) != LINES:
            raise ValueError
        pairs = zip(ATTRIBUTES.values(), cells[-len(ATTRIBUTES) :], strict=True)
        return tuple(values[_index(cell, len(values))] for values, cell in pairs)
    except ValueError:
        raise FerError(
            f"{path} is not five landmarks and the numbers of gender, race and age: restore it, or move "
            f"the folder Annotation away"
        ) from None


def _index(cell: str, count: int) -> int:
    number = int(cell)
    if not 0 <= number < count:
        raise ValueError
    return number

"""A picture sheet of what `check_dataset` flags."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fer_core.data.inspection.unused_files import find_files
from fer_core.errors import FerError

if TYPE_CHECKING:
    from fer_core.data.inspection.check import Report
    from fer_core.types import FERDataset

COLUMNS = 12
"""Pictures of a line."""
LINES = 2
"""Lines of a finding."""
FRAMES = ("#1b6ca8", "#c05621")
"""Colours of the groups of equal pictures, in turn."""


@dataclass(frozen=True)
class Section:
    """One finding: its heading, and the samples shown, each with the number of its group."""

    title: str
    samples: list[tuple[str, int]]


def choose_flagged(report: Report) -> list[Section]:
    """The findings that pictures can show, with as many whole groups of each as fit."""
    most = COLUMNS * LINES
    sections = []
    for what, groups in (
        ("equal pixels in two or more splits", report.duplicates_across),
        ("equal pixels, different labels", report.conflicts),
        ("equal pixels within a split", report.duplicates_within),
        ("almost alike", report.near or []),
        ("one single value", [[name] for name in report.constant]),
    ):
        samples: list[tuple[str, int]] = []
        for number, group in enumerate(groups):
            if len(samples) + min(len(group), 4) > most:
                break
            samples += [(name, number) for name in group[:4]]
        if samples:
            images = sum(map(len, groups))
            more = "" if len(samples) == images else f", {len(samples)} shown"
            sections.append(Section(f"{what}: {images} images in {len(groups)} groups{more}", samples))
    return sections


def save_flagged(path: Path, dataset: FERDataset, report: Report) -> int:
    """Draw a sheet of the findings as a PNG. Pictures of one group stand in frames of one colour.

    Args:
        path: Where it goes; an existing file is replaced.
        dataset: The dataset that was checked.
        report: What was found.

    Returns:
        Number of pictures; with none, nothing is written.

    Raises:
        FerError: The file cannot be written.
    """
    sections = choose_flagged(report)
    if not sections:
        return 0
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    row_of = {name: row for row, name in enumerate(dataset.table["id"].tolist())}
    files = find_files(dataset)
    side, text, head = 1.1, 0.42, 0.4
    lines = [-(-len(section.samples) // COLUMNS) for section in sections]
    width, height = COLUMNS * side + 0.2, 0.5 + sum(head + count * (side + text) for count in lines)
    figure = Figure(figsize=(width, height), dpi=110)
    FigureCanvasAgg(figure)
    figure.text(
        0.1 / width, 1 - 0.25 / height, f"{dataset.name}: flagged", fontsize=12, fontweight="bold", va="center"
    )
    top = height - 0.5
    for section, count in zip(sections, lines, strict=True):
        figure.text(0.1 / width, (top - 0.22) / height, section.title, fontsize=9.5, va="center")
        top -= head
        for place, (name, group) in enumerate(section.samples):
            line, column = divmod(place, COLUMNS)
            left, low = 0.1 + column * side, top - line * (side + text) - side
            axes = figure.add_axes((left / width, low / height, 0.94 * side / width, 0.94 * side / height))
            row = row_of.get(name)
            pixels = files.read(name) if row is None else dataset.read(row)
            shown = np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels
            axes.imshow(shown, interpolation="nearest", vmin=0, vmax=255)
            axes.set(xticks=[], yticks=[])
            for spine in axes.spines.values():
                spine.set(color=FRAMES[group % len(FRAMES)], linewidth=2)
            middle = (left + 0.47 * side) / width
            figure.text(
                middle, (low - 0.04) / height, _caption(dataset, name, row), fontsize=5.5, ha="center", va="top"
            )
        top -= count * (side + text)
    try:
        figure.savefig(path, format="png")
    except OSError as error:
        raise FerError(f"cannot write {path}: {error}; name another file with --sheet") from error
    return sum(len(section.samples) for section in sections)


def _caption(dataset: FERDataset, name: str, row: int | None) -> str:
    short = (
        textwrap.shorten(name, 22, placeholder="…")
        if " " in name
        else name
        if len(name) <= 22
        else f"…{name[-21:]}"
    )
    short = short.replace("$", r"\$")
    if row is None:
        return f"{short}\nno sample"
    sample = dataset.table.iloc[row]
    return f"{short}\n{sample['split']} {dataset.classes[int(sample['label'])]}"

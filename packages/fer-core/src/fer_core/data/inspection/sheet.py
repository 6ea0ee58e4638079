"""A sheet of the images that `check_dataset` flags."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fer_core.data.inspection.unused_files import compare_files
from fer_core.plotting.faces import COLUMNS, FRAMES, LONGEST, Section, Tile, save_flagged

if TYPE_CHECKING:
    from fer_core.data.inspection.check import Report
    from fer_core.types import FERDataset

LINES = 2
"""Lines of a finding."""
Findings = list[tuple[str, list[tuple[str, int]]]]
"""Heading, and the samples that are shown, each with the number of its group."""


def choose_flagged(report: Report) -> Findings:
    """The findings that images can show, with as many whole groups of each as fit."""
    most = COLUMNS * LINES
    found: Findings = []
    for what, groups in (
        ("equal pixels in two or more splits", report.duplicates_across),
        ("equal pixels, different labels", report.conflicts),
        ("equal pixels within a split", report.duplicates_within),
        ("near-duplicates", report.near or []),
        ("a single pixel value", [[name] for name in report.constant]),
    ):
        samples: list[tuple[str, int]] = []
        for number, group in enumerate(groups):
            if len(samples) + min(len(group), 4) > most:
                break
            samples += [(name, number) for name in group[:4]]
        if samples:
            images = sum(map(len, groups))
            more = "" if len(samples) == images else f", {len(samples)} shown"
            found.append((f"{what}: {images} images in {len(groups)} groups{more}", samples))
    return found


def draw_flagged(path: Path, dataset: FERDataset, report: Report) -> int:
    """Draw a sheet of the findings as a PNG. Images of one group have frames of one colour.

    Args:
        path: Where it goes; an existing file is replaced.
        dataset: The dataset that was checked.
        report: What was found.

    Returns:
        Number of images; with none, nothing is written.

    Raises:
        FerError: The file cannot be written.
    """
    findings = choose_flagged(report)
    if not findings:
        return 0
    row_of = {name: row for row, name in enumerate(dataset.table["id"].tolist())}
    files = compare_files(dataset)

    def tile(name: str, group: int) -> Tile:
        row = row_of.get(name)
        pixels = files.read(name) if row is None else dataset.read(row)
        return Tile(pixels, *_caption(dataset, name, row), frame=FRAMES[group % len(FRAMES)])

    sections = [Section(heading, [tile(*sample) for sample in samples]) for heading, samples in findings]
    save_flagged(path, sections, f"{dataset.name}: flagged")
    return sum(len(section.tiles) for section in sections)


def _caption(dataset: FERDataset, name: str, row: int | None) -> tuple[str, str]:
    """The end of the name, with split and class."""
    short = name if len(name) <= LONGEST else f"…{name[1 - LONGEST :]}"
    if row is None:
        return short, "no sample"
    sample = dataset.table.iloc[row]
    return short, f"{sample['split']} {dataset.classes[int(sample['label'])]}"

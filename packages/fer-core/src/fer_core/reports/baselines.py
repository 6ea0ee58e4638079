"""What a model has to be compared with first: chance, and always answering the most frequent class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from fer_core.metrics import compute_metrics
from fer_core.reports.compare import LEVEL, Cell, compare_cells
from fer_core.runs.reading import PART

if TYPE_CHECKING:
    from fer_core.reports.compare import Column


@dataclass(frozen=True)
class Baseline:
    """An answer that needs no model; its metrics as fractions, None where its expectation is not simple."""

    name: str
    accuracy: float
    mean_class_accuracy: float
    macro_f1: float | None


@dataclass(frozen=True)
class Baselines:
    """Those of a column.

    Attributes:
        chance: Every class with the same probability.
        majority: Always the class that most test images have.
        name: That class.
        images: Number of test images, over all test parts.
        verdicts: Row -> whether it is `above`, `below` or `alike` that answer (`against_majority`).
    """

    chance: Baseline
    majority: Baseline
    name: str
    images: int
    verdicts: Mapping[str, str]


def find_baselines(column: Column) -> Baselines:
    """From the classes of the test images of every test part, each counted once."""
    cells = list(column.cells.values())
    classes = cells[0].runs[0].classes
    counted: Counter[str] = Counter()
    for tables in {part: tables for cell in cells for part, tables in cell.parts.items()}.values():
        counted.update(tables[0]["label"])
    if not counted:  # no predictions are stored
        counted.update(cells[0].runs[0].result.dataset.counts[PART])
    labels = np.repeat(np.arange(len(classes)), [counted[name] for name in classes])
    name = max(classes, key=lambda each: counted[each])
    answers = np.zeros((len(labels), len(classes)))
    answers[:, classes.index(name)] = 1
    found = compute_metrics(labels, answers, classes)
    return Baselines(
        Baseline("chance", 1 / len(classes), 1 / len(classes), None),
        Baseline(f"always {name}", found.accuracy, found.mean_class_accuracy, found.macro_f1),
        name,
        len(labels),
        {row: against_majority(cell, name) for row, cell in column.cells.items()},
    )


def against_majority(cell: Cell, name: str) -> str:
    """Whether the cell is `above`, `below` or `alike` always answering `name`, by the paired test.

    Empty where no predictions are stored.
    """
    if not cell.tables:
        return ""
    constant = Cell(
        f"always {name}",
        tuple(
            replace(run, predictions=run.predictions.assign(predicted=name, **_certain(run.classes, name)))
            for run in cell.runs
            if run.predictions is not None
        ),
    )
    if len(cell.parts) == 1:  # all its runs would give the same answers
        constant = replace(constant, runs=constant.runs[:1])
    found = compare_cells(cell, constant, "accuracy", 0)
    if found.p is None or found.p >= LEVEL:
        return "alike"
    return "above" if found.difference > 0 else "below"


def _certain(classes: tuple[str, ...], name: str) -> dict[str, float]:
    return {f"p_{each}": float(each == name) for each in classes}

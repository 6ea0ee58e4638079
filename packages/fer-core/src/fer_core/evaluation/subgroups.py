"""Figures by subgroup: the faces of an evaluation, divided by an attribute."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fer_core.data.attributes import COPIES, UNKNOWN, attributes_of
from fer_core.errors import SHOWN, FerError, listed
from fer_core.metrics import compute_metrics
from fer_core.runs.records import Subgroup
from fer_core.statistics import proportion_interval

if TYPE_CHECKING:
    from fer_core.evaluation.evaluate import Evaluation
    from fer_core.types import FERDataset

Values = Mapping[str, str]
"""Id of a face -> the value of an attribute."""


def choose_attributes(dataset: FERDataset, names: Sequence[str]) -> dict[str, Values]:
    """The attributes of a dataset that `names` asks for, without `COPIES`, which is computed.

    Raises:
        FerError: The dataset lacks one of them.
    """
    known, ids = attributes_of(dataset), dataset.table["id"].tolist()
    for name in names:
        if name not in (*known, COPIES):
            raise FerError(
                f"{dataset.name} has no attribute '{name}' to divide its faces by: use "
                f"{listed([*known, COPIES], SHOWN)}"
            )
    return {name: dict(zip(ids, known[name], strict=True)) for name in names if name != COPIES}


def measure_subgroups(found: Evaluation, values: Values) -> tuple[Subgroup, ...]:
    """How well the faces of each value are classified; values in their order, numbers by size, `UNKNOWN` last."""
    of_faces = np.array([values[sample] for sample in found.ids], dtype=object)
    return tuple(_measure(found, value, of_faces == value) for value in sorted(set(of_faces), key=_order))


def _measure(found: Evaluation, value: str, chosen: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Subgroup:
    metrics = compute_metrics(found.labels[chosen], found.probabilities[chosen], found.classes)
    hits = sum(row[own] for own, row in enumerate(metrics.confusion))
    return Subgroup(
        value=value,
        count=metrics.count,
        accuracy=metrics.accuracy,
        interval=proportion_interval(hits, metrics.count),
        mean_class_accuracy=metrics.mean_class_accuracy,
    )


def _order(value: str) -> tuple[bool, list[str | int]]:
    """Sort key: 4-19 before 20-39."""
    parts = re.split(r"(\d+)", value)
    return value == UNKNOWN, [int(part) if at % 2 else part for at, part in enumerate(parts)]

"""Weights on data that they were not trained on: every evaluation in a run's folder, as a run of its own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_core.errors import FerError
from fer_core.runs.reading import PREDICTIONS, Protocol, RunRecord, read_predictions

if TYPE_CHECKING:
    import pandas as pd

RECORD = "evaluation-"
PART = "test"
"""The part that tables are about, whatever part of the other data was evaluated."""


@dataclass(frozen=True)
class Elsewhere(RunRecord):
    """A run's weights on other data, in the form of a run: tables compare it as they compare runs.

    `result` is the run's own with dataset, classes and metrics of the evaluation; `folder` is where this lies.

    Attributes:
        part: Part of the other data.
        trained: What the weights were trained on, by name and fingerprint.
        label_space: Which rule brought different classes together, in words; empty where they were the same.
        notes: What the rule did to the classes.
    """

    part: str = PART
    trained: str = ""
    label_space: str = ""
    notes: tuple[str, ...] = ()

    @cached_property
    def predictions(self) -> dict[str, pd.DataFrame]:
        """Its one table, under the name of the part that tables are about."""
        return {PART: read_predictions(self.folder / f"{PREDICTIONS}{self.part}.csv", self.classes)}

    @property
    def protocol(self) -> Protocol:
        """That of the training, and what it was trained on."""
        return replace(super().protocol, trained=self.trained, classes=self.label_space)


def find_evaluations(runs: Sequence[RunRecord]) -> tuple[tuple[Elsewhere, ...], list[str]]:
    """What `fer-run evaluate --out RUN/NAME` left below the runs, and one line for each that cannot be used."""
    found: list[Elsewhere] = []
    problems: list[str] = []
    for run in runs:
        tables = sorted(run.folder.glob(f"*/{PREDICTIONS}*.csv"))
        records = sorted(run.folder.glob(f"*/{RECORD}*.json"))
        problems += [
            f"{table} has no {RECORD}*.json beside it that says what it is: evaluate again"
            for table in tables
            if table.with_name(f"{RECORD}{table.stem.removeprefix(PREDICTIONS)}.json") not in records
        ]
        for path in records:
            try:
                found.append(read_evaluation(run, path))
            except FerError as error:
                problems.append(str(error))
    return tuple(found), problems


def read_evaluation(run: RunRecord, path: Path) -> Elsewhere:
    """One evaluation of a run's weights.

    Raises:
        FerError: The record is damaged, of other weights, or its predictions are missing.
    """
    part = path.stem.removeprefix(RECORD)
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        data, weights, classes = record["dataset"], record["weights"], list(record["classes"])
        counts = {name: sum(row) for name, row in zip(classes, record["metrics"]["confusion"], strict=True)}
        label_space, notes = _describe(record["label_space"])
        dataset = {
            "name": str(data["name"]) + (f" ({data['part']})" if data["part"] != PART else ""),
            "fingerprint": str(data["fingerprint"]),
            "counts": {PART: counts, "train": run.result["dataset"]["counts"]["train"]},
        }
        own = (run.model, run.fingerprint, run.digest)
        same = own == (weights["model"], weights["fingerprint"], weights["digest"])
        metrics = {PART: record["metrics"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise FerError(f"{path} is unreadable ({error!r}): evaluate again") from error
    if not same:
        raise FerError(f"{path} is about other weights than those of {run.folder}: evaluate into their own run")
    if not path.with_name(f"{PREDICTIONS}{part}.csv").is_file():
        raise FerError(f"{path.parent} has no {PREDICTIONS}{part}.csv: evaluate again")
    result: dict[str, Any] = {**run.result, "dataset": dataset, "classes": classes, "metrics": metrics}
    trained = f"{run.dataset} ({run.fingerprint[:8]})"
    return Elsewhere(
        path.parent, result, run.config, [], run.env, run.recipe, part, trained, label_space, tuple(notes)
    )


def _describe(label_space: Mapping[str, Any]) -> tuple[str, list[str]]:
    """The rule in a few words, and what it did."""
    if not label_space:
        return "", []
    shared = len(label_space["shared"])
    words = f"{shared} shared classes"
    if isinstance(label_space["rule"], Mapping):
        digest = hashlib.sha256(json.dumps(label_space["rule"], sort_keys=True).encode()).hexdigest()
        words = f"{shared} classes, names mapped ({digest[:6]})"
    words += ", chosen among these only" if label_space["restricted"] else ""
    notes = []
    for side in ("dataset", "checkpoint"):
        renamed = [f"{old} as {new}" for old, new in label_space["renamed"][side].items()]
        if renamed:
            notes.append(f"Classes of the {side}: {', '.join(renamed)}")
    if label_space["left_out"]:
        notes.append(f"Left out: faces of {', '.join(label_space['left_out'])}")
    if extra := label_space["without_faces"]:
        taken = "cannot be predicted" if label_space["restricted"] else "can be predicted, which counts as wrong"
        notes.append(f"Without faces here: {', '.join(extra)}; {taken}")
    return words, notes

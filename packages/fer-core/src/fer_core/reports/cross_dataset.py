"""Weights on data that they were not trained on: every evaluation in a run's folder, as a run of its own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fer_core.errors import FerError
from fer_core.provenance import Dataset
from fer_core.runs.folder import EVALUATION, PREDICTIONS
from fer_core.runs.predictions import read_predictions
from fer_core.runs.reading import PART, Protocol, RunRecord
from fer_core.runs.records import EvaluatedWeights, EvaluationRecord, LabelSpace

ADVICE = "evaluate again"


@dataclass(frozen=True)
class Elsewhere(RunRecord):
    """A run's weights on other data, in the form of a run: tables compare it as they compare runs.

    `result` is the run's own with dataset, classes and metrics of the evaluation, under the name of the part that
    tables are about; `folder` is where this lies.

    Attributes:
        trained: What the weights were trained on, by name and fingerprint.
        label_space: The rule that matched different classes, in words; empty if they were the same.
        notes: What the rule did to the classes.
        crosses: Whether the data differ from those of the training; else this is the same data, evaluated again.
    """

    crosses: bool = True
    trained: str = ""
    label_space: str = ""
    notes: tuple[str, ...] = ()

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
        records = sorted(run.folder.glob(f"*/{EVALUATION}*.json"))
        problems += [
            f"{table} has no {EVALUATION}*.json beside it that says what it is: evaluate again"
            for table in tables
            if table.with_name(f"{EVALUATION}{table.stem.removeprefix(PREDICTIONS)}.json") not in records
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
    part = path.stem.removeprefix(EVALUATION)
    record = EvaluationRecord.read(path, ADVICE)
    own = EvaluatedWeights(model=run.model, fingerprint=run.fingerprint, digest=run.digest)
    if record.dataset.part != part:
        raise FerError(f"{path}: dataset.part is {record.dataset.part}, expected {part}: {ADVICE}")
    if record.weights != own:
        raise FerError(f"{path} is about other weights than those of {run.folder}: evaluate into their own run")
    place = path.with_name(f"{PREDICTIONS}{part}.csv")
    if not place.exists():
        raise FerError(f"{path.parent} has no {place.name}: {ADVICE}")
    predictions = read_predictions(place, record.classes)
    if len(predictions) != record.metrics.count:
        raise FerError(f"{place} has {len(predictions)} rows, expected {record.metrics.count}: {ADVICE}")
    counts = {name: sum(row) for name, row in zip(record.classes, record.metrics.confusion, strict=True)}
    data = record.dataset
    dataset = Dataset(
        name=data.name + (f" ({data.part})" if data.part != PART else ""),
        fingerprint=data.fingerprint,
        counts={PART: counts, "train": run.result.dataset.counts["train"]},
    )
    best = run.result.best.model_copy(update={"metrics": {PART: record.metrics}})
    result = run.result.model_copy(update={"dataset": dataset, "classes": record.classes, "best": best})
    label_space, notes = ("", ()) if record.label_space is None else _describe(record.label_space)
    return Elsewhere(
        path.parent,
        result,
        run.config,
        (),
        run.env,
        run.recipe,
        predictions,
        crosses=data.fingerprint != run.fingerprint,
        trained=f"{run.dataset} ({run.fingerprint[:8]})",
        label_space=label_space,
        notes=notes,
    )


def _describe(space: LabelSpace) -> tuple[str, tuple[str, ...]]:
    """The rule in a few words, and what it did."""
    words = f"{len(space.shared)} shared classes"
    if space.names:
        digest = hashlib.sha256(json.dumps(space.names, sort_keys=True).encode()).hexdigest()
        words = f"{len(space.shared)} classes, names mapped ({digest[:6]})"
    words += ", chosen among these only" if space.restricted else ""
    notes = []
    for side, names in space.renamed:
        if renamed := [f"{old} as {new}" for old, new in names.items()]:
            notes.append(f"Classes of the {side}: {', '.join(renamed)}")
    if space.left_out:
        notes.append(f"Left out: faces of {', '.join(space.left_out)}")
    if space.without_faces:
        taken = "cannot be predicted" if space.restricted else "can be predicted, which counts as wrong"
        notes.append(f"Without faces here: {', '.join(space.without_faces)}; {taken}")
    return words, tuple(notes)

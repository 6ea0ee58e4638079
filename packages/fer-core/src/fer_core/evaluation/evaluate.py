"""A weight file on a dataset, classes matched by name."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fer_core import distributed
from fer_core.data.loader import Loader
from fer_core.data.transforms import TransformInfo, build_pipeline
from fer_core.errors import FerError
from fer_core.evaluation.classes import Rule, match_classes
from fer_core.metrics import compute_metrics, save_confusion
from fer_core.training.checkpoint import TEMPERATURE, build_from_checkpoint
from fer_core.training.files import write_atomically, write_text
from fer_core.training.predictions import predict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fer_core.data.packs import Pack
    from fer_core.engine import Engine
    from fer_core.types import FERDataset


GROUP = "group"
"""Column of tables and of stored predictions: faces of one subject, or film, which are alike."""


@dataclass(frozen=True)
class Evaluation:
    """Predictions of one checkpoint on some faces.

    Attributes:
        classes: The checkpoint's class names, in its order; merged or fewer where a rule says so.
        ids: Sample ids [N].
        labels: Indices into `classes` [N].
        probabilities: float32 [N, C].
        metrics: What `compute_metrics` gives.
        label_space: Which rule brought different classes together; empty where they were the same.
        groups: Whom each face belongs to (the table's `group`: subject, film), empty text where one face's is not
            known [N]; no item where the dataset knows none.
    """

    classes: tuple[str, ...]
    ids: list[str]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    metrics: dict[str, Any]
    label_space: dict[str, Any] = field(default_factory=dict)
    groups: list[str] = field(default_factory=list)

    def save(self, folder: Path, name: str) -> list[Path]:
        """Write `predictions-NAME.csv` and `confusion-NAME.png`; returns both paths."""
        table, picture = folder / f"predictions-{name}.csv", folder / f"confusion-{name}.png"
        write_text(table, self._csv())
        write_atomically(
            picture,
            lambda partial: save_confusion(partial, self.metrics["confusion"], self.classes, f"{name} split"),
        )
        return [table, picture]

    def _csv(self) -> str:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        last = [GROUP] if self.groups else []
        writer.writerow(["id", "label", "predicted", *(f"p_{name}" for name in self.classes), *last])
        best = self.probabilities.argmax(axis=1)
        ends = [[group] for group in self.groups] or [[]] * len(self.ids)
        lines = zip(self.ids, self.labels, best, self.probabilities, ends, strict=True)
        for sample, label, predicted, row, end in lines:
            # Nine digits bring every float32 back exactly.
            scores = [f"{p:.9g}" for p in row]
            writer.writerow([sample, self.classes[label], self.classes[predicted], *scores, *end])
        return text.getvalue()


def evaluate_checkpoint(
    checkpoint: Path,
    dataset: FERDataset,
    pack: Pack,
    rows: NDArray[np.int64],
    engine: Engine,
    *,
    batch_size: int,
    workers: int | Literal["auto"] = "auto",
    rule: Rule = None,
    restrict: bool = False,
    show: Callable[[str], None] = print,
) -> Evaluation:
    """Predict `rows` of `dataset` with the weights in `checkpoint`, prepared as its header says.

    Args:
        checkpoint: A weight file.
        dataset: Opened.
        pack: Its images.
        rows: Rows of its table.
        engine: Where it runs.
        batch_size: Faces at once.
        workers: Processes that read images, where the checkpoint was trained with the per-image pipeline.
        rule: What to do where the classes differ (`fer_core.evaluation.classes`).
        restrict: Choose only among classes that the dataset has.
        show: Called with lines on what `rule` does.

    Raises:
        FerError: The checkpoint is unusable, the classes differ and no rule is given, or no face is left.
    """
    model, header = build_from_checkpoint(checkpoint)
    engine.prepare(model)
    match = match_classes(dataset, header["classes"], checkpoint, rule, restrict=restrict)
    for line in match.describe(rows):
        show(line)
    rows = rows[match.labels[rows] >= 0]
    if not len(rows):
        raise FerError(f"{dataset.name} has no face of {', '.join(match.present)} here: use another --split")
    info = TransformInfo(header["input_size"], tuple(header["mean"]), tuple(header["std"]))
    loader = Loader(
        pack,
        rows,
        match.labels,
        pipeline=build_pipeline(header["eval_transforms"], info),
        mode=header.get("eval_pipeline", "batched"),
        batch_size=batch_size,
        sampler=None,
        seed=0,
        color=header["color"],
        workers=workers,
        device=engine.device,
        process=(distributed.rank(), distributed.size()),
    )
    found = predict(model, loader, engine, header.get(TEMPERATURE, 1.0))
    ids = dataset.table["id"].to_numpy()[found.rows].tolist()
    probabilities = match.probabilities(found.probabilities)
    metrics = compute_metrics(found.labels, probabilities, match.classes)
    groups = dataset.table[GROUP].to_numpy()[found.rows].tolist() if GROUP in dataset.table.columns else []
    known = groups if any(groups) else []
    return Evaluation(match.classes, ids, found.labels, probabilities, metrics, match.record, known)

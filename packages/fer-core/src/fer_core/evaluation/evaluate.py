"""A weight file on a dataset, classes matched by name."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fer_core import distributed
from fer_core.data.loader import Loader
from fer_core.data.transforms import TransformInfo, build_pipeline
from fer_core.errors import FerError
from fer_core.metrics import compute_metrics, save_confusion
from fer_core.training.checkpoint import build_from_checkpoint
from fer_core.training.files import write_text
from fer_core.training.predictions import predict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fer_core.data.packs import Pack
    from fer_core.engine import Engine
    from fer_core.types import FERDataset


@dataclass(frozen=True)
class Evaluation:
    """Predictions of one checkpoint on some faces.

    Attributes:
        classes: The checkpoint's class names, in its order.
        ids: Sample ids [N].
        labels: Indices into `classes` [N].
        probabilities: float32 [N, C].
        metrics: What `compute_metrics` gives.
    """

    classes: tuple[str, ...]
    ids: list[str]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    metrics: dict[str, Any]

    def save(self, folder: Path, name: str) -> list[Path]:
        """Write `predictions-NAME.csv` and `confusion-NAME.png`; returns both paths."""
        table, picture = folder / f"predictions-{name}.csv", folder / f"confusion-{name}.png"
        write_text(table, self._csv())
        save_confusion(picture, self.metrics["confusion"], self.classes, f"{name} split")
        return [table, picture]

    def _csv(self) -> str:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["id", "label", "predicted", *(f"p_{name}" for name in self.classes)])
        best = self.probabilities.argmax(axis=1)
        for sample, label, predicted, row in zip(self.ids, self.labels, best, self.probabilities, strict=True):
            # Nine digits bring every float32 back exactly.
            writer.writerow([sample, self.classes[label], self.classes[predicted], *(f"{p:.9g}" for p in row)])
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
) -> Evaluation:
    """Predict `rows` of `dataset` with the weights in `checkpoint`, prepared as its header says.

    Raises:
        FerError: The checkpoint is unusable, or the dataset has a class that it does not know.
    """
    model, header = build_from_checkpoint(checkpoint)
    classes = tuple(header["classes"])
    engine.prepare(model)
    labels = match_labels(dataset, classes, checkpoint)
    info = TransformInfo(header["input_size"], tuple(header["mean"]), tuple(header["std"]))
    loader = Loader(
        pack,
        rows,
        labels,
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
    found = predict(model, loader, engine)
    ids = dataset.table["id"].to_numpy()[found.rows].tolist()
    metrics = compute_metrics(found.labels, found.probabilities, classes)
    return Evaluation(classes, ids, found.labels, found.probabilities, metrics)


def match_labels(dataset: FERDataset, classes: Sequence[str], checkpoint: Path) -> NDArray[np.int64]:
    """The dataset's labels [N] as indices into the checkpoint's `classes`, matched by name.

    Raises:
        FerError: The dataset has a class that the checkpoint lacks.
    """
    unknown = [name for name in dataset.classes if name not in classes]
    if unknown:
        raise FerError(
            f"{dataset.name} has the classes {', '.join(unknown)}, which {checkpoint.name} was not trained on "
            f"({', '.join(classes)}): evaluate on a dataset with the same classes"
        )
    order = np.array([classes.index(name) for name in dataset.classes], dtype=np.int64)
    labels: NDArray[np.int64] = order[dataset.table["label"].to_numpy()]
    return labels

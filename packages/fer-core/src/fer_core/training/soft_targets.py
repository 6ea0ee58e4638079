"""Soft targets of the training images: the mean of what trained models predict for them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from fer_core.data.targets import SoftTargets
from fer_core.errors import FerError
from fer_core.files import sha256
from fer_core.runs.predictions import classes_of, probabilities_of, read_predictions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fer_core.types import FERDataset

WAY = "fer-run evaluate WEIGHTS DATASET --split train --out FOLDER"
ADVICE = f"name a table that {WAY} writes"


def read_soft_targets(places: Sequence[str], dataset: FERDataset, rows: NDArray[np.int64]) -> SoftTargets | None:
    """The mean of several tables of predictions, matched by `id` and by the names of the classes.

    Args:
        places: The tables, as `fer-run evaluate --split train --out` writes them; none: no soft targets.
        dataset: The training dataset.
        rows: Of its table, that are trained on.

    Raises:
        FerError: A table is damaged, has other classes, or lacks a training image.
    """
    if not places:
        return None
    ids = dataset.table["id"].iloc[rows].astype(str)
    mean = np.zeros((len(rows), len(dataset.classes)))
    for path in (Path(place).expanduser() for place in places):
        classes = classes_of(path, ADVICE)
        if set(classes) != set(dataset.classes):
            raise FerError(
                f"{path} has predictions of the classes {', '.join(classes)}, but {dataset.name} has "
                f"{', '.join(dataset.classes)}: give predictions of a model for these"
            )
        table = read_predictions(path, classes, ADVICE)
        at = pd.Index(table["id"]).get_indexer(pd.Index(ids))
        if (lacking := at < 0).any():
            first = ids.iloc[int(lacking.argmax())]
            raise FerError(
                f"{path} lacks {lacking.sum():,} of {len(ids):,} training images, such as {first}: write it with "
                f"{WAY}"
            )
        mean += probabilities_of(table, dataset.classes)[at]
    values = np.full((len(dataset.table), len(dataset.classes)), np.nan, np.float32)
    values[rows] = mean / mean.sum(axis=1, keepdims=True)
    return SoftTargets(values, tuple(sha256(Path(place).expanduser()) for place in places))

"""Preview of what a network sees: original faces, and faces as the two pipelines of a recipe prepare them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fer_core.data.loader import Loader
from fer_core.data.transforms import Pipeline
from fer_core.data.transforms.pipeline import as_picture
from fer_core.engine.devices import Cpu
from fer_core.plotting.faces import Sheet

if TYPE_CHECKING:
    from fer_core.types import Pack

DRAWS = 4
"""Epochs of the training pipeline that are shown."""


def first_of_each_class(labels: NDArray[np.int64], rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Up to `count` of `rows`, the first ones of each class in turn, ordered by class.

    Args:
        labels: Class index of every row of the table.
        rows: Row numbers to choose from.
        count: How many.
    """
    of_class = labels[rows]
    turn = np.zeros(len(rows), dtype=np.int64)
    for label in np.unique(of_class):
        turn[of_class == label] = np.arange((of_class == label).sum())
    chosen = np.lexsort((of_class, turn))[:count]
    return rows[chosen[np.lexsort((turn[chosen], of_class[chosen]))]]


def make_sheet(
    pack: Pack,
    rows: NDArray[np.int64],
    *,
    training: Pipeline,
    evaluation: Pipeline,
    seed: int,
) -> Sheet:
    """Load faces as a run loads them.

    Args:
        pack: Images of the dataset.
        rows: The faces.
        training: Transforms of training; the first epochs of a run are shown.
        evaluation: Transforms of evaluation.
        seed: Of the run's transforms.
    """

    def load(pipeline: Pipeline, epoch: int) -> list[NDArray[np.float32]]:
        loader = Loader(
            pack,
            rows,
            np.zeros(len(pack), dtype=np.int64),
            pipeline=pipeline,
            batch_size=len(rows),
            sampler=None,
            seed=seed,
            workers=0,
            device=Cpu(),
        )
        images = next(iter(loader.epoch(epoch)))["image"]
        if pipeline.views is not None:  # another view in each epoch
            images = images[:, epoch % pipeline.views]
        shown: list[NDArray[np.float32]] = list(pipeline.show(images).permute(0, 2, 3, 1).numpy())
        return shown

    originals: list[NDArray[np.float32]] = []
    for row in rows:
        colour = as_picture(pack.images(np.array([row]))[0])
        originals.append(np.asarray(colour, dtype=np.float32) / np.float32(255))
    names = ["original", _row_name("evaluation", evaluation, 0)]
    names += [_row_name(f"training, epoch {epoch}", training, epoch) for epoch in range(DRAWS)]
    return Sheet(names, [originals, load(evaluation, 0), *(load(training, epoch) for epoch in range(DRAWS))])


def _row_name(name: str, pipeline: Pipeline, epoch: int) -> str:
    if pipeline.views is None:
        return name
    return f"{name}\nview {epoch % pipeline.views + 1} of {pipeline.views}"

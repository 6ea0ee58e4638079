"""A picture of what a network sees: faces as they are, and as the two pipelines of a recipe hand them over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fer_core.data.loader import Loader
from fer_core.data.transforms import Pipeline

if TYPE_CHECKING:
    from fer_core.data.packs.pack import Pack

DRAWS = 4
"""Epochs of the training pipeline that are shown."""

Picture = NDArray[np.float32]
"""RGB [H, W, 3] in 0..1."""


@dataclass(frozen=True)
class Sheet:
    """Rows of pictures.

    Attributes:
        names: One for each row.
        rows: Pictures of the faces, row by row.
    """

    names: list[str]
    rows: list[list[Picture]]


def choose_faces(labels: NDArray[np.int64], rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
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

    def load(pipeline: Pipeline, epoch: int) -> list[Picture]:
        loader = Loader(
            pack,
            rows,
            np.zeros(len(pack), dtype=np.int64),
            pipeline=pipeline,
            batch_size=len(rows),
            sampler=None,
            seed=seed,
            workers=0,
            device="cpu",
        )
        images = next(iter(loader.epoch(epoch)))["image"]
        if pipeline.views is not None:  # another view in each epoch
            images = images[:, epoch % pipeline.views]
        pictures: list[Picture] = list(pipeline.show(images).permute(0, 2, 3, 1).numpy())
        return pictures

    originals: list[Picture] = []
    for row in rows:
        pixels = pack.images(np.array([row]))[0]
        colour = np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels
        originals.append(colour.astype(np.float32) / np.float32(255))
    names = ["original", _row_name("evaluation", evaluation, 0)]
    names += [_row_name(f"training, epoch {epoch}", training, epoch) for epoch in range(DRAWS)]
    return Sheet(names, [originals, load(evaluation, 0), *(load(training, epoch) for epoch in range(DRAWS))])


def _row_name(name: str, pipeline: Pipeline, epoch: int) -> str:
    if pipeline.views is None:
        return name
    return f"{name}\nview {epoch % pipeline.views + 1} of {pipeline.views}"


def save_sheet(path: Path, sheet: Sheet, captions: Sequence[str], title: str, note: str) -> None:
    """Draw a sheet as a PNG.

    Args:
        path: Where it goes; an existing file is replaced.
        sheet: The pictures.
        captions: One for each face.
        title: Heading.
        note: Smaller line below it.

    Raises:
        OSError: The file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns, lines = len(captions), len(sheet.rows)
    margin, head, side = 1.5, 1.0, 1.25
    width, height = margin + side * max(columns, 3) + 0.1, head + side * lines + 0.1
    figure = Figure(figsize=(width, height), dpi=150)
    FigureCanvasAgg(figure)
    figure.text(0.1 / width, 1 - 0.26 / height, title, fontsize=11, fontweight="bold", va="center")
    figure.text(0.1 / width, 1 - 0.52 / height, note, fontsize=8, color="#555555", va="center")
    cell = (0.96 * side / width, 0.96 * side / height)
    for line, pictures in enumerate(sheet.rows):
        below = height - head - side * (line + 1)
        centre = (below + side / 2) / height
        figure.text((margin - 0.1) / width, centre, sheet.names[line], fontsize=8, ha="right", va="center")
        for column, picture in enumerate(pictures):
            left = margin + side * column
            axes = figure.add_axes((left / width, below / height, *cell))
            axes.imshow(picture, interpolation="nearest", vmin=0, vmax=1)
            axes.set_axis_off()
            if line == 0:
                size = f"{picture.shape[1]} x {picture.shape[0]}"
                for text, above in ((captions[column], 0.2), (size, 0.05)):
                    middle = (left + 0.48 * side) / width
                    figure.text(middle, (below + side + above) / height, text, fontsize=8, ha="center")
    figure.savefig(path, format="png")

"""Expressions of cropped faces, from one weight file and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from fer_core.engine import Engine
from fer_core.errors import FerError
from fer_core.inference.network import Network
from fer_core.inference.predict import check_finite, logits_of
from fer_core.inference.sources import Source, read_images
from fer_core.options import checked
from fer_core.runs.resolve import find_weights

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

BATCH = 64


@dataclass(frozen=True)
class Face:
    """One face: where it came from, its expression, and the probability of every class."""

    source: str
    label: str
    probability: float
    probabilities: dict[str, float]


class Faces(list[Face]):
    """Faces in the order of their sources."""

    def to_frame(self) -> pd.DataFrame:
        """One row per face: `source`, `label`, `probability`, and `p_CLASS` for every class."""
        import pandas as pd

        rows = [
            {"source": face.source, "label": face.label, "probability": face.probability}
            | {f"p_{name}": value for name, value in face.probabilities.items()}
            for face in self
        ]
        return pd.DataFrame(rows)


@dataclass(frozen=True)
class Failed:
    """An image without a prediction: where it came from, and why."""

    source: str
    error: FerError


class Predictor:
    """Predicts with a weight file; size, normalisation, colour order and classes come from its header.

    Args:
        checkpoint: A `.safetensors` file that a training run or an import wrote, a run folder, `FOLDER/latest`,
            `FOLDER/best` or an address (`fer_core.runs.resolve`).
        device: `auto`, or the name of a device.
        precision: `auto` (what the device computes natively), `fp32`, `bf16` or `fp16`.

    Raises:
        FerError: The file is unusable or its model is not installed.
    """

    @checked
    def __init__(self, checkpoint: str | Path, device: str = "auto", precision: str = "auto") -> None:
        weights = find_weights(checkpoint)
        self.network = Network.load(weights, Engine.start(device, precision), fast=True)

    def __call__(self, *sources: Source) -> Faces:
        """The faces of image files, of folders (searched recursively, sorted) and of images in memory.

        Args:
            *sources: Paths; PIL images; arrays [H, W, 3], [H, W] or [N, H, W, 3]; tensors [3, H, W], [H, W] or
                [N, 3, H, W]; or lists of these. Arrays and tensors are RGB or grey, uint8 or floats in 0..1.

        Raises:
            FerError: A source is missing, holds no image, cannot be decoded, or has values out of range.
        """
        return Faces(self.stream(sources))

    def stream(self, sources: Iterable[Source]) -> Iterator[Face]:
        """As calling, but one face at a time, so that a large folder needs little memory."""
        for result in self.attempt(sources):
            if isinstance(result, Failed):
                raise result.error
            yield result

    def attempt(self, sources: Iterable[Source]) -> Iterator[Face | Failed]:
        """As `stream`, but an image that cannot be read becomes a `Failed` in its place, and the next ones follow.

        Raises:
            FerError: A source is missing, a folder holds no image, or the network gives no finite probabilities.
        """
        images = read_images(sources)
        while group := list(islice(images, BATCH)):
            pictures = [image for _, image in group if not isinstance(image, FerError)]
            names = [name for name, image in group if not isinstance(image, FerError)]
            rows = iter(self._predict(pictures, names).tolist() if pictures else ())
            for name, image in group:
                yield Failed(name, image) if isinstance(image, FerError) else self._face(name, next(rows))

    def _face(self, source: str, row: Sequence[float]) -> Face:
        best = max(range(len(row)), key=row.__getitem__)
        return Face(source, self.classes[best], row[best], dict(zip(self.classes, row, strict=True)))

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the probabilities."""
        return self.network.classes

    def probabilities(self, faces: Source) -> torch.Tensor:
        """Probabilities float32 [N, C] of the images that calling takes, as one tensor.

        Raises:
            FerError: As calling.
        """
        rows = [list(face.probabilities.values()) for face in self(faces)]
        return torch.tensor(rows, dtype=torch.float32)

    def __repr__(self) -> str:
        network = self.network
        return f"Predictor({str(network.checkpoint)!r}: {network.header.model.name}, {len(self.classes)} classes)"

    @torch.inference_mode()
    def _predict(self, faces: Sequence[NDArray[np.uint8]], names: Sequence[str]) -> torch.Tensor:
        network = self.network
        batch = network.engine.place({"image": network.prepare(faces)})
        with network.engine.autocast():
            logits = logits_of(network.model, batch["image"])
        probabilities = (logits / network.temperature).softmax(dim=1).cpu()
        check_finite(probabilities, str(network.checkpoint), names)
        return probabilities

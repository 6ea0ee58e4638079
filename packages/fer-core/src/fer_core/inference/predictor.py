"""Expressions of cropped faces, from one weight file and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from fer_core.data.images import SUFFIXES, decode_image, is_image
from fer_core.engine import Engine
from fer_core.errors import FerError
from fer_core.inference.network import Network
from fer_core.training.predictions import logits_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

BATCH = 64


@dataclass(frozen=True)
class Face:
    """One face: where it came from, its expression, and the probability of every class."""

    source: str
    label: str
    probability: float
    probabilities: dict[str, float]


class Predictor:
    """Predicts with a weight file; size, normalisation, colour order and classes come from its header.

    Args:
        checkpoint: A `.safetensors` file that a training run or an import wrote.
        device: `auto`, or the name of a device.
        precision: `auto` (what the device computes natively), `fp32`, `bf16` or `fp16`.

    Raises:
        FerError: The file is unusable or its model is not installed.
    """

    def __init__(self, checkpoint: str | Path, device: str = "auto", precision: str = "auto") -> None:
        self.network = Network.load(Path(checkpoint), Engine.start(device, precision), fast=True)

    def __call__(self, *sources: str | Path | NDArray[np.uint8]) -> list[Face]:
        """Faces of image files, folders of them (searched recursively, sorted), or RGB arrays uint8 [H, W, 3].

        Raises:
            FerError: A source is missing, holds no image, or cannot be decoded.
        """
        return list(self.stream(sources))

    def stream(self, sources: Iterable[str | Path | NDArray[np.uint8]]) -> Iterator[Face]:
        """As calling, but one face after the other, so that a large folder needs little memory."""
        images = _images(sources)
        while group := list(islice(images, BATCH)):
            names, pictures = zip(*group, strict=True)
            for name, row in zip(names, self.probabilities(pictures).tolist(), strict=True):
                best = max(range(len(row)), key=row.__getitem__)
                named = dict(zip(self.classes, row, strict=True))
                yield Face(name, self.classes[best], row[best], named)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the probabilities."""
        return self.network.classes

    @torch.inference_mode()
    def probabilities(self, faces: Sequence[NDArray[np.uint8]]) -> torch.Tensor:
        """Probabilities float32 [N, C] of RGB faces, uint8 [H, W, 3], sizes may differ."""
        network = self.network
        batch = network.engine.place({"image": network.prepare(faces)})
        with network.engine.autocast():
            logits = logits_of(network.model, batch["image"])
        return (logits / network.temperature).softmax(dim=1).cpu()


def _images(sources: Iterable[str | Path | NDArray[np.uint8]]) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    for number, source in enumerate(sources):
        if isinstance(source, np.ndarray):
            if source.dtype != np.uint8 or source.ndim != 3 or source.shape[2] != 3:
                raise FerError(
                    f"array {number} is {source.dtype} {source.shape}: pass uint8 RGB of shape [H, W, 3]"
                )
            yield f"array {number}", source
            continue
        for path in _files(Path(source)):
            yield str(path), decode_image(path)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.rglob("*") if is_image(file.name) and not file.is_dir())
    if not found:
        raise FerError(f"{path} holds no image: expected files ending in {', '.join(sorted(SUFFIXES))}")
    return found

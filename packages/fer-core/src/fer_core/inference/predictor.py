"""Expressions of the faces in images, from one weight file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from fer_core.components import Options
from fer_core.engine import Engine
from fer_core.inference.answer import Answer, Classifier, Face, answer
from fer_core.inference.find import AUTO, Whole, make_finder
from fer_core.inference.network import Network
from fer_core.inference.rows import table_of
from fer_core.inference.sources import Source, read_images
from fer_core.options import checked
from fer_core.runs.resolve import installed_weights

if TYPE_CHECKING:
    import pandas as pd

    from fer_core.inference.find import Finder


class Faces(list[Face]):
    """Faces in the order of their sources."""

    def to_frame(self) -> pd.DataFrame:
        """One row per face, with the columns of `fer-run predict --csv`."""
        return table_of(self)


class Predictor:
    """Predicts with a weight file; size, normalisation, colour order and classes come from its header.

    Args:
        checkpoint: A `.safetensors` file that a training run or an import wrote, a run folder, `FOLDER/latest`,
            `FOLDER/best`, an address or the name of installed weights (`fer_core.runs.resolve`). None: the
            installed weights, where there are no others.
        device: `auto`, or the name of a device.
        precision: `auto` (what the device computes natively), `fp32`, `tf32`, `bf16` or `fp16`.
        detect: Where the faces are. `auto`: images larger than a cropped face are photographs, in which an
            installed detector looks for faces. `none`: every image is a face. The name of a detector, or an object
            with `detect(images)`: it looks at every image.
        detector_options: Of a detector that is named.
        boxes: A table of faces, as `fer-run predict --csv` writes it, in place of a detector.
        head: The head of the model that predicts: `label`, or a further head for classes. None: the one that the
            card of installed weights names, else `label`.

    Raises:
        FerError: The file is unusable, its model is not installed, or a detector is unknown.
    """

    @checked
    def __init__(
        self,
        checkpoint: str | Path | None = None,
        device: str = "auto",
        precision: str = "auto",
        *,
        detect: Any = AUTO,
        detector_options: Options | None = None,
        boxes: str | Path | None = None,
        head: str | None = None,
    ) -> None:
        place = installed_weights() if checkpoint is None else checkpoint
        self.network = Network.choose(place, Engine.start(device, precision), fast=True, head=head)
        self._finder = finder_for([self.network], detect, detector_options or {}, boxes)
        self._classifier = Classifier(self.network)

    def __call__(self, *sources: Source) -> Faces:
        """The faces of image files, of folders (searched recursively, sorted) and of images in memory.

        Args:
            *sources: Paths, and patterns such as `photos/*.jpg`; the bytes of an image file; PIL images; arrays
                [H, W, 3], [H, W] or [N, H, W, 3]; tensors [3, H, W], [H, W] or [N, 3, H, W]; or lists of these.
                Arrays and tensors are RGB or grey, uint8 or floats in 0..1.

        Returns:
            The faces of each image from left to right. An image in which none is found has none.

        Raises:
            FerError: A source is missing, holds no image, cannot be decoded, or has values out of range.
        """
        return Faces(self.stream(sources))

    def stream(self, sources: Iterable[Source]) -> Iterator[Face]:
        """As calling, but one face at a time, so that a large folder needs little memory."""
        for found in self.attempt(sources):
            if found.error is not None:
                raise found.error
            yield from found.faces

    def attempt(self, sources: Iterable[Source]) -> Iterator[Answer]:
        """As `stream`, but image by image: one that cannot be read has an `error` in place of `faces`.

        Raises:
            FerError: A source is missing, a folder holds no image, or the network gives no finite probabilities.
        """
        return answer(read_images(sources), self._finder, [self._classifier])

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the probabilities."""
        return self.network.classes

    def probabilities(self, faces: Source) -> torch.Tensor:
        """Probabilities float32 [N, C] of images of faces, which no detector looks at, as one tensor.

        Raises:
            FerError: As calling.
        """
        rows = []
        for found in answer(read_images([faces]), Whole(), [self._classifier]):
            if found.error is not None:
                raise found.error
            rows += [list(face.probabilities.values()) for face in found.faces]
        return torch.tensor(rows, dtype=torch.float32)

    def __repr__(self) -> str:
        network = self.network
        return f"Predictor({str(network.checkpoint)!r}: {network.header.model.name}, {len(self.classes)} classes)"


def finder_for(networks: Iterable[Network], detect: Any, options: Options, boxes: str | Path | None) -> Finder:
    """What finds faces for networks, see `make_finder`; a detector computes where the first of them does."""
    first, *others = networks
    contracts = [network.header.preprocessing for network in (first, *others)]
    device = first.engine.device.torch_device
    return make_finder(detect, options, None if boxes is None else Path(boxes), contracts, device)

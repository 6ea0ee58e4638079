"""The detector `centerface`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Annotated, NamedTuple

import numpy as np
import torch
from fer_core.plugin import Detection
from pydantic import Field
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import interpolate

from fer_faces.network import MULTIPLE, STRIDE, CenterFaceNetwork, Maps

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

OVERLAP = 0.3
"""Share of their union from which on two boxes are one face."""
ENLARGED = 2.0
"""Most that a small image is enlarged by: what enlarging adds is no detail."""
PIXELS = 4 << 20
"""Pixels of a batch on an accelerator."""


class CenterFace:
    """Finds faces of about 10 pixels and more at the size that it looks at, with five points each.

    Args:
        side: Longer side that images are scaled to, in pixels. Smaller is faster and misses smaller faces.
        threshold: Least score of a face.

    Shape:
        Images uint8 RGB [H, W, 3]. Those that have the same size once they are scaled are one batch on an
        accelerator; on a CPU, where batches gain nothing, each is computed alone, so that its faces do not depend
        on the others to the last bit.
    """

    def __init__(
        self,
        *,
        side: Annotated[int, Field(ge=32, le=4096)] = 480,
        threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5,
    ) -> None:
        self.side, self.threshold = side, threshold
        self.network = CenterFaceNetwork().eval().requires_grad_(False)
        self.network.load_state_dict({name: value.float() for name, value in _weights().items()})
        self.network.to(memory_format=torch.channels_last)
        self.device, self.at_once = torch.device("cpu"), 0

    def to(self, device: torch.device) -> CenterFace:
        """Move the network to a device."""
        self.network.to(device)
        self.device, self.at_once = device, 0 if device.type == "cpu" else PIXELS
        return self

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[list[Detection]]:
        """The faces of each image, the highest score first."""
        scaled = [_scaled(image, self.side) for image in images]
        by_shape: dict[tuple[int, ...], list[int]] = {}
        for number, each in enumerate(scaled):
            by_shape.setdefault(each.pixels.shape, []).append(number)
        found: list[list[Detection]] = [[] for _ in images]
        for shape, numbers in by_shape.items():
            size = max(1, self.at_once // (shape[0] * shape[1]))
            for start in range(0, len(numbers), size):
                batch = numbers[start : start + size]
                maps = self._maps([scaled[number].pixels for number in batch])
                for place, number in enumerate(batch):
                    one = Maps(*(values[place] for values in maps))
                    found[number] = _decode(one, scaled[number].factors, self.threshold)
        return found

    @torch.inference_mode()
    def _maps(self, images: Sequence[NDArray[np.uint8]]) -> Maps:
        batch = torch.from_numpy(np.stack(images)).to(self.device).permute(0, 3, 1, 2).float()
        return Maps(*(values.float().cpu() for values in self.network(batch)))


class _Scaled(NamedTuple):
    """An image as the network reads it: `pixels` divided by `factors` (x, y) are those of the image."""

    pixels: NDArray[np.uint8]
    factors: tuple[float, float]


@cache
def _weights() -> dict[str, Tensor]:
    with as_file(files("fer_faces") / "centerface.safetensors") as path:
        return load_file(path)


def _scaled(image: NDArray[np.uint8], side: int) -> _Scaled:
    """Scaled to a longer side of `side`, and filled up with black on the right and below."""
    height, width = image.shape[:2]
    scale = min(side / max(height, width), ENLARGED)
    w, h = max(1, round(width * scale)), max(1, round(height * scale))
    filled = np.zeros((-(-h // MULTIPLE) * MULTIPLE, -(-w // MULTIPLE) * MULTIPLE, 3), np.uint8)
    pixels = torch.from_numpy(np.require(image, requirements=["C", "W"])).permute(2, 0, 1)[None]
    small = interpolate(pixels, (h, w), mode="bilinear", antialias=True)  # as PIL, without a copy of the image
    filled[:h, :w] = small[0].permute(1, 2, 0).numpy()
    return _Scaled(filled, (w / width, h / height))


def _decode(maps: Maps, factors: tuple[float, float], threshold: float) -> list[Detection]:
    """The faces of one image; the maps have no dimension of the batch."""
    rows, columns = torch.nonzero(maps.heat[0] > threshold, as_tuple=True)
    scores = maps.heat[0, rows, columns].double().numpy()
    height, width = (maps.size[:, rows, columns].double().exp() * STRIDE).numpy()
    y, x = ((torch.stack((rows, columns)) + maps.shift[:, rows, columns].double() + 0.5) * STRIDE).numpy()
    boxes = np.stack((x - width / 2, y - height / 2, x + width / 2, y + height / 2), axis=1)
    shares = maps.points[:, rows, columns].double().numpy().reshape(5, 2, -1)
    points = np.stack((shares[:, 1] * width + boxes[:, 0], shares[:, 0] * height + boxes[:, 1]), axis=-1)
    points = points.swapaxes(0, 1)
    found = []
    for places in _faces(boxes, scores):
        # The mean of all places that see a face is nearer to it than the best place alone.
        box, face = (np.average(values[places], axis=0, weights=scores[places]) for values in (boxes, points))
        # Points are counted from the centre of the first pixel, the network's from its edge.
        box, face = box / (*factors, *factors), face / factors - 0.5
        found.append(Detection(box=box.tolist(), score=float(scores[places[0]]), points=face.tolist()))
    return found


def _faces(boxes: Floats, scores: Floats) -> list[NDArray[np.intp]]:
    """Numbers of the boxes [N, 4] that are one face, for each face; in both the highest score comes first."""
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    left = np.argsort(-scores, kind="stable")
    found = []
    while len(left):
        best = left[0]
        low, high = np.maximum(boxes[best, :2], boxes[left, :2]), np.minimum(boxes[best, 2:], boxes[left, 2:])
        shared = (high - low).clip(min=0).prod(axis=1)
        same = shared >= OVERLAP * (areas[best] + areas[left] - shared)
        same[0] = True  # whatever its size
        found.append(left[same])
        left = left[~same]
    return found

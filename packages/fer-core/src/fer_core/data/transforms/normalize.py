"""From pixels to the numbers that a network sees."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fer_core.data.random import SampleRandom
from fer_core.data.transforms.base import Picture, Plan, Planned, Shape, to_tensor
from fer_core.preprocessing import Preprocessing


class Normalize(Planned):
    """Subtract each channel's `data.mean` and divide by its `data.std`, both in units of pixels in 0..1.

    From here on images are float32 tensors.
    """

    raw: bool = True

    def __init__(self, preprocessing: Preprocessing) -> None:
        self._mean = torch.tensor(preprocessing.mean, dtype=torch.float32)[:, None, None]
        self._std = torch.tensor(preprocessing.std, dtype=torch.float32)[:, None, None]

    def image(self, image: Picture, rng: SampleRandom) -> Picture:
        """Normalise one image; a PIL image becomes a float32 tensor [C, H, W]."""
        return (to_tensor(image) - self._mean) / self._std

    def plan(self, rng: SampleRandom, shape: Shape) -> Plan:
        """Normalise uint8 pixels or floats in 0..1 to float32 [N, 3, H, W], contiguous."""
        return Plan(_scale, shape, [1 / (255 * self._std), 1 / self._std, self._mean / self._std])

    def undo(self, images: Tensor) -> Tensor:
        """Pixels in 0..1 of normalised images, float32 [N, 3, H, W] on the CPU."""
        return images * self._std + self._mean


def _scale(images: Tensor, values: Sequence[Tensor]) -> Tensor:
    """Images times a scale, that of uint8 or of floats, minus a bias."""
    bytewise, plain, bias = values
    scale = bytewise if images.dtype == torch.uint8 else plain
    pixels = images.contiguous().to(torch.float32)
    scaled = pixels * scale if pixels.shape[1] == 1 else pixels.mul_(scale)
    return scaled.sub_(bias)

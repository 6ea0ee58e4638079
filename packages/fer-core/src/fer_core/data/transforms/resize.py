"""Every face to the network's input size."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from fer_core.data.random import SampleRandom
from fer_core.data.transforms.base import Picture, Transform, TransformInfo
from fer_core.errors import FerError, nearest

_METHODS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


class Resize(Transform):
    """Resize to a square with an antialiased filter; the aspect ratio is not kept.

    Args:
        info: Gives the default size.
        size: Side in pixels; by default that of the network's input.
        interpolation: `bilinear` or `bicubic`.
    """

    raw: bool = True

    def __init__(self, info: TransformInfo, size: int | None = None, interpolation: str = "bilinear") -> None:
        self.size = info.input_size if size is None else size
        if isinstance(self.size, bool) or not isinstance(self.size, int) or self.size < 1:
            raise FerError(f"resize: size is {size!r}: it must be a whole number of pixels, 1 or more")
        if interpolation not in _METHODS:
            raise FerError(
                f"resize: unknown interpolation {interpolation!r}, {nearest(str(interpolation), _METHODS)}"
            )
        self.interpolation = interpolation

    def image(self, image: Picture, rng: SampleRandom) -> Picture:
        """Resize one picture; PIL's filter for PIL pictures."""
        if isinstance(image, Tensor):
            return self.batch(image[None], rng)[0]
        return image.resize((self.size, self.size), _METHODS[self.interpolation])

    def batch(self, images: Tensor, rng: SampleRandom) -> Tensor:
        """Resize uint8 or float [N, C, H, W]; images that have the size already are returned as they are."""
        if images.shape[-2:] == (self.size, self.size):
            return images
        native = images.is_floating_point() or images.device.type == "cpu"
        given = images if native else images.float()  # only the CPU interpolates uint8
        resized = F.interpolate(given, (self.size, self.size), mode=self.interpolation, antialias=True)
        return resized if native else resized.round_().clamp_(0, 255).to(torch.uint8)

"""Every face to the network's input size."""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from fer_core.data.random import SampleRandom
from fer_core.data.transforms.base import Picture, Plan, Planned, Shape, check_size
from fer_core.errors import FerError, nearest
from fer_core.preprocessing import Preprocessing

METHODS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def check_filter(transform: str, value: object) -> str:
    """The value of the option `interpolation`, if it is `bilinear` or `bicubic`; FerError otherwise."""
    if not isinstance(value, str) or value not in METHODS:
        raise FerError(f"{transform}: unknown interpolation {value!r}, {nearest(str(value), METHODS)}")
    return value


def resize_batch(images: Tensor, size: tuple[int, int], method: str) -> Tensor:
    """Images [N, C, H, W], uint8 or float, in this height and width; returned as they are if they have them."""
    if images.shape[-2:] == size:
        return images
    native = images.is_floating_point() or _resizes_bytes(images.device)
    given = images if native else images.float()
    resized = F.interpolate(given, size, mode=method, antialias=True)
    return resized if native else resized.round_().clamp_(0, 255).to(torch.uint8)


@cache
def _resizes_bytes(device: torch.device) -> bool:
    """Whether torch interpolates uint8 there, as it does on a CPU."""
    image = torch.zeros(1, 1, 2, 2, dtype=torch.uint8, device=device)
    try:
        F.interpolate(image, 1, mode="bilinear", antialias=True)
    except RuntimeError:
        return False
    return True


class Resize(Planned):
    """Resize to a square with an antialiased filter; the aspect ratio is not kept.

    Args:
        preprocessing: Gives the default size.
        size: Side in pixels; by default that of the network's input.
        interpolation: `bilinear` or `bicubic`.
    """

    raw: bool = True
    sizes: bool = True

    def __init__(
        self, preprocessing: Preprocessing, size: int | None = None, interpolation: str = "bilinear"
    ) -> None:
        self.size = check_size("resize: size", preprocessing.input_size if size is None else size)
        self.interpolation = check_filter("resize", interpolation)

    def image(self, image: Picture, rng: SampleRandom) -> Picture:
        """Resize one image; PIL's filter for PIL images."""
        if isinstance(image, Tensor):
            return self.batch(image[None], rng)[0]
        return image.resize((self.size, self.size), METHODS[self.interpolation])

    def plan(self, rng: SampleRandom, shape: Shape) -> Plan:
        """Resize uint8 or float [N, C, H, W]; images that have the size already are returned as they are."""
        size = self.size, self.size
        return Plan(lambda images, values: resize_batch(images, size, self.interpolation), shape.resized(*size))

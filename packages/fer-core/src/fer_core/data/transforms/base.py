"""The base class of transforms, and the checks of their options."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fer_core.data.random import SampleRandom
from fer_core.errors import FerError

Picture = Image.Image | Tensor
"""One image: PIL RGB, or from `normalize` on a float32 tensor [C, H, W]."""


class Transform(ABC):
    """One step from pixels to the network's input, in two forms.

    Both forms draw the same numbers in the same order, so for equal (seed, epoch, index) they give the same
    image up to interpolation. A factory is called with `(preprocessing: Preprocessing, **options)` and raises
    FerError for an invalid value.

    Attributes:
        raw: Whether `batch` also takes uint8 [N, C, H, W] with 1 or 3 channels and keeps it uint8. Others get
            float32 [N, 3, H, W], in 0..1 before `normalize`.
        pixels: Whether it is defined for pixels only, and therefore has to stand before `normalize`.
        sizes: Whether it gives images of any sizes one size. Such a transform never writes to what it is given.
    """

    raw: bool = False
    pixels: bool = False
    sizes: bool = False

    @abstractmethod
    def batch(self, images: Tensor, rng: SampleRandom) -> Tensor:
        """Transform a whole batch, on the device where it is.

        It belongs to the transform, which may overwrite it. No number may depend on what other samples drew.
        """

    def image(self, image: Picture, rng: SampleRandom) -> Picture:
        """Transform one image, with a stream of one sample. By default `batch` with a batch of one."""
        return self.batch(to_tensor(image)[None], rng)[0]


class Views(ABC):
    """A step that makes several images of one; what follows treats each of them as an image of its own.

    Attributes:
        count: Number of views.
        sizes: As for `Transform`.
    """

    count: int
    sizes: bool = False

    @abstractmethod
    def batch(self, images: Tensor) -> Tensor:
        """Views of [N, C, H, W]: [N, V, C, h, w], uint8 if the images are."""

    @abstractmethod
    def image(self, image: Picture) -> list[Picture]:
        """The same views of one image."""


def to_tensor(image: Picture) -> Tensor:
    """PIL image as float32 [C, H, W] in 0..1; a tensor is returned as it is."""
    if isinstance(image, Tensor):
        return image
    pixels = torch.from_numpy(np.array(image, dtype=np.uint8))
    pixels = pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)
    return pixels.to(torch.float32, memory_format=torch.contiguous_format).div_(255)


def chosen_rows(rng: SampleRandom, p: float) -> Tensor:
    """Rows for which an event of probability p happens, int64 [n] on the CPU. One draw."""
    return torch.nonzero(rng.uniform()[:, 0] < p)[:, 0]


def put_rows(images: Tensor, rows: Tensor, part: Tensor) -> Tensor:
    """`images` with `part` in these rows (on the CPU), in place unless `part` alone has three channels."""
    if part.shape[1] > images.shape[1]:
        images = images.repeat(1, part.shape[1], 1, 1)
    images[rows.to(images.device)] = part
    return images


def check_size(option: str, value: object) -> int:
    """The value of an option, if it is a number of pixels; FerError otherwise."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise FerError(f"{option} is {value!r}: it must be a whole number of pixels, 1 or more")
    return value


def check_number(option: str, value: object, low: float, high: float = float("inf")) -> float:
    """The value of an option as a float, if it is a number in [low, high]; FerError otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        bounds = f"of at least {low:g}" if high == float("inf") else f"from {low:g} to {high:g}"
        raise FerError(f"{option} is {value!r}: it must be a number {bounds}")
    return float(value)


def check_interval(
    option: str, value: Sequence[float], low: float, high: float = float("inf")
) -> tuple[float, float]:
    """The value of an option as (smallest, largest), if it is two rising numbers in [low, high]."""
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        raise FerError(f"{option} is {value!r}: give the smallest and the largest value, as in [0.8, 1.0]")
    first, last = (check_number(option, bound, low, high) for bound in value)
    if first > last:
        raise FerError(f"{option} is {value!r}: its first value exceeds its second, swap them")
    return first, last

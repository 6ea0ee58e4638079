"""The base class of transforms, and the checks of their options."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

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
        many: Whether `batch` is many short operations on an accelerator, hardly fewer for few images. Two batches
            are then transformed at once there.
    """

    raw: bool = False
    pixels: bool = False
    sizes: bool = False
    many: bool = False

    @abstractmethod
    def batch(self, images: Tensor, rng: SampleRandom) -> Tensor:
        """Transform a whole batch, on the device where it is.

        It belongs to the transform, which may overwrite it. No number may depend on what other samples drew.
        """

    def image(self, image: Picture, rng: SampleRandom) -> Picture:
        """Transform one image, with a stream of one sample. By default `batch` with a batch of one."""
        return self.batch(to_tensor(image)[None], rng)[0]


class Shape(NamedTuple):
    """What is known of a batch before it is there: the shape of its images, and whether the host has them."""

    channels: int
    height: int
    width: int
    host: bool

    @classmethod
    def of(cls, images: Tensor) -> Shape:
        """That of a batch [N, C, H, W]."""
        channels, height, width = images.shape[1:]
        return cls(channels, height, width, images.is_cpu)

    def resized(self, height: int, width: int) -> Shape:
        """The same with another height and width."""
        return self._replace(height=height, width=width)


Work = Callable[[Tensor, Sequence[Tensor]], Tensor]
"""(images, values on their device) -> images."""


@dataclass(frozen=True)
class Plan:
    """A transform of one batch that has drawn its numbers and is still to be done.

    Attributes:
        work: What it does; it may overwrite what it is given.
        shape: Of the images after it.
        values: What it needs of the host, tensors of the CPU.
    """

    work: Work
    shape: Shape
    values: Sequence[Tensor] = ()


class Planned(Transform):
    """A transform that draws before it works, so that the values of a whole pipeline are one copy to a device."""

    @abstractmethod
    def plan(self, rng: SampleRandom, shape: Shape) -> Plan:
        """Draw the numbers of a batch of images of this shape."""

    def batch(self, images: Tensor, rng: SampleRandom) -> Tensor:
        """Transform a whole batch."""
        plan = self.plan(rng, Shape.of(images))
        return plan.work(images, [value.to(images.device) for value in plan.values])


def plan_all(transforms: Sequence[Transform], rng: SampleRandom, shape: Shape) -> Plan:
    """Transforms one after another as one. One that cannot be planned draws while it works, as do all after it."""
    plans: list[Plan] = []
    late = False
    for transform in transforms:
        if late or not isinstance(transform, Planned):
            late = True
            plans.append(Plan(partial(_draw_late, transform, rng), shape))
        else:
            plans.append(transform.plan(rng, shape))
            shape = plans[-1].shape

    return chain(plans, shape)


def chain(plans: Sequence[Plan], shape: Shape) -> Plan:
    """Plans one after another as one; `shape` is that of the images in the end."""

    def work(images: Tensor, values: Sequence[Tensor]) -> Tensor:
        for plan, own in zip(plans, deal(values, plans), strict=True):
            images = plan.work(images, own)
        return images

    return Plan(work, shape, [value for plan in plans for value in plan.values])


def _draw_late(transform: Transform, rng: SampleRandom, images: Tensor, values: Sequence[Tensor]) -> Tensor:
    return transform.batch(images, rng)


def deal(values: Sequence[Tensor], plans: Sequence[Plan]) -> Iterator[Sequence[Tensor]]:
    """The values of each plan, given those of all."""
    first = 0
    for plan in plans:
        yield values[first : first + len(plan.values)]
        first += len(plan.values)


class Views(ABC):
    """A step that makes several images of one; what follows treats each of them as an image of its own.

    Attributes:
        count: Number of views.
        sizes: As for `Transform`.
    """

    count: int
    sizes: bool = False

    def side(self) -> int | None:
        """Height and width of the views; None if only `batch` knows."""
        return None

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
    """`images` with `part` in these rows, in place unless `part` alone has three channels."""
    if part.shape[1] > images.shape[1]:
        images = images.repeat(1, part.shape[1], 1, 1)
    images[rows] = part
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

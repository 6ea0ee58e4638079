"""Transforms that move pixels: each output pixel is a copy of one input pixel, or black.

So they act alike on uint8 and float batches of any number of channels, and both forms agree almost exactly.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor

from fer_core.data.random import SampleRandom
from fer_core.data.transforms.base import (
    Picture,
    Plan,
    Planned,
    Shape,
    check_interval,
    check_number,
    chosen_rows,
)
from fer_core.errors import FerError
from fer_core.preprocessing import Preprocessing


def take_pixels(images: Tensor, columns: Tensor, rows: Tensor) -> Tensor:
    """Copy one input pixel to each output pixel, 0 where it lies outside.

    Args:
        images: [N, C, H, W], any type.
        columns: Input column of each output pixel, int32, broadcasts to [N, H, W] with `rows`; overwritten.
        rows: Input row of each output pixel, likewise.
    """
    n, channels, height, width = images.shape
    framed = F.pad(images, (1, 1, 1, 1)).flatten(2)  # whatever lies outside is found in a black frame
    rows = rows.clamp_(-1, height).add_(1).mul_(width + 2)
    index = (rows + columns.clamp_(-1, width).add_(1)).long().view(n, 1, height * width)
    return framed.gather(2, index.expand(-1, channels, -1)).view(images.shape)


def affine_matrices(angle: Tensor, shift: Tensor, scale: Tensor, shear: Tensor, size: tuple[int, int]) -> Tensor:
    """Matrices from output to input coordinates, [N, 2, 3], in pixels from the upper left corner.

    The image is sheared along x, scaled and turned about its centre, then shifted, as torchvision's `affine`.

    Args:
        angle: Degrees, clockwise, [N].
        shift: Pixels to the right and down, [N, 2].
        scale: Factor, [N].
        shear: Degrees, [N].
        size: Height and width.
    """
    cos, sin = torch.cos(torch.deg2rad(angle)), torch.sin(torch.deg2rad(angle))
    slant = torch.tan(torch.deg2rad(shear))
    # the turn by -angle, then the shear undone
    inverse = torch.stack([cos - slant * sin, sin + slant * cos, -sin, cos], 1).view(-1, 2, 2)
    inverse = inverse / scale[:, None, None]
    centre = torch.tensor([size[1] / 2, size[0] / 2])
    offset = centre - (inverse @ (centre + shift)[:, :, None])[:, :, 0]
    return torch.cat([inverse, offset[:, :, None]], 2)


def warp(images: Tensor, matrices: Tensor) -> Tensor:
    """Warp [N, C, H, W] by matrices of `affine_matrices`: nearest pixel, black outside."""
    height, width = images.shape[-2:]
    x = torch.arange(width, device=images.device) + 0.5
    y = torch.arange(height, device=images.device)[:, None] + 0.5
    matrices = matrices[..., None, None]
    columns, rows = (row[:, 0] * x + (row[:, 1] * y + row[:, 2]) for row in matrices.unbind(1))
    return take_pixels(images, columns.floor_().int(), rows.floor_().int())


class _Warp(Planned):
    """A transform that is an affine map, one matrix a sample."""

    raw: bool = True

    @abstractmethod
    def matrices(self, rng: SampleRandom, size: tuple[int, int]) -> Tensor:
        """Draw the matrices from output to input coordinates, [N, 2, 3], for images of this height and width."""

    def image(self, image: Picture, rng: SampleRandom) -> Picture:
        """Warp one image."""
        if isinstance(image, Tensor):
            return self.batch(image[None], rng)[0]
        matrix = self.matrices(rng, (image.height, image.width)).flatten().tolist()
        return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST)

    def plan(self, rng: SampleRandom, shape: Shape) -> Plan:
        """Warp each sample by a matrix of its own."""
        matrices = self.matrices(rng, (shape.height, shape.width))
        return Plan(lambda images, values: warp(images, values[0]), shape, [matrices])


class Rotation(_Warp):
    """Turn about the centre by an angle uniform in +-`degrees`; nearest pixel, black corners."""

    def __init__(self, preprocessing: Preprocessing, degrees: float) -> None:
        self.degrees = check_number("rotation: degrees", degrees, 0, 180)

    def matrices(self, rng: SampleRandom, size: tuple[int, int]) -> Tensor:
        """Draws the angle, counter-clockwise."""
        angle = rng.uniform(-self.degrees, self.degrees)[:, 0]
        still = torch.zeros_like(angle)
        return affine_matrices(-angle, torch.zeros(len(angle), 2), torch.ones_like(angle), still, size)


class Affine(_Warp):
    """Turn, shift, scale and shear about the centre; nearest pixel, black outside.

    Args:
        preprocessing: Unused.
        degrees: Angle uniform in +-`degrees`.
        translate: Largest shift to either side as fractions of width and height; rounded to pixels.
        scale: Smallest and largest factor.
        shear: Shear along x uniform in +-`shear` degrees.
    """

    def __init__(
        self,
        preprocessing: Preprocessing,
        degrees: float,
        translate: Sequence[float] | None = None,
        scale: Sequence[float] | None = None,
        shear: float | None = None,
    ) -> None:
        self.degrees = check_number("affine: degrees", degrees, 0, 180)
        if translate is None:
            translate = (0.0, 0.0)
        if not isinstance(translate, Sequence) or isinstance(translate, str) or len(translate) != 2:
            raise FerError(f"affine: translate is {translate!r}: give two fractions, as in [0.1, 0.1]")
        self.translate = tuple(check_number("affine: translate", value, 0, 1) for value in translate)
        self.scale = check_interval("affine: scale", (1.0, 1.0) if scale is None else scale, 1e-3)
        self.shear = check_number("affine: shear", 0 if shear is None else shear, 0, 89)

    def matrices(self, rng: SampleRandom, size: tuple[int, int]) -> Tensor:
        """Draws angle, shift in x and y, scale, shear, whether or not they vary."""
        u = rng.uniform(-1, 1, k=5)
        limits = torch.tensor([self.translate[0] * size[1], self.translate[1] * size[0]])
        low, high = self.scale
        scale = (low + high) / 2 + u[:, 3] * ((high - low) / 2)
        return affine_matrices(
            u[:, 0] * self.degrees, torch.round(u[:, 1:3] * limits), scale, u[:, 4] * self.shear, size
        )


class HorizontalFlip(Planned):
    """Mirror left and right with probability `p`."""

    raw: bool = True

    def __init__(self, preprocessing: Preprocessing, p: float = 0.5) -> None:
        self.p = check_number("horizontal_flip: p", p, 0, 1)

    def image(self, image: Picture, rng: SampleRandom) -> Picture:
        """Mirror one image, or not."""
        if isinstance(image, Tensor):
            return self.batch(image[None], rng)[0]
        return ImageOps.mirror(image) if len(chosen_rows(rng, self.p)) else image

    def plan(self, rng: SampleRandom, shape: Shape) -> Plan:
        """Mirror the chosen samples, in place."""

        def work(images: Tensor, values: Sequence[Tensor]) -> Tensor:
            (rows,) = values
            images[rows] = images[rows].flip(-1)
            return images

        return Plan(work, shape, [chosen_rows(rng, self.p)])


class RandomCrop(Planned):
    """Shift by whole pixels: pad with black on all sides, crop the original size at a random place.

    Args:
        preprocessing: Unused.
        padding: Width of the border as a fraction of the side it lengthens, rounded to pixels: 1/7 is 32 at 224.
    """

    raw: bool = True

    def __init__(self, preprocessing: Preprocessing, padding: float) -> None:
        self.padding = check_number("random_crop: padding", padding, 0, 1)

    def _offsets(self, rng: SampleRandom, size: tuple[int, int]) -> Tensor:
        """Draws the place of the crop: its upper left corner (row, column) in the image, [N, 2]."""
        border = torch.tensor([round(self.padding * side) for side in size])
        return rng.integers(2 * border + 1, k=2) - border

    def image(self, image: Picture, rng: SampleRandom) -> Picture:
        """Crop one image."""
        if isinstance(image, Tensor):
            return self.batch(image[None], rng)[0]
        top, left = self._offsets(rng, (image.height, image.width))[0].tolist()
        return image.crop((left, top, left + image.width, top + image.height))

    def plan(self, rng: SampleRandom, shape: Shape) -> Plan:
        """Crop each sample at a place of its own."""
        offsets = self._offsets(rng, (shape.height, shape.width)).int()
        return Plan(_shift, shape, [offsets])


def _shift(images: Tensor, values: Sequence[Tensor]) -> Tensor:
    """Crops of the size of the images, at offsets int32 [N, 2]."""
    top, left = (offset[:, None, None] for offset in values[0].unbind(1))
    down, across = (torch.arange(side, dtype=torch.int32, device=images.device) for side in images.shape[-2:])
    return take_pixels(images, across + left, down[:, None] + top)

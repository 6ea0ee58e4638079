"""Transforms that are defined for 8-bit pixels, as PIL computes them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from fer_core.data.random import SampleRandom
from fer_core.data.transforms.base import Picture, Plan, Planned, Shape


class PixelTransform(Planned):
    """A transform of uint8 pixels; floats in 0..1 are rounded to them first. It stands before `normalize`."""

    raw: bool = True
    pixels: bool = True

    @abstractmethod
    def picture(self, image: Image.Image, rng: SampleRandom) -> Image.Image:
        """Transform one PIL image."""

    @abstractmethod
    def draw(self, rng: SampleRandom, shape: Shape) -> Plan:
        """The plan for uint8 [N, C, H, W], C 1 or 3."""

    def image(self, image: Picture, rng: SampleRandom) -> Picture:
        """Transform one image."""
        if isinstance(image, Tensor):
            return self.batch(image[None], rng)[0]
        return self.picture(image, rng)

    def plan(self, rng: SampleRandom, shape: Shape) -> Plan:
        """Transform a batch of uint8 pixels, or of floats in 0..1."""
        drawn = self.draw(rng, shape)

        def work(images: Tensor, values: Sequence[Tensor]) -> Tensor:
            if images.dtype == torch.uint8:
                return drawn.work(images, values)
            pixels = images.mul(255).round_().clamp_(0, 255).to(torch.uint8)
            return drawn.work(pixels, values).to(torch.float32).div_(255)

        return Plan(work, drawn.shape, drawn.values)

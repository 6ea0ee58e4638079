"""Transforms that are defined for 8-bit pixels, as PIL computes them."""

from __future__ import annotations

from abc import abstractmethod

import torch
from PIL import Image
from torch import Tensor

from fer_core.data.random import SampleRandom
from fer_core.data.transforms.base import Picture, Transform


class PixelTransform(Transform):
    """A transform of uint8 pixels; floats in 0..1 are rounded to them first. It stands before `normalize`."""

    raw: bool = True
    pixels: bool = True

    @abstractmethod
    def picture(self, image: Image.Image, rng: SampleRandom) -> Image.Image:
        """Transform one PIL image."""

    @abstractmethod
    def tensor(self, images: Tensor, rng: SampleRandom) -> Tensor:
        """Transform uint8 [N, C, H, W], C 1 or 3."""

    def image(self, image: Picture, rng: SampleRandom) -> Picture:
        """Transform one image."""
        if isinstance(image, Tensor):
            return self.batch(image[None], rng)[0]
        return self.picture(image, rng)

    def batch(self, images: Tensor, rng: SampleRandom) -> Tensor:
        """Transform a batch of uint8 pixels, or of floats in 0..1."""
        if images.dtype == torch.uint8:
            return self.tensor(images, rng)
        pixels = images.mul(255).round_().clamp_(0, 255).to(torch.uint8)
        return self.tensor(pixels, rng).to(torch.float32).div_(255)

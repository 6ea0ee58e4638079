"""Colour jitter and additive noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fer_core.data.random import SampleRandom
from fer_core.data.transforms.base import Plan, Shape, check_number
from fer_core.data.transforms.operations import Style
from fer_core.data.transforms.pixels import PixelTransform
from fer_core.data.transforms.policies import NONE, Policy
from fer_core.data.transforms.rounds import Draw
from fer_core.preprocessing import Preprocessing

_PROPERTIES = ("brightness", "contrast", "color", "hue")


class ColorJitter(Policy):
    """Change brightness, contrast, saturation and hue, in random order, as torchvision's `ColorJitter`.

    Args:
        preprocessing: Unused.
        brightness: The factor is uniform in [1 - brightness, 1 + brightness], and 0 at least.
        contrast: Likewise.
        saturation: Likewise.
        hue: Part of the colour circle, uniform in +-`hue`, at most 0.5.
    """

    def __init__(
        self,
        preprocessing: Preprocessing,
        brightness: float = 0,
        contrast: float = 0,
        saturation: float = 0,
        hue: float = 0,
    ) -> None:
        amounts = {"brightness": brightness, "contrast": contrast, "saturation": saturation}
        self.limits = [check_number(f"color_jitter: {name}", value, 0) for name, value in amounts.items()]
        self.limits.append(check_number("color_jitter: hue", hue, 0, 0.5))

    def draws(self, rng: SampleRandom, size: tuple[int, int]) -> list[Draw]:
        """Draws the order of the four and four strengths, whether or not they vary."""
        order = rng.uniform(k=4).argsort(1)
        spread = rng.uniform(-1, 1, k=4).double() * torch.tensor(self.limits, dtype=torch.float64)
        strengths = (spread + 1).clamp_(min=0)
        strengths[:, 3] = torch.trunc(spread[:, 3] * 255) % 256
        names = [name if limit else NONE for name, limit in zip(_PROPERTIES, self.limits, strict=True)]
        return [
            Draw(
                [names[at] for at in step.tolist()],
                strengths.gather(1, step[:, None])[:, 0],
                [Style()] * len(step),
            )
            for step in order.unbind(1)
        ]


class GaussianNoise(PixelTransform):
    """Add normal noise to each pixel and channel, clip to 0..255, truncate.

    Args:
        preprocessing: Unused.
        variance: Of the noise, for pixels in 0..255.
    """

    def __init__(self, preprocessing: Preprocessing, variance: float) -> None:
        self.deviation = check_number("gaussian_noise: variance", variance, 0) ** 0.5

    def picture(self, image: Image.Image, rng: SampleRandom) -> Image.Image:
        """Add noise to one image, which becomes RGB."""
        pixels = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)[None]
        return Image.fromarray(self.batch(pixels, rng)[0].permute(1, 2, 0).numpy())

    def draw(self, rng: SampleRandom, shape: Shape) -> Plan:
        """Add noise to a batch, which gets three channels."""
        noise = rng.normal((3, shape.height, shape.width))
        return Plan(self._add, shape, [noise])

    def _add(self, images: Tensor, values: Sequence[Tensor]) -> Tensor:
        return values[0].mul(self.deviation).add_(images).clamp_(0, 255).to(torch.uint8)

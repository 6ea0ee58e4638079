"""Augmentation policies: RandAugment as PyTorch Image Models implements it, AutoAugment as torchvision does.

Cubuk, Zoph, Shlens, Le: RandAugment, https://arxiv.org/abs/1909.13719. Cubuk, Zoph, Mane, Vasudevan, Le:
AutoAugment, https://arxiv.org/abs/1805.09501, whose table of 25 pairs for ImageNet is below.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fer_core.data.random import SampleRandom
from fer_core.data.transforms.base import Plan, Shape, check_number
from fer_core.data.transforms.operations import OPERATIONS, Style, check_fill, check_method
from fer_core.data.transforms.pixels import PixelTransform
from fer_core.data.transforms.rounds import Draw, plan_rounds
from fer_core.errors import FerError, nearest
from fer_core.preprocessing import Preprocessing

LEVELS = 10.0
"""Largest magnitude."""
NONE = ""
"""Stands for no operation."""


class Policy(PixelTransform):
    """A transform that applies operations in a number of steps, drawn anew for every sample."""

    many: bool = True
    fill: tuple[int, int, int] = (0, 0, 0)

    @abstractmethod
    def draws(self, rng: SampleRandom, size: tuple[int, int]) -> list[Draw]:
        """The steps, for images of this height and width; draws the same amount whatever the outcome."""

    def picture(self, image: Image.Image, rng: SampleRandom) -> Image.Image:
        """Apply all steps to one image."""
        if len(set(self.fill)) > 1:
            image = image.convert("RGB")
        return _apply(self.draws(rng, (image.height, image.width)), 0, image)

    def draw(self, rng: SampleRandom, shape: Shape) -> Plan:
        """Apply the steps: image by image with PIL in host memory, where that is fastest, else together."""
        size = shape.height, shape.width
        draws = self.draws(rng, size)
        steps = Plan(partial(_one_by_one, draws), shape) if shape.host else plan_rounds(draws, shape)

        def work(images: Tensor, values: Sequence[Tensor]) -> Tensor:
            if len(set(self.fill)) > 1 and images.shape[1] == 1:
                images = images.repeat(1, 3, 1, 1)
            return steps.work(images, values)

        return Plan(work, shape, steps.values)


def _apply(draws: Sequence[Draw], row: int, image: Image.Image) -> Image.Image:
    """One image after the steps of its row."""
    for draw in draws:
        if name := draw.names[row]:
            image = OPERATIONS[name].picture(image, float(draw.strengths[row]), draw.styles[row])
    return image


def _one_by_one(draws: Sequence[Draw], images: Tensor, values: Sequence[Tensor]) -> Tensor:
    """All steps on the images of the CPU, in place."""
    for row, planes in enumerate(images.numpy()):
        if any(draw.names[row] for draw in draws):
            channels = [Image.fromarray(np.ascontiguousarray(plane)) for plane in planes]
            image = channels[0] if len(channels) == 1 else Image.merge("RGB", channels)
            for plane, channel in zip(planes, _apply(draws, row, image).split(), strict=True):
                plane[:] = np.asarray(channel)
    return images


Strength = Callable[[Tensor, Tensor, tuple[int, int]], Tensor]
"""(magnitude 0..10, sign +-1, (height, width)) -> strength; each [N], float64."""


def _none(level: Tensor, sign: Tensor, size: tuple[int, int]) -> Tensor:
    return torch.zeros_like(level)


def _factor(level: Tensor, sign: Tensor, size: tuple[int, int]) -> Tensor:
    return level / LEVELS * 1.8 + 0.1


def _factor_increasing(level: Tensor, sign: Tensor, size: tuple[int, int]) -> Tensor:
    return (1 + sign * (level / LEVELS * 0.9)).clamp(min=0.1)


def _bits(level: Tensor, sign: Tensor, size: tuple[int, int]) -> Tensor:
    return torch.trunc(level / LEVELS * 4)


def _threshold(level: Tensor, sign: Tensor, size: tuple[int, int]) -> Tensor:
    return torch.trunc(level / LEVELS * 256)


_FIXED: dict[str, Strength] = {
    "auto_contrast": _none,
    "equalize": _none,
    "invert": _none,
    "rotate": lambda level, sign, size: sign * level / LEVELS * 30,
    "posterize": _bits,
    "solarize": _threshold,
    "solarize_add": lambda level, sign, size: torch.trunc(level / LEVELS * 110),
    "color": _factor,
    "contrast": _factor,
    "brightness": _factor,
    "sharpness": _factor,
    "shear_x": lambda level, sign, size: sign * level / LEVELS * 0.3,
    "shear_y": lambda level, sign, size: sign * level / LEVELS * 0.3,
    "translate_x": lambda level, sign, size: sign * level / LEVELS * 0.45 * size[1],
    "translate_y": lambda level, sign, size: sign * level / LEVELS * 0.45 * size[0],
}
# where a larger magnitude always means a larger change
_INCREASING: dict[str, Strength] = {
    **_FIXED,
    "posterize": lambda *given: 4 - _bits(*given),
    "solarize": lambda *given: 256 - _threshold(*given),
    **dict.fromkeys(("color", "contrast", "brightness", "sharpness"), _factor_increasing),
}


class RandAugment(Policy):
    """`num_ops` of 15 operations, drawn with replacement, each applied with probability `p`.

    Args:
        preprocessing: Unused.
        num_ops: Operations drawn for each image.
        magnitude: Mean magnitude, 0 to 10.
        magnitude_std: Standard deviation of the magnitude, which is normal, drawn for each operation and cut off
            at 0 and 10.
        p: Probability that a drawn operation is applied.
        increasing: Whether a larger magnitude always changes the image more. If not, posterize and solarize
            change it less, and the factors of the four enhancements rise from 0.1 over 1 (no change) to 1.9.
        fill: Colour of what comes from outside, 0..255, in the channel order of `data.color`.
        interpolation: `nearest`, `bilinear`, `bicubic`, or `random` for bilinear or bicubic, equally likely.
    """

    def __init__(
        self,
        preprocessing: Preprocessing,
        num_ops: int = 2,
        magnitude: float = 9,
        magnitude_std: float = 0.5,
        p: float = 0.5,
        increasing: bool = True,
        fill: Sequence[int] = (128, 128, 128),
        interpolation: str = "random",
    ) -> None:
        if isinstance(num_ops, bool) or not isinstance(num_ops, int) or num_ops < 1:
            raise FerError(f"rand_augment: num_ops is {num_ops!r}: it must be a whole number, 1 or more")
        self.num_ops = num_ops
        self.magnitude = check_number("rand_augment: magnitude", magnitude, 0, LEVELS)
        self.deviation = check_number("rand_augment: magnitude_std", magnitude_std, 0)
        self.p = check_number("rand_augment: p", p, 0, 1)
        if not isinstance(increasing, bool):
            raise FerError(f"rand_augment: increasing is {increasing!r}: it must be true or false")
        self.strengths = _INCREASING if increasing else _FIXED
        self.fill = check_fill("rand_augment: fill", fill)
        method = check_method("rand_augment: interpolation", interpolation, "random")
        self.styles = [
            Style(name, self.fill) for name in (("bilinear", "bicubic") if method == "random" else (method,))
        ]

    def draws(self, rng: SampleRandom, size: tuple[int, int]) -> list[Draw]:
        """Draws operation, decision, magnitude, sign and interpolation for each step."""
        return [self._draw(rng, size) for _ in range(self.num_ops)]

    def _draw(self, rng: SampleRandom, size: tuple[int, int]) -> Draw:
        kind = rng.integers(len(self.strengths))
        happens = (rng.uniform()[:, 0] < self.p).tolist()
        level = (self.magnitude + self.deviation * rng.normal(()).double()).clamp_(0, LEVELS)
        sign = 1 - 2 * rng.integers(2)[:, 0].double()
        styles = [self.styles[at] for at in rng.integers(len(self.styles))[:, 0].tolist()]
        known = list(self.strengths)
        names = [known[at] if yes else NONE for at, yes in zip(kind[:, 0].tolist(), happens, strict=True)]
        every = torch.stack([strength(level, sign, size) for strength in self.strengths.values()], 1)
        return Draw(names, every.gather(1, kind)[:, 0], styles)


# operation, probability, magnitude (0..9); twice in each of the 25 pairs
_IMAGENET = """
posterize 0.4 8, rotate 0.6 9; solarize 0.6 5, auto_contrast 0.6 0; equalize 0.8 0, equalize 0.6 0;
posterize 0.6 7, posterize 0.6 6; equalize 0.4 0, solarize 0.2 4; equalize 0.4 0, rotate 0.8 8;
solarize 0.6 3, equalize 0.6 0; posterize 0.8 5, equalize 1.0 0; rotate 0.2 3, solarize 0.6 8;
equalize 0.6 0, posterize 0.4 6; rotate 0.8 8, color 0.4 0; rotate 0.4 9, equalize 0.6 0;
equalize 0.0 0, equalize 0.8 0; invert 0.6 0, equalize 1.0 0; color 0.6 4, contrast 1.0 8;
rotate 0.8 8, color 1.0 2; color 0.8 8, solarize 0.8 7; sharpness 0.4 7, invert 0.6 0;
shear_x 0.6 5, equalize 1.0 0; color 0.4 0, equalize 0.6 0; equalize 0.4 0, solarize 0.2 4;
solarize 0.6 5, auto_contrast 0.6 0; invert 0.6 0, equalize 1.0 0; color 0.6 4, contrast 1.0 8;
equalize 0.8 0, equalize 0.6 0
"""
_POLICIES = {
    "imagenet": [
        [(name, float(p), int(level)) for name, p, level in (step.split() for step in pair.split(","))]
        for pair in _IMAGENET.split(";")
    ]
}


def _auto_strength(name: str, level: int, sign: float) -> float:
    """The strength for a magnitude of 0..9; the table has no translations."""
    match name:
        case "rotate":
            return sign * level * 30 / 9
        case "shear_x":
            return sign * level * 0.3 / 9
        case "posterize":
            return 8 - round(level * 4 / 9)
        case "solarize":
            return 255 - level * 255 // 9
        case "color" | "contrast" | "brightness" | "sharpness":
            return 1 + sign * level * 0.9 / 9
    return 0.0


class AutoAugment(Policy):
    """One of 25 pairs of operations, each applied with the probability that was found for it.

    Nearest pixel, black outside.

    Args:
        preprocessing: Unused.
        policy: `imagenet`.
    """

    def __init__(self, preprocessing: Preprocessing, policy: str = "imagenet") -> None:
        if policy not in _POLICIES:
            raise FerError(f"auto_augment: unknown policy {policy!r}, {nearest(str(policy), _POLICIES)}")
        self.pairs = _POLICIES[policy]

    def draws(self, rng: SampleRandom, size: tuple[int, int]) -> list[Draw]:
        """Draws the pair, and for each of its two a decision and a sign."""
        chosen = rng.integers(len(self.pairs))[:, 0].tolist()
        steps = []
        for place in range(2):
            happens = rng.uniform()[:, 0].tolist()
            signs = (1 - 2 * rng.integers(2)[:, 0]).tolist()
            names, values = [], []
            for pair, number, sign in zip(chosen, happens, signs, strict=True):
                name, p, level = self.pairs[pair][place]
                names.append(name if number < p else NONE)
                values.append(_auto_strength(name, level, sign))
            steps.append(Draw(names, torch.tensor(values, dtype=torch.float64), [Style()] * len(names)))
        return steps

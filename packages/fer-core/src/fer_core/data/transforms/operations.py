"""The operations of the augmentation policies, each for one PIL image and for batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from fer_core.data.transforms import tones
from fer_core.data.transforms.geometry import affine_matrices
from fer_core.data.transforms.resample import METHODS
from fer_core.errors import FerError, nearest

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


@dataclass(frozen=True)
class Style:
    """How images are warped: interpolation, and the colour (0..255) of what comes from outside."""

    method: str = "nearest"
    fill: tuple[int, int, int] = (0, 0, 0)


@dataclass(frozen=True)
class Operation:
    """One operation, whose strength is an angle in degrees, pixels, a threshold, a factor..., one number a sample.

    Attributes:
        picture: One image of a strength.
        kind: What operations share that are done together on a batch; see `fer_core.data.transforms.rounds`.
        values: What that needs for strengths [n] and images of a height and width, [n, ...].
    """

    picture: Callable[[Image.Image, float, Style], Image.Image]
    kind: str
    values: Callable[[Tensor, tuple[int, int]], Tensor] = lambda strengths, size: strengths


def _affine(coefficients: Callable[[float], tuple[float, ...]]) -> Operation:
    """An operation whose strength fills the matrix from output to input coordinates, row by row."""

    def picture(image: Image.Image, strength: float, style: Style) -> Image.Image:
        data = coefficients(strength)
        fill: int | tuple[int, ...] = style.fill if image.mode == "RGB" else style.fill[0]
        return image.transform(image.size, Image.Transform.AFFINE, data, _FILTERS[style.method], fillcolor=fill)

    def matrices(strengths: Tensor, size: tuple[int, int]) -> Tensor:
        return torch.tensor([coefficients(value) for value in strengths.tolist()]).view(-1, 2, 3)

    return Operation(picture, "warp", matrices)


def _rotate_picture(image: Image.Image, degrees: float, style: Style) -> Image.Image:
    fill: int | tuple[int, ...] = style.fill if image.mode == "RGB" else style.fill[0]
    return image.rotate(degrees, _FILTERS[style.method], fillcolor=fill)


def _rotations(degrees: Tensor, size: tuple[int, int]) -> Tensor:
    angle = degrees.float()
    still = torch.zeros_like(angle)
    return affine_matrices(-angle, torch.zeros(len(angle), 2), torch.ones_like(angle), still, size)


RAMP = torch.arange(256, dtype=torch.uint8).view(1, 1, 1, 256)


def _points(table: Callable[[int, int], int], tensor: Callable[[Tensor, Tensor], Tensor]) -> Operation:
    """An operation on single values: `table(value, strength)`."""

    def picture(image: Image.Image, strength: float, style: Style) -> Image.Image:
        return image.point([table(value, int(strength)) for value in range(256)] * len(image.getbands()))

    return Operation(picture, "table", partial(_table, tensor))


def _table(tensor: Callable[[Tensor, Tensor], Tensor], strengths: Tensor, size: tuple[int, int]) -> Tensor:
    """What each value becomes, uint8 [n, 256]."""
    return tensor(RAMP.repeat(len(strengths), 1, 1, 1), strengths).view(-1, 256)


def _enhance(kind: Callable[[Image.Image], object], which: int) -> Operation:
    """One of PIL's enhancements, whose strength is a factor (1: no change); `which` as in `tones.blend_values`."""

    def factors(strengths: Tensor, size: tuple[int, int]) -> Tensor:
        chosen = torch.zeros(len(strengths), 3)
        chosen[:, which] = 1
        chosen[:, 0] = strengths
        return chosen

    return Operation(partial(_enhanced, kind), "blend", factors)


def _enhanced(
    kind: Callable[[Image.Image], object], image: Image.Image, strength: float, style: Style
) -> Image.Image:
    enhanced: Image.Image = kind(image).enhance(strength)  # type: ignore[attr-defined]
    return enhanced


def _plain(picture: Callable[[Image.Image], Image.Image], kind: str) -> Operation:
    """An operation without a strength."""
    return Operation(lambda image, strength, style: picture(image), kind)


def _turn_hue(image: Image.Image, strength: float, style: Style) -> Image.Image:
    if image.mode == "L":
        return image
    hue, saturation, value = image.convert("HSV").split()
    turned = hue.point([(step + int(strength)) % 256 for step in range(256)])
    return Image.merge("HSV", (turned, saturation, value)).convert("RGB")


OPERATIONS: dict[str, Operation] = {
    "auto_contrast": _plain(ImageOps.autocontrast, "stretch"),
    "equalize": _plain(ImageOps.equalize, "stretch"),
    "invert": Operation(
        lambda image, strength, style: ImageOps.invert(image),
        "table",
        partial(_table, lambda images, strength: tones.invert(images)),
    ),
    "rotate": Operation(_rotate_picture, "warp", _rotations),
    "posterize": _points(lambda value, bits: value & (256 - 2 ** (8 - bits)), tones.posterize),
    "solarize": _points(lambda value, threshold: value if value < threshold else 255 - value, tones.solarize),
    "solarize_add": _points(
        lambda value, amount: min(255, value + amount) if value < 128 else value, tones.solarize_add
    ),
    "color": _enhance(ImageEnhance.Color, 1),
    "contrast": _enhance(ImageEnhance.Contrast, 0),
    "brightness": Operation(
        partial(_enhanced, ImageEnhance.Brightness), "table", partial(_table, tones.brightness)
    ),
    "sharpness": _enhance(ImageEnhance.Sharpness, 2),
    "shear_x": _affine(lambda slant: (1, slant, 0, 0, 1, 0)),
    "shear_y": _affine(lambda slant: (1, 0, 0, slant, 1, 0)),
    "translate_x": _affine(lambda pixels: (1, 0, pixels, 0, 1, 0)),
    "translate_y": _affine(lambda pixels: (1, 0, 0, 0, 1, pixels)),
    "hue": Operation(_turn_hue, "hue"),
}


def check_method(option: str, value: object, *more: str) -> str:
    """The value of an option, if it names an interpolation or is one of `more`; FerError otherwise."""
    known = (*METHODS, *more)
    if not isinstance(value, str) or value not in known:
        raise FerError(f"{option}: unknown interpolation {value!r}, {nearest(str(value), known)}")
    return value


def check_fill(option: str, value: object) -> tuple[int, int, int]:
    """The value of an option, if it is a colour in 0..255, in the channel order of `data.color`."""
    if isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 3:
        red, green, blue = value
        if all(isinstance(part, int) and 0 <= part <= 255 for part in value):
            return red, green, blue
    raise FerError(f"{option} is {value!r}: give three whole numbers from 0 to 255, as in [124, 116, 104]")

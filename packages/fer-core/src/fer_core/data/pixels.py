"""Images as Python programs hold them (PIL, numpy, torch) as uint8 pixels, the one form that pipelines read."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from fer_core.data.images import Pixels, convert_image
from fer_core.errors import FerError

Picture: TypeAlias = Image.Image | NDArray[np.generic] | Tensor
"""One image or several: a PIL image; an array [H, W], [H, W, C] or [N, H, W, C]; a tensor [H, W], [C, H, W] or
[N, C, H, W]. C is 1 (grey) or 3 (RGB); values are uint8, or floats in 0..1."""
FORMS = "a PIL image, an array [H, W, 3] or a tensor [3, H, W]"


def to_pixels(picture: object, name: str) -> list[Pixels]:
    """The images that `picture` holds, each uint8 RGB [H, W, 3] or grey [H, W, 1].

    Floats are scaled by 255 and rounded. A PIL image is read as an image file is (`fer_core.data.images`).

    Args:
        picture: See `Picture`.
        name: What to call it in messages.

    Raises:
        FerError: It is not one of these, has another shape, or values out of range.
    """
    if isinstance(picture, Image.Image):
        return [convert_image(picture, name)]
    if isinstance(picture, Tensor):
        values = _channels_last(picture.detach().to("cpu"), name)
    elif isinstance(picture, np.ndarray):
        values = picture[..., None] if picture.ndim == 2 else picture
    else:
        raise FerError(f"{name} is a {type(picture).__name__}, which is not an image: give {FORMS}")
    if values.ndim not in (3, 4) or values.shape[-1] not in (1, 3) or 0 in values.shape:
        kind = "tensor" if isinstance(picture, Tensor) else "array"
        form = "[3, H, W], [H, W] or [N, 3, H, W]" if kind == "tensor" else "[H, W, 3], [H, W] or [N, H, W, 3]"
        raise FerError(f"{name} has the shape {list(picture.shape)}: give a {kind} of shape {form}")
    bytes_ = _to_bytes(values, name)
    return list(bytes_ if bytes_.ndim == 4 else bytes_[None])


def _channels_last(tensor: Tensor, name: str) -> NDArray[np.generic]:
    if tensor.dtype == torch.bfloat16:  # which numpy does not have
        tensor = tensor.float()
    if tensor.dim() == 2:
        tensor = tensor[None]
    if tensor.dim() not in (3, 4):
        raise FerError(
            f"{name} has the shape {list(tensor.shape)}: give a tensor of shape [3, H, W], [H, W] or [N, 3, H, W]"
        )
    values: NDArray[np.generic] = tensor.movedim(-3, -1).numpy()
    return values


def _to_bytes(values: NDArray[np.generic], name: str) -> Pixels:
    if values.dtype == np.uint8:
        # PIL's own memory cannot be written to, which torch warns of.
        return np.require(values, dtype=np.uint8, requirements=["C", "W"])
    if not np.issubdtype(values.dtype, np.floating):
        raise FerError(f"{name} has values of type {values.dtype}: give uint8 in 0..255, or floats in 0..1")
    floats = values.astype(np.float32)
    low, high = float(floats.min()), float(floats.max())
    if not (low >= 0 and high <= 1):  # NaN is neither
        raise FerError(
            f"{name} is {values.dtype} with values from {low:g} to {high:g}: give floats in 0..1 (not normalised, "
            "since the model's own normalisation follows), or uint8 in 0..255"
        )
    scaled: Pixels = np.rint(floats * 255).astype(np.uint8)
    return scaled

"""Affine maps with PIL's interpolation, on batches of uint8 pixels."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Tap = Callable[[int, int], Tensor]


def resample(images: Tensor, matrices: Tensor, method: str, fill: tuple[int, int, int]) -> Tensor:
    """Warp as `PIL.Image.transform` does: taps beyond the border repeat it, results are truncated.

    Args:
        images: uint8 [N, C, H, W]; C = 1 requires a grey `fill`.
        matrices: From output to input coordinates, [N, 2, 3], in pixels from the upper left corner.
        method: `nearest`, `bilinear` or `bicubic` (Keys' kernel with a = -1, which PIL uses here).
        fill: Colour outside, 0..255.
    """
    n, channels, height, width = images.shape
    x = torch.arange(width, device=images.device) + 0.5
    y = torch.arange(height, device=images.device)[:, None] + 0.5
    matrices = matrices.to(images.device, torch.float32)[..., None, None]
    columns, rows = (row[:, 0] * x + (row[:, 1] * y + row[:, 2]) for row in matrices.unbind(1))
    outside = (columns < 0) | (columns >= width) | (rows < 0) | (rows >= height)
    if method != "nearest":
        columns, rows = columns.sub_(0.5), rows.sub_(0.5)
    left, top = columns.floor(), rows.floor()
    dx, dy = ((at - first).unsqueeze_(1) for at, first in ((columns, left), (rows, top)))
    left, top, flat = left.long(), top.long(), images.flatten(2)

    def tap(down: int, right: int) -> Tensor:
        index = (top + down).clamp_(0, height - 1).mul_(width).add_((left + right).clamp_(0, width - 1))
        index = index.view(n, 1, height * width).expand(-1, channels, -1)
        return flat.gather(2, index).view(images.shape)

    colour = torch.cat([images.new_full((1, 1, 1), value) for value in fill[:channels]])
    return torch.where(outside[:, None], colour, _METHODS[method](tap, dx, dy))


def _nearest(tap: Tap, dx: Tensor, dy: Tensor) -> Tensor:
    return tap(0, 0)


def _bilinear(tap: Tap, dx: Tensor, dy: Tensor) -> Tensor:
    upper, lower = (torch.lerp(tap(down, 0).float(), tap(down, 1).float(), dx) for down in (0, 1))
    return torch.lerp(upper, lower, dy).to(torch.uint8)


def _bicubic(tap: Tap, dx: Tensor, dy: Tensor) -> Tensor:
    lines = [_cubic(dx, *(tap(down, right).float() for right in (-1, 0, 1, 2))) for down in (-1, 0, 1, 2)]
    return _cubic(dy, *lines).clamp_(0, 255).to(torch.uint8)


def _cubic(at: Tensor, before: Tensor, left: Tensor, right: Tensor, after: Tensor) -> Tensor:
    """The cubic through `left` and `right`; Horner's form, so that a constant stays itself."""
    third = left.sub(before).sub_(right).add_(after)
    second = before.sub(left).mul_(2).add_(right).sub_(after)
    return third.mul_(at).add_(second).mul_(at).add_(right).sub_(before).mul_(at).add_(left)


_METHODS = {"nearest": _nearest, "bilinear": _bilinear, "bicubic": _bicubic}
METHODS = tuple(_METHODS)
"""Names of the interpolations."""

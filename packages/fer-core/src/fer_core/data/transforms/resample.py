"""Affine maps with PIL's interpolation, on batches of uint8 pixels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

STILL = (0.0, 1.0, 0.0, 0.0)
NOTHING = (0.0, 0.0, 0.0, 0.0)
KERNELS = {
    "nearest": (STILL, NOTHING, NOTHING, NOTHING),
    "bilinear": (STILL, (0.0, -1.0, 1.0, 0.0), NOTHING, NOTHING),
    "bicubic": (STILL, (-1.0, 0.0, 1.0, 0.0), (2.0, -2.0, 1.0, -1.0), (-1.0, 1.0, -1.0, 1.0)),
}
"""Of each interpolation what the powers 0 to 3 of the distance give the pixel before, the two around and the next.

Bicubic is Keys' kernel with a = -1, which PIL uses here.
"""
METHODS = tuple(KERNELS)
"""Names of the interpolations."""
EPSILON = 1e-3
"""Against rounding below a whole number, which would be truncated."""


def warp_values(
    matrices: Tensor, methods: Sequence[str], size: tuple[int, int], fill: tuple[int, int, int]
) -> list[Tensor]:
    """What `resample` needs, on the CPU: constants are among it, so that the device does not have to make them.

    Args:
        matrices: From output to input coordinates, [N, 2, 3], in pixels from the upper left corner.
        methods: Interpolation of each image, [N].
        size: Height and width of the images.
        fill: Colour outside, 0..255.
    """
    height, width = size
    last = torch.tensor([float(width), float(height)])[:, None, None]
    return [
        matrices,
        torch.tensor([KERNELS[method] for method in methods]),
        torch.tensor([0.0 if method == "nearest" else 0.5 for method in methods])[:, None, None, None],
        torch.arange(width) + 0.5,
        (torch.arange(height) + 0.5)[:, None],
        torch.zeros(2, 1, 1),
        torch.nextafter(last, torch.zeros(())),
        last[..., None] - 1,
        torch.arange(4.0),
        torch.arange(4.0) - 1,
        torch.tensor(fill, dtype=torch.uint8)[:, None, None],
    ]


def resample(images: Tensor, values: Sequence[Tensor]) -> Tensor:
    """Warp as `PIL.Image.transform` does: taps beyond the border repeat it, results are truncated.

    Args:
        images: uint8 [N, C, H, W]; C = 1 requires a grey colour outside.
        values: Those of `warp_values`.
    """
    matrices, kernels, shifts, x, y, least, most, last, powers, steps, colour = values
    n, channels, _, width = images.shape
    of_x, of_y, constant = matrices[..., None, None].unbind(2)
    places = of_x * x + (of_y * y + constant)
    outside = (places.clamp(least, most) != places).any(1, keepdim=True)
    places = places.sub_(shifts)
    first = places.floor()
    weights = places.sub_(first)[..., None].pow(powers).view(n, -1, 4).bmm(kernels).view(n, 2, -1, 4)
    columns, rows = (first[..., None] + steps).clamp_(least[..., None], last).long().unbind(1)
    index = torch.add(columns[..., None, :], rows[..., :, None], alpha=width).view(n, 1, -1)
    found = images.flatten(2).gather(2, index.expand(-1, channels, -1)).view(n, channels, -1, 4, 4)
    across, down = weights[:, None].unbind(2)
    lines = (found * across[..., None, :]).sum(-1)
    made = (lines * down).sum(-1).add_(EPSILON).clamp_(0, 255).to(torch.uint8)
    return torch.where(outside, colour[:channels], made.view(images.shape))

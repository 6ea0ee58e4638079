"""Colour operations with PIL's arithmetic, on batches of uint8 pixels [N, C, H, W], C 1 or 3.

Strengths are one number a sample, [N]. PIL's own versions are named beside each.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

_LUMA = (19595, 38470, 7471)  # of 65536: how PIL weighs red, green and blue


def stretch_values(kinds: Sequence[str]) -> list[Tensor]:
    """What `stretch_tables` needs of the host for images of these kinds, `equalize` or `auto_contrast`."""
    equalizes = torch.tensor([kind == "equalize" for kind in kinds])[:, None, None]
    bins = torch.where(equalizes, 0, 255).repeat(1, 1, 257)  # one before the first, for sums of the bins below
    return [bins, equalizes.long(), torch.where(equalizes, 2, 1 << 31), torch.arange(256)]


def stretch_tables(planes: Tensor, values: Sequence[Tensor]) -> Tensor:
    """What `ImageOps.equalize` and `ImageOps.autocontrast` make of each value, uint8 [N, C, 256].

    Both map the sum of the bins below a value to 0..255. To make a channel's histogram flat, bins hold the number
    of pixels; to stretch a channel, all hold the same.

    Args:
        planes: The pixels, int64 [N, C, H * W].
        values: Those of `stretch_values`.
    """
    bins, equalizes, halving, ramp = values
    # not bincount, whose shape a GPU's host waits for
    counts = bins.expand(-1, planes.shape[1], -1).clone(memory_format=torch.contiguous_format)
    counts[..., 1:].scatter_add_(2, planes, equalizes.expand_as(planes))
    below = counts.cumsum(2)
    low, high = planes.aminmax(dim=2, keepdim=True)
    first = below.gather(2, low)
    step = (below.gather(2, high) - first) // 255
    table = (below[..., :-1] + (step // halving - first)) // step.clamp(min=1)
    return torch.where(step > 0, table.clamp_(0, 255), ramp).to(torch.uint8)


def posterize(images: Tensor, bits: Tensor) -> Tensor:
    """`ImageOps.posterize`: keep the highest bits, 0 to 8."""
    mask = (256 - 2 ** (8 - bits.long())).to(torch.uint8)
    return images & _spread(mask, images)


def solarize(images: Tensor, threshold: Tensor) -> Tensor:
    """`ImageOps.solarize`: invert values from the threshold (0..256) on."""
    return torch.where(images < _spread(threshold.to(torch.int16), images), images, 255 - images)


def solarize_add(images: Tensor, amount: Tensor) -> Tensor:
    """Add to values below 128."""
    raised = (images.to(torch.int16) + _spread(amount.to(torch.int16), images)).clamp_(0, 255).to(torch.uint8)
    return torch.where(images < 128, raised, images)


def invert(images: Tensor) -> Tensor:
    """`ImageOps.invert`."""
    return 255 - images


def brightness(images: Tensor, factor: Tensor) -> Tensor:
    """`ImageEnhance.Brightness`: blend with black."""
    return images.float().mul_(_spread(factor.float(), images)).clamp_(0, 255).to(torch.uint8)


def blend_values(factors: Tensor) -> list[Tensor]:
    """What `blend` needs of the host.

    Args:
        factors: Of each image the factor, and 1 where it is the second and where it is the third, else 0;
            float32 [N, 3].
    """
    return [factors[..., None, None, None], torch.tensor(_LUMA)[None, None] / (1 << 16), torch.tensor([[[0.5]]])]


def blend(images: Tensor, values: Sequence[Tensor]) -> Tensor:
    """`ImageEnhance.Contrast`, `.Color` and `.Sharpness`, each image by one of them.

    The first blends with the grey of the image's mean, the second with the grey image, the third with the image
    smoothed by a 3 x 3 filter, which leaves the border. Results are truncated, not rounded, as by `Image.blend`.

    Args:
        images: The batch.
        values: Those of `blend_values`.
    """
    factors, luma, half = values
    factor, by_grey, by_smooth = factors.unbind(1)
    pixels = images.float()
    n, channels, height, width = images.shape
    grey = pixels
    if channels == 3:  # exact in float32, in any order
        grey = torch.baddbmm(half, luma.expand(n, -1, -1), pixels.flatten(2)).floor_().view(n, 1, height, width)
    mean = grey.mean((2, 3), keepdim=True).add_(0.5).floor_()
    other = mean.lerp(grey, by_grey).lerp(pixels, by_smooth)  # exact, since the weights are 0 and 1
    if min(height, width) > 2:
        inner = pixels[..., 1:-1, 1:-1]
        smooth = F.avg_pool2d(pixels, 3, 1, divisor_override=13).add_(inner, alpha=4 / 13).round_()
        other[..., 1:-1, 1:-1].lerp_(smooth, by_smooth)
    return (pixels - other).mul_(factor).add_(other).clamp_(0, 255).to(torch.uint8)


def hue(images: Tensor, shift: Tensor) -> Tensor:
    """Turn the hue by `shift` of 256 steps, through PIL's 8-bit HSV."""
    if images.shape[1] == 1:
        return images
    high, low = images.amax(1).float(), images.amin(1).float()
    spread = (high - low).clamp_(min=1)
    red, green, blue = ((high - channel.float()).div_(spread) for channel in images.unbind(1))
    sector = torch.where(images[:, 1] == high, 2 + red - blue, 4 + green - red)
    sector = torch.where(images[:, 0] == high, blue - green, sector)
    angle = (sector / 6 + 1).frac_().mul_(255).add_(1e-3).floor_()
    saturation = ((high - low) / high.clamp(min=1)).mul_(255).add_(1e-3).floor_().div_(255)
    angle = (torch.where(high > low, angle, 0) + shift.to(images.device).float()[:, None, None]) % 256
    turned = angle.mul_(6 / 255)
    sector = turned.floor()
    part = turned - sector
    dark, falling, rising = (
        (high * (1 - saturation * amount)).add_(0.5).floor_() for amount in (torch.ones_like(part), part, 1 - part)
    )
    sector = sector.long() % 6
    choices = torch.stack([high, falling, dark, rising])
    # which of value, falling, dark, rising each channel has in the six sectors of the colour circle
    order = torch.tensor([[0, 1, 2, 2, 3, 0], [3, 0, 0, 1, 2, 2], [2, 2, 3, 0, 0, 1]], device=images.device)
    channels = [choices.gather(0, order[c][sector][None])[0] for c in range(3)]
    return torch.stack(channels, 1).to(torch.uint8)


def _spread(values: Tensor, images: Tensor) -> Tensor:
    """One number a sample, beside its pixels."""
    return values.to(images.device)[:, None, None, None]

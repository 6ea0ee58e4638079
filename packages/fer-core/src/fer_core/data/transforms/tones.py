"""Colour operations with PIL's arithmetic, on batches of uint8 pixels [N, C, H, W], C 1 or 3.

Strengths are one number a sample, [N]. PIL's own versions are named beside each.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_LUMA = (19595, 38470, 7471)  # of 65536: how PIL weighs red, green and blue


def autocontrast(images: Tensor) -> Tensor:
    """`ImageOps.autocontrast`: stretch each channel to 0..255."""
    low, high = (bound.float() for bound in (images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)))
    scale = 255 / (high - low)
    stretched = images.float().mul_(scale).sub_(low * scale).add_(1e-3).clamp_(0, 255).to(torch.uint8)
    return torch.where(high > low, stretched, images)


def equalize(images: Tensor) -> Tensor:
    """`ImageOps.equalize`: make each channel's histogram flat."""
    n, channels = images.shape[:2]
    planes = images.reshape(n * channels, -1).long()
    # not bincount, whose shape a GPU's host waits for
    counts = planes.new_zeros(n * channels, 256).scatter_add_(1, planes, planes.new_ones(()).expand_as(planes))
    brightest = counts.gather(1, planes.amax(1, keepdim=True))
    step = (planes.shape[1] - brightest) // 255
    before = counts.cumsum(1) - counts
    table = ((step // 2 + before) // step.clamp(min=1)).clamp_(max=255)
    table = torch.where(step > 0, table, torch.arange(256, device=images.device)).to(torch.uint8)
    return table.gather(1, planes).view(images.shape)


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


def blend(images: Tensor, factors: Tensor) -> Tensor:
    """`ImageEnhance.Contrast`, `.Color` and `.Sharpness`, each image by one of them.

    The first blends with the grey of the image's mean, the second with the grey image, the third with the image
    smoothed by a 3 x 3 filter, which leaves the border. Results are truncated, not rounded, as by `Image.blend`.

    Args:
        images: The batch.
        factors: Of each image the factor, and 1 where it is the second and where it is the third, else 0;
            float32 [N, 3].
    """
    factor, by_grey, by_smooth = factors[:, :, None, None, None].unbind(1)
    pixels = images.float()
    grey = pixels
    if images.shape[1] == 3:
        red, green, blue = (weight / (1 << 16) for weight in _LUMA)  # exact in float32, as are the sums
        grey = (pixels[:, :1] * red).add_(pixels[:, 1:2], alpha=green).add_(pixels[:, 2:], alpha=blue)
        grey = grey.add_(0.5).floor_()
    smooth = pixels
    if min(images.shape[-2:]) > 2:
        total = F.avg_pool2d(pixels, 3, 1, divisor_override=1).add_(pixels[..., 1:-1, 1:-1], alpha=4)
        smooth = pixels.clone()
        smooth[..., 1:-1, 1:-1] = total.div_(13).add_(0.5).floor_()
    mean = grey.mean((2, 3), keepdim=True).add_(0.5).floor_()
    other = mean.lerp(grey, by_grey).lerp(smooth, by_smooth)  # exact, since the weights are 0 and 1
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

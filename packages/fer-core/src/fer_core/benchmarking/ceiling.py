"""The peak rate of the device, measured in the same run as the models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import conv2d

from fer_core.benchmarking.clock import repeat
from fer_core.engine.devices import DTYPES

if TYPE_CHECKING:
    from fer_core.engine import Engine

ON_HOST = (1536, 16)
"""Rows of the matrices and images of the convolution on a CPU."""
ON_ACCELERATOR = (8192, 256)
"""The same on other devices, which smaller ones do not fill."""


@dataclass(frozen=True)
class Ceiling:
    """Floating-point operations a second, a multiplication and an addition being two.

    Attributes:
        matmul: Of a product of large square matrices.
        convolution: Of the 3 x 3 convolution that is most frequent in ResNet-50: 256 channels, 14 x 14 places.
    """

    matmul: float
    convolution: float


@torch.inference_mode()
def measure_ceiling(engine: Engine, seconds: float) -> Ceiling:
    """The shortest of the repeated calls counts, in the engine's precision and layout."""
    device, where, dtype = engine.device, engine.device.torch_device, DTYPES[engine.precision]
    side, images = ON_HOST if device.on_host else ON_ACCELERATOR
    left, right = (torch.randn(side, side, device=where, dtype=dtype) for _ in range(2))
    product = repeat(lambda: left @ right, device, seconds)
    maps = torch.randn(images, 256, 14, 14, device=where, dtype=dtype)
    weight = torch.randn(256, 256, 3, 3, device=where, dtype=dtype)
    if engine.channels_last:
        maps, weight = (t.contiguous(memory_format=torch.channels_last) for t in (maps, weight))
    convolved = repeat(lambda: conv2d(maps, weight, padding=1), device, seconds)
    operations = 2 * images * 14 * 14 * 256 * 256 * 9
    return Ceiling(2 * side**3 / product.best, operations / convolved.best)

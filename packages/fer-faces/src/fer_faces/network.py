"""The network of CenterFace: Xu, Yan, Yang, Sun, Yang: CenterFace, 2019, https://arxiv.org/abs/1911.03599.

A MobileNetV2 whose four scales are added up to one map of a quarter of the image's size. Batch normalization is
fused into the convolutions, as in the authors' `centerface_bnmerged.onnx`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

STRIDE = 4
"""Pixels of the image to a place of the maps, in height and in width."""
MULTIPLE = 32
"""What height and width of the input are multiples of."""
_STAGES = (
    ((16, 1, 1), (24, 2, 6), (24, 1, 6)),
    ((32, 2, 6), (32, 1, 6), (32, 1, 6)),
    ((64, 2, 6), (64, 1, 6), (64, 1, 6), (64, 1, 6), (96, 1, 6), (96, 1, 6), (96, 1, 6)),
    ((160, 2, 6), (160, 1, 6), (160, 1, 6), (320, 1, 6)),
)
"""Output channels, stride and expansion of the blocks."""
_WIDTH = 24
"""Channels of the map that all scales are added up to."""


class Maps(NamedTuple):
    """What the network says of each place of a map [N, channels, H / 4, W / 4].

    Attributes:
        heat: [N, 1, ...], probability that a face has its centre there.
        size: [N, 2, ...], logarithm of its height and of its width, in places.
        shift: [N, 2, ...], from the place to the centre, y and x, in places.
        points: [N, 10, ...], y and x of the five points, in shares of height and width from the top left corner.
    """

    heat: Tensor
    size: Tensor
    shift: Tensor
    points: Tensor


class CenterFaceNetwork(nn.Module):
    """Maps of faces, of RGB images float32 [N, 3, H, W] with values from 0 to 255; H and W are multiples of 32."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _conv(3, 32, 3, stride=2)
        channels, stages = 32, []
        for blocks in _STAGES:
            stage = nn.Sequential()
            for out, stride, expansion in blocks:
                stage.append(_Block(channels, out, stride, expansion))
                channels = out
            stages.append(stage)
        self.stages = nn.ModuleList(stages)
        self.laterals = nn.ModuleList(_conv(stage[-1][0], _WIDTH, 1) for stage in _STAGES)
        self.ups = nn.ModuleList(
            nn.Sequential(nn.ConvTranspose2d(_WIDTH, _WIDTH, 2, stride=2), nn.ReLU(inplace=True))
            for _ in _STAGES[1:]
        )
        self.merge = _conv(_WIDTH, _WIDTH, 3)
        self.head = nn.Conv2d(_WIDTH, 15, 1)

    def forward(self, images: Tensor) -> Maps:
        """The four maps."""
        x = self.stem(images)
        scales = []
        for stage, lateral in zip(self.stages, self.laterals, strict=True):
            x = stage(x)
            scales.append(lateral(x))
        merged = scales.pop()
        for up in reversed(self.ups):
            merged = up(merged) + scales.pop()
        heat, size, shift, points = torch.split(self.head(self.merge(merged)), [1, 2, 2, 10], dim=1)
        return Maps(heat.sigmoid(), size, shift, points)


class _Block(nn.Module):
    """An inverted residual: widened by 1 x 1, filtered by 3 x 3 in each channel, narrowed by 1 x 1."""

    def __init__(self, channels: int, out: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels * expansion
        layers: list[nn.Module] = [] if expansion == 1 else [_conv(channels, wide, 1)]
        layers += [_conv(wide, wide, 3, stride=stride, groups=wide), nn.Conv2d(wide, out, 1)]
        self.layers = nn.Sequential(*layers)
        self.adds = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return x + y if self.adds else y


def _conv(channels: int, out: int, kernel: int, *, stride: int = 1, groups: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(channels, out, kernel, stride=stride, padding=kernel // 2, groups=groups)
    return nn.Sequential(conv, nn.ReLU(inplace=True))

"""Mixed Feature Network, the backbone of DDAMFN: inverted bottlenecks with kernels of several sizes.

Zhang et al., Electronics 12(17), 3595 (2023). The names in the state dict are the authors' own. Their mixed
depthwise convolutions also own a batch normalisation and a PReLU that nothing calls; those are omitted.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CHANNELS = 512
"""Channels of the last map."""


class ConvBN(nn.Module):
    """Convolution without bias, batch normalisation."""

    def __init__(
        self,
        channels: int,
        out: int,
        kernel: int | tuple[int, int] = 1,
        stride: int = 1,
        padding: int = 0,
        groups: int = 1,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out, kernel, stride, padding, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        """[N, channels, h, w] to [N, out, h', w']."""
        y: Tensor = self.bn(self.conv(x))
        return y


class ConvBNPReLU(ConvBN):
    """Convolution without bias, batch normalisation, PReLU with a slope for each channel."""

    def __init__(
        self, channels: int, out: int, kernel: int = 1, stride: int = 1, padding: int = 0, groups: int = 1
    ) -> None:
        super().__init__(channels, out, kernel, stride, padding, groups)
        self.prelu = nn.PReLU(out)

    def forward(self, x: Tensor) -> Tensor:
        """[N, channels, h, w] to [N, out, h', w']."""
        y: Tensor = self.prelu(super().forward(x))
        return y


class MixedDepthwise(nn.Module):
    """Depthwise convolution whose kernel size depends on the channel; no normalisation and no activation."""

    def __init__(self, kernels: Sequence[int], split: Sequence[int], stride: int) -> None:
        super().__init__()
        self.split = list(split)
        self.mixed_depthwise_conv = nn.ModuleList(
            nn.Conv2d(c, c, kernel, stride, kernel // 2, groups=c, bias=False)
            for kernel, c in zip(kernels, split, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """[N, sum(split), h, w] to the same with h and w divided by the stride."""
        parts = torch.split(x, self.split, dim=1)
        return torch.cat([conv(p) for conv, p in zip(self.mixed_depthwise_conv, parts, strict=True)], dim=1)


class AxisGates(nn.Module):
    """Gates for rows and for columns, from one descriptor of each row and column (Hou et al., arXiv 2103.02907).

    The 1x1 convolutions act on sequences without a second axis, so they are computed as matrix products.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        middle = max(8, channels // 32)
        self.conv1 = nn.Conv2d(channels, middle, 1)
        self.bn1 = nn.BatchNorm2d(middle)
        self.conv2 = nn.Conv2d(middle, channels, 1)
        self.conv3 = nn.Conv2d(middle, channels, 1)

    def gates(self, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
        """Descriptors [N, C, h] and [N, C, w] to gates [N, C, h, 1] and [N, C, 1, w], all in (0, 1)."""
        y = pointwise(self.conv1, torch.cat((rows, columns), dim=2))
        y = F.hardswish(self.bn1(y.unsqueeze(3)).squeeze(3))
        of_rows, of_columns = torch.split(y, [rows.shape[2], columns.shape[2]], dim=2)
        a_h = pointwise(self.conv2, of_rows).sigmoid()
        a_w = pointwise(self.conv3, of_columns).sigmoid()
        return a_h.unsqueeze(3), a_w.unsqueeze(2)


class CoordinateAttention(AxisGates):
    """Weights a map by the gates of its rows and columns, which see the map's means along the other axis."""

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, h, w] to the same shape."""
        a_h, a_w = self.gates(x.mean(3), x.mean(2))
        return x * a_w * a_h


class MDW(nn.Module):
    """Inverted bottleneck: 1x1 up, mixed depthwise, coordinate attention, 1x1 down, and the input if residual."""

    def __init__(
        self, channels: int, middle: int, out: int, stride: int, kernels: dict[int, int], residual: bool = False
    ) -> None:
        super().__init__()
        self.residual = residual
        self.conv = ConvBNPReLU(channels, middle)
        self.conv_dw = MixedDepthwise(list(kernels), list(kernels.values()), stride)
        self.CA = CoordinateAttention(middle)
        self.project = ConvBN(middle, out)

    def forward(self, x: Tensor) -> Tensor:
        """[N, channels, h, w] to [N, out, h / stride, w / stride]."""
        y: Tensor = self.project(self.CA(self.conv_dw(self.conv(x))))
        return x + y if self.residual else y


class Residual(nn.Module):
    """Several equal residual blocks, under the authors' name `model`."""

    def __init__(self, number: int, channels: int, middle: int, kernels: dict[int, int]) -> None:
        super().__init__()
        blocks = [MDW(channels, middle, channels, 1, kernels, residual=True) for _ in range(number)]
        self.model = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        """[N, channels, h, w] to the same shape."""
        y: Tensor = self.model(x)
        return y


def build_mixed_feature_net() -> nn.Sequential:
    """Images [N, 3, 112, 112] to a map [N, 512, 7, 7]. In `kernels`, size: channels that have it."""
    return nn.Sequential(
        ConvBNPReLU(3, 64, 3, stride=2, padding=1),
        ConvBNPReLU(64, 64, 3, padding=1, groups=64),
        MDW(64, 128, 64, 2, {3: 64, 5: 32, 7: 32}),
        Residual(9, 64, 128, {3: 96, 5: 32}),
        MDW(64, 256, 128, 2, {3: 128, 5: 64, 7: 64}),
        Residual(16, 128, 256, {3: 192, 5: 64}),
        MDW(128, 1024, 256, 2, {3: 256, 5: 256, 7: 256, 9: 256}),
        Residual(6, 256, 512, {3: 172, 5: 170, 7: 170}),
        ConvBNPReLU(256, CHANNELS),
    )


def pointwise(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """The 1x1 convolution `conv` on sequences [N, C, L]."""
    assert conv.bias is not None
    return torch.matmul(conv.weight.flatten(1), x) + conv.bias.unsqueeze(1)

"""MobileFaceNet as a regressor of 68 facial landmarks: the frozen landmark stream.

Chen et al., "MobileFaceNets: Efficient CNNs for Accurate Real-Time Face Verification on Mobile Devices",
arXiv 1804.07573; here with 136 outputs.
"""

from __future__ import annotations

from torch import Tensor, nn

OUTPUTS = 136
"""Two coordinates of 68 landmarks."""


class ConvBlock(nn.Module):
    """Convolution without bias, batch normalisation, and PReLU unless `linear`."""

    def __init__(
        self,
        channels: int,
        out: int,
        kernel: int,
        stride: int = 1,
        *,
        depthwise: bool = False,
        linear: bool = False,
    ) -> None:
        super().__init__()
        padding = 1 if kernel == 3 else 0
        groups = channels if depthwise else 1
        self.conv = nn.Conv2d(channels, out, kernel, stride, padding, groups=groups, bias=False)
        self.bn: nn.Module = nn.BatchNorm2d(out)
        self.prelu = None if linear else nn.PReLU(out)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, channels, h, w] to [N, out, h / stride, w / stride]."""
        y: Tensor = self.bn(self.conv(x))
        return y if self.prelu is None else self.prelu(y)


class Bottleneck(nn.Module):
    """Widen to `width`, filter each channel, narrow to `out`; `residual` adds the input, without activation."""

    def __init__(self, channels: int, out: int, width: int, stride: int = 1, *, residual: bool = False) -> None:
        super().__init__()
        self.conv = ConvBlock(channels, width, 1)
        self.conv_dw = ConvBlock(width, width, 3, stride, depthwise=True)
        self.project = ConvBlock(width, out, 1, linear=True)
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, channels, h, w] to [N, out, h / stride, w / stride]."""
        y: Tensor = self.project(self.conv_dw(self.conv(x)))
        return x + y if self.residual else y


class Residual(nn.Module):
    """`number` residual bottlenecks of the same size."""

    def __init__(self, channels: int, width: int, number: int) -> None:
        super().__init__()
        blocks = [Bottleneck(channels, channels, width, residual=True) for _ in range(number)]
        self.model = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, channels, h, w] to the same shape."""
        y: Tensor = self.model(x)
        return y


class LandmarkHead(nn.Module):
    """From the last map to landmark coordinates: one weight per position and channel, a projection, normalised."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_6_dw = ConvBlock(512, 512, 7, depthwise=True, linear=True)
        self.linear = nn.Linear(512, OUTPUTS, bias=False)
        self.bn = nn.BatchNorm1d(OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, 512, 7, 7] to [N, 136]."""
        y: Tensor = self.bn(self.linear(self.conv_6_dw(x).flatten(1)))
        return y


class MobileFaceNet(nn.Module):
    """Frozen: no parameter has a gradient.

    As in the authors' code, the batch normalisations are not frozen. In training mode they use the
    statistics of the batch and update their running statistics, in each of the two passes of a SAM step.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = ConvBlock(3, 64, 3, 2)
        self.conv2_dw = ConvBlock(64, 64, 3, depthwise=True)
        self.conv_23 = Bottleneck(64, 64, 128, 2)
        self.conv_3 = Residual(64, 128, 4)
        self.conv_34 = Bottleneck(64, 128, 256, 2)
        self.conv_4 = Residual(128, 256, 6)
        self.conv_45 = Bottleneck(128, 128, 512, 2)
        self.conv_5 = Residual(128, 256, 2)
        self.conv_6_sep = ConvBlock(128, 512, 1)
        self.output_layer = LandmarkHead()
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        self.requires_grad_(False)

    def maps(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Images [N, 3, 112, 112] to maps [N, 64, 28, 28], [N, 128, 14, 14] and [N, 512, 7, 7]."""
        large = self.conv_3(self.conv_23(self.conv2_dw(self.conv1(images))))
        medium = self.conv_4(self.conv_34(large))
        small = self.conv_6_sep(self.conv_5(self.conv_45(medium)))
        return large, medium, small

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The three maps, and the landmarks [N, 136]."""
        large, medium, small = self.maps(images)
        return large, medium, small, self.output_layer(small)

"""The first three stages of IR-50, pretrained on face recognition: the image stream.

Deng et al., "ArcFace: Additive Angular Margin Loss for Deep Face Recognition", arXiv 1801.07698. The fourth stage
and the embedding are not part of POSTER.
"""

from __future__ import annotations

from torch import Tensor, nn

STAGES = ((64, 64, 3), (64, 128, 4), (128, 256, 14))
"""Input channels, output channels and number of units of each stage; the first unit of each halves the map."""


class Unit(nn.Module):
    """Residual unit: normalise, convolve, PReLU, convolve, normalise; no activation after the sum."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.shortcut_layer = None
        if channels != out:
            self.shortcut_layer = nn.Sequential(
                nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out)
            )
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.Conv2d(channels, out, 3, padding=1, bias=False),
            nn.PReLU(out),
            nn.Conv2d(out, out, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(out),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, channels, h, w] to [N, out, h / stride, w / stride]."""
        if self.shortcut_layer is not None:
            shortcut: Tensor = self.shortcut_layer(x)
        else:
            shortcut = x[:, :, :: self.stride, :: self.stride]
        y: Tensor = self.res_layer(x)
        return y + shortcut


class IR50(nn.Module):
    """The stem and three stages in one sequence, as POSTER names them: `body.0` to `body.20`."""

    def __init__(self) -> None:
        super().__init__()
        self.input_layer = _stem()
        self.body = nn.Sequential(*(unit for stage in range(3) for unit in _stage(stage)))

    def forward(self, images: Tensor) -> Tensor:
        """Images [N, 3, 112, 112] to a map [N, 256, 14, 14]."""
        y: Tensor = self.body(self.input_layer(images))
        return y


class StagedIR50(nn.Module):
    """The same network as POSTER++ names it, `body1`, `body2`, `body3`, with the map of each stage."""

    def __init__(self) -> None:
        super().__init__()
        self.input_layer = _stem()
        self.body1, self.body2, self.body3 = (nn.Sequential(*_stage(stage)) for stage in range(3))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Images [N, 3, 112, 112] to maps [N, 64, 56, 56], [N, 128, 28, 28] and [N, 256, 14, 14]."""
        large = self.body1(self.input_layer(images))
        medium = self.body2(large)
        return large, medium, self.body3(medium)


def _stem() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.PReLU(64))


def _stage(stage: int) -> list[Unit]:
    channels, out, number = STAGES[stage]
    return [Unit(channels, out, 2), *(Unit(out, out, 1) for _ in range(number - 1))]

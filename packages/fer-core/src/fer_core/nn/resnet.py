"""ResNet-18 as the parts that families build on; importing torchvision for it would import torch's compiler."""

from __future__ import annotations

from torch import Tensor, nn

WIDTHS = (64, 128, 256, 512)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He et al. 2016). The names in the state dict are torchvision's.

    Args:
        inputs: Channels of the input.
        width: Channels of the output.
        stride: Of the first convolution.
    """

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        shortcut = None
        if stride > 1 or inputs != width:
            shortcut = nn.Sequential(nn.Conv2d(inputs, width, 1, stride, bias=False), nn.BatchNorm2d(width))
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, inputs, h, w] to map [N, width, h / stride, w / stride]."""
        kept = x if self.downsample is None else self.downsample(x)
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        y += kept
        summed: Tensor = self.relu(y)
        return summed


def resnet18() -> nn.Sequential:
    """Convolution, BatchNorm, ReLU, max-pooling and the four stages of a ResNet-18: no pooling, no classifier.

    It takes images [N, 3, H, W] to a map [N, 512, H/32, W/32]. With one seed, the weights are those of
    `resnet18(weights=None)` of torchvision.
    """
    parts: list[nn.Module] = [
        nn.Conv2d(3, WIDTHS[0], 7, 2, padding=3, bias=False),
        nn.BatchNorm2d(WIDTHS[0]),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2, padding=1),
    ]
    inputs = WIDTHS[0]
    for width in WIDTHS:
        first = ResidualBlock(inputs, width, 1 if width == inputs else 2)
        parts.append(nn.Sequential(first, ResidualBlock(width, width, 1)))
        inputs = width
    nn.Linear(inputs, 1000)  # torchvision draws the weights of a classifier here
    made = nn.Sequential(*parts)
    for module in made.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return made

"""GSDNet: a ResNet-50 with a classifier after each stage (Zhang et al. 2024), the network."""

from __future__ import annotations

from typing import cast

import torch
from fer_core.plugin import Output, TaskInfo
from torch import Tensor, nn
from torch.nn import functional as F

CHANNELS = (256, 512, 1024, 2048)
"""Channels of the maps after the four stages."""
FEATURES = 2048
"""Length of the vector before the classifier of every exit."""
EMBEDDING = 128
"""Length of the features by which the exits are compared."""


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolution beside a shortcut; the stride is the first one's, as in Caffe's ResNet."""

    def __init__(self, channels: int, width: int, stride: int = 1, *, project: bool = False) -> None:
        super().__init__()
        out = 4 * width
        self.conv1 = nn.Conv2d(channels, width, 1, stride, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        shortcut = (nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out)) if project else ()
        self.downsample = nn.Sequential(*shortcut)  # empty: the identity

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, channels, h, w] to [N, 4 width, h / stride, w / stride]."""
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = F.relu(self.bn2(self.conv2(y)), inplace=True)
        return F.relu(self.bn3(self.conv3(y)).add_(self.downsample(x)), inplace=True)


class ChannelGate(nn.Module):
    """A gate per channel from the mean and the maximum of the map, weighted per sample."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mlp = _perceptron(channels, channels)
        self.max_weight = _perceptron(channels, 1)
        self.mean_weight = _perceptron(channels, 1)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Gate [N, C] in 0..1 of a map [N, C, h, w], and the map's mean [N, C]."""
        mean, peak = features.mean((2, 3)), features.amax((2, 3))
        of_mean, of_peak = self.mlp(torch.cat((mean, peak))).chunk(2)  # the perceptron is shared by both
        return torch.sigmoid(of_mean * self.mean_weight(mean) + of_peak * self.max_weight(peak)), mean


class Attention(nn.Module):
    """A wrapper of the gate, for the authors' key names."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.ChannelGate = ChannelGate(channels)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """See `ChannelGate.forward`."""
        return cast("tuple[Tensor, Tensor]", self.ChannelGate(features))


class Exit(nn.Sequential):
    """Input of an auxiliary classifier (`cm1` to `cm3`): gated map, 1x1 convolution, normalisation, mean."""

    def __init__(self, channels: int) -> None:
        super().__init__(Attention(channels), nn.Conv2d(channels, FEATURES, 1), nn.BatchNorm2d(FEATURES))

    def forward(self, features: Tensor) -> Tensor:
        """Map [N, C, h, w] to a vector [N, 2048]."""
        attention, project, norm = self
        gate, _ = attention(features)
        return F.relu(norm(project(features * gate[:, :, None, None])), inplace=True).mean((2, 3))


class LastExit(nn.Sequential):
    """Input of the main classifier (`cm4`): the mean of the gated map."""

    def __init__(self, channels: int) -> None:
        super().__init__(Attention(channels))

    def forward(self, features: Tensor) -> Tensor:
        """Map [N, C, h, w] to a vector [N, C]."""
        gate, mean = self[0](features)
        return cast("Tensor", gate * mean)  # a factor per channel commutes with the mean


class ExitResNet(nn.Module):
    """The stages and their classifiers; see `GSDNet`."""

    def __init__(self, num_classes: int, *, exits: bool) -> None:
        super().__init__()
        self.exits = exits
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        channels = 64
        for k, (out, blocks) in enumerate(zip(CHANNELS, (3, 4, 6, 3), strict=True), 1):
            first = Bottleneck(channels, out // 4, 1 if k == 1 else 2, project=True)
            rest = (Bottleneck(out, out // 4) for _ in range(blocks - 1))
            self.add_module(f"layer{k}", nn.Sequential(first, *rest))
            if k == 4 or exits:
                self.add_module(f"cm{k}", LastExit(out) if k == 4 else Exit(out))
                if exits:
                    self.add_module(f"fc_{k}", nn.Linear(FEATURES, EMBEDDING))
                self.add_module(f"fc_{k}_{k}", nn.Linear(FEATURES, num_classes))
            channels = out
        self.apply(_init)

    def forward(self, images: Tensor) -> Output:
        """See `GSDNet.forward`."""
        x = F.relu(self.bn1(self.conv1(images)), inplace=True)
        x = F.max_pool2d(x, 3, 2, ceil_mode=True)
        output: Output = {}
        for k in (1, 2, 3, 4):
            x = self.get_submodule(f"layer{k}")(x)
            if k < 4 and not self.exits:
                continue
            vector = self.get_submodule(f"cm{k}")(x)
            output["logits" if k == 4 else f"logits_{k}"] = self.get_submodule(f"fc_{k}_{k}")(vector)
            if self.exits:
                output[f"features_{k}"] = self.get_submodule(f"fc_{k}")(vector)
        return output


class GSDNet(nn.Module):
    """ResNet-50 with a classifier ("exit") after each stage; the last one predicts, the others serve training.

    The names in the state dict are the authors' own.

    Args:
        num_classes: Number of logits of every exit.
        exits: Whether the exits 1 to 3 and the embeddings of all four exist. Without them the network predicts
            the same and cannot be trained with the loss `gsdnet`.
    """

    def __init__(self, num_classes: int, *, exits: bool = True) -> None:
        super().__init__()
        self.resnet = ExitResNet(num_classes, exits=exits)

    def forward(self, images: Tensor) -> Output:
        """Classify images [N, 3, H, W].

        Returns:
            `logits` [N, C] of exit 4; with `exits` also `logits_1`, `logits_2`, `logits_3` [N, C] and
            `features_1` to `features_4` [N, 128]. Each is a separate tensor: the authors' code returns the
            sum over the four exits instead of the first one; here the loss does that.
        """
        return cast("Output", self.resnet(images))


def build_gsdnet(info: TaskInfo, *, exits: bool = True) -> GSDNet:
    """Build a GSDNet for `info`.

    Args:
        info: The task; only its number of classes matters, any input size is supported.
        exits: Build the parts that only training needs; false for weights without them.
    """
    return GSDNet(info.num_classes, exits=exits)


def _perceptron(channels: int, out: int) -> nn.Sequential:
    hidden = channels // 16
    # The identity keeps the authors' numbering, whose flatten here has no effect.
    return nn.Sequential(nn.Identity(), nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, out))


def _init(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):  # biases and linear layers keep PyTorch's initialisation
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

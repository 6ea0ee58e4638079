"""MFER (Xu et al., doi 10.1109/TAFFC.2024.3458464), the network.

Maps are [N, H, W, C] between the layers, so that linear layers and norms need no copy; a convolution gets
a view of them in channels-last memory format, without a copy either.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from fer_core.plugin import FerError, Output, TaskInfo
from torch import Tensor, nn
from torch.nn import functional as F

DEPTHS = (3, 3, 27, 3)
"""Blocks of each stage of ConvNeXt-Base."""
WIDTHS = (128, 256, 512, 1024)
"""Channels of each stage of ConvNeXt-Base."""
ATTENTIVE = (2, 3)
"""Stages that end in an attention block."""
EPS = 1e-6
"""Epsilon of every LayerNorm except the attention's, which has PyTorch's 1e-5."""


class Block(nn.Module):
    """ConvNeXt's block: depthwise 7x7, LayerNorm, two linear layers, layer scale, drop path, residual."""

    def __init__(self, channels: int, drop_path: float = 0.0) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((channels,), 1e-6))
        self.dwconv = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=EPS)
        self.pwconv1 = nn.Linear(channels, 4 * channels)
        self.pwconv2 = nn.Linear(4 * channels, channels)
        self.drop_path = drop_path

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, H, W, C] to one of the same shape."""
        branch = self.pwconv2(F.gelu(self.pwconv1(self.norm(convolve(self.dwconv, x)))))
        scale: Tensor = self.gamma
        if self.training and self.drop_path > 0:
            keep = 1 - self.drop_path
            scale = scale * scale.new_empty((len(x), 1, 1, 1)).bernoulli_(keep).div_(keep)
        return torch.addcmul(x, branch, scale)


class DSAttention(nn.Module):
    """Attention of each channel over the positions, from a dynamic (global) key and a static (local) query.

    There is no matrix product between positions: softmax(query + key) weighs the value element by element.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.key = nn.Sequential(nn.Linear(channels, channels // 8), nn.GELU(), nn.Linear(channels // 8, channels))
        self.value = nn.Linear(channels, channels)
        self.attn = nn.Conv2d(channels, channels, 7, padding=3)
        self.norm = nn.LayerNorm(channels, eps=1e-5)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, H, W, C] to one of the same shape."""
        return torch.addcmul(x, self.weights(x), self.value(x))

    def weights(self, x: Tensor) -> Tensor:
        """Weights of the positions of a map [N, H, W, C], which sum to 1 over them: the same shape."""
        query = self.norm(F.gelu(convolve(self.attn, x)))
        return torch.addcmul(query, self.key(x), x).flatten(1, 2).softmax(1).view_as(x)


class Stem(nn.Sequential):
    """Images [N, 3, H, W] to a map [N, H/4, W/4, C]: 4x4 convolution with stride 4, LayerNorm."""

    def __init__(self, channels: int) -> None:
        super().__init__(nn.Conv2d(3, channels, 4, stride=4), nn.LayerNorm(channels, eps=EPS))

    def forward(self, images: Tensor) -> Tensor:  # noqa: D102
        images = images.contiguous(memory_format=torch.channels_last)  # cheaper than copying the map
        x: Tensor = self[1](self[0](images).permute(0, 2, 3, 1))
        return x


class Downsample(nn.Sequential):
    """Map [N, H, W, C] to [N, H/2, W/2, D]: LayerNorm, 2x2 convolution with stride 2."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__(nn.LayerNorm(channels, eps=EPS), nn.Conv2d(channels, out, 2, stride=2))

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        return convolve(self[1], self[0](x))


class Head(nn.Module):
    """A classifier that reads the first `width` features."""

    def __init__(self, width: int, num_classes: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, width)
        self.fc2 = nn.Linear(width, num_classes)

    def forward(self, features: Tensor) -> Tensor:
        """Features [N, D], D >= width, to logits [N, C]."""
        logits: Tensor = self.fc2(F.gelu(self.fc1(features[:, : self.fc1.in_features])))
        return logits


class MFER(nn.Module):
    """ConvNeXt-Base, an attention block at the end of its last two stages, three heads on prefixes of the feature.

    The names in the state dict are the authors' own; the heads are `msc`.

    Args:
        num_classes: Number of logits.
        drop_path_rate: Drop-path rate of the last block; it grows linearly from 0 in the first.
        depths: Blocks of each stage.
        widths: Channels of each stage.
    """

    def __init__(
        self,
        num_classes: int,
        drop_path_rate: float = 0.25,
        *,
        depths: Sequence[int] = DEPTHS,
        widths: Sequence[int] = WIDTHS,
    ) -> None:
        super().__init__()
        rates = iter(torch.linspace(0, drop_path_rate, sum(depths), device="cpu").tolist())
        pairs = pairwise(widths)
        self.downsample_layers = nn.ModuleList([Stem(widths[0]), *(Downsample(a, b) for a, b in pairs)])
        self.stages = nn.ModuleList()
        for i, (depth, width) in enumerate(zip(depths, widths, strict=True)):
            layers: list[nn.Module] = [Block(width, next(rates)) for _ in range(depth)]
            if i in ATTENTIVE:
                layers.append(DSAttention(width))
            self.stages.append(nn.Sequential(*layers))
        features = widths[-1]
        self.norm = nn.LayerNorm(features, eps=EPS)
        self.apply(_init_backbone)
        self.msc = nn.ModuleList(Head(features * k // 4, num_classes) for k in (2, 3, 4))

    def forward(self, images: Tensor) -> Output:
        """Classify images [N, 3, H, W].

        Returns:
            `logits` [N, C], the sum over the heads; `stage_logits` [N, 3, C], those of each head; `features`
            [N, 1024], the normalised mean of the last map.
        """
        x = images
        for downsample, stage in zip(self.downsample_layers, self.stages, strict=True):
            x = stage(downsample(x))
        features = self.norm(x.mean((1, 2)))
        stage_logits = torch.stack([head(features) for head in self.msc], dim=1)
        stage_logits = stage_logits.to(torch.promote_types(stage_logits.dtype, torch.float32))
        return {"logits": stage_logits.sum(1), "stage_logits": stage_logits, "features": features}


def build_mfer(info: TaskInfo, *, drop_path_rate: float = 0.25) -> MFER:
    """Build an MFER for `info`.

    Args:
        info: The task: its number of classes, and its input size, which has to be 32 pixels or more.
        drop_path_rate: Rate of the last block; it grows linearly from 0 in the first.

    Raises:
        FerError: `drop_path_rate` is not in [0, 1), or the input is smaller than 32 pixels.
    """
    if not 0 <= drop_path_rate < 1:
        raise FerError(
            f"model.drop_path_rate is {drop_path_rate}, but it is the probability to skip a block: use a number "
            "from 0 up to, but not including, 1 (0.25 in the authors' script)"
        )
    if info.input_size < 32:
        raise FerError(
            f"data.input_size is {info.input_size}, but mfer shrinks its input 32 times and needs a pixel to be "
            "left: use 32 or more (224 in the paper)"
        )
    return MFER(info.num_classes, drop_path_rate)


def convolve(layer: nn.Module, x: Tensor) -> Tensor:
    """Apply a convolution to a map [N, H, W, C]; both changes of the order are views."""
    y: Tensor = layer(x.permute(0, 3, 1, 2))
    return y.permute(0, 2, 3, 1)


def _init_backbone(module: nn.Module) -> None:
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.normal_(module.weight, std=0.02)  # the authors truncate at +-2, which is 100 standard deviations
        assert module.bias is not None
        nn.init.zeros_(module.bias)

"""DAN: "Distract Your Attention" (Wen et al., arXiv 2109.07270), the network."""

from __future__ import annotations

import torch
from fer_core.plugin import FerError, Output, TaskInfo, no_autocast, resnet18
from torch import Tensor, nn

FEATURES = 512
"""Channels of the backbone's map, and so the length of every head's vector."""


class SpatialAttention(nn.Module):
    """One weight per position of the map, from three convolutions of different shape (`cat_head*.sa`)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1x1 = _conv_bn(FEATURES, 256, (1, 1))
        self.conv_3x3 = _conv_bn(256, FEATURES, (3, 3))
        self.conv_1x3 = _conv_bn(256, FEATURES, (1, 3))
        self.conv_3x1 = _conv_bn(256, FEATURES, (3, 1))

    def forward(self, features: Tensor) -> Tensor:
        """Map [N, 512, h, w] to attention [N, 1, h, w], not normalised and at least float32."""
        y = self.conv1x1(features)
        y = torch.relu(self.conv_3x3(y) + self.conv_1x3(y) + self.conv_3x1(y))
        # A sum of 512 terms, which half precision would round coarsely or overflow.
        return y.sum(1, keepdim=True, dtype=torch.promote_types(y.dtype, torch.float32))


class ChannelAttention(nn.Module):
    """A gate per channel, squeezed through 32 units (`cat_head*.ca`)."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.Sequential(
            nn.Linear(FEATURES, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, FEATURES), nn.Sigmoid()
        )

    def forward(self, pooled: Tensor) -> Tensor:
        """Vector [N, 512] to the gated vector [N, 512]."""
        gate: Tensor = self.attention(pooled)
        return pooled * gate


class CrossAttentionHead(nn.Module):
    """Spatial attention, global average pooling, channel attention."""

    def __init__(self) -> None:
        super().__init__()
        self.sa = SpatialAttention()
        self.ca = ChannelAttention()

    def forward(self, features: Tensor) -> Tensor:
        """Map [N, 512, h, w] to the head's vector [N, 512]."""
        pooled = (features * self.sa(features)).mean((2, 3))
        with no_autocast(features.device):
            vector: Tensor = self.ca(pooled.to(self.ca.attention[0].weight.dtype))
        return vector


class DAN(nn.Module):
    """ResNet-18, several cross-attention heads on its last map, and a fusion by log-softmax over the heads.

    The names in the state dict are the authors' own. In training a batch needs at least two images, because
    batch normalisation also acts on vectors and on the logits.

    Args:
        num_classes: Number of logits.
        num_heads: Number of attention heads; 4 in the paper.
    """

    def __init__(self, num_classes: int, num_heads: int = 4) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.features = resnet18()
        for h in range(num_heads):
            head = CrossAttentionHead()
            head.apply(_init_head)
            self.add_module(f"cat_head{h}", head)
        self.fc = nn.Linear(FEATURES, num_classes)
        self.bn = nn.BatchNorm1d(num_classes)

    def forward(self, images: Tensor) -> Output:
        """Classify images [N, 3, H, W].

        Returns:
            `logits` [N, C]; `features` [N, 512, H/32, W/32], the backbone's map; `heads` [N, num_heads, 512],
            log-softmax over the heads (with one head: its vector as it is).
        """
        features = self.features(images)
        heads = torch.stack([self.get_submodule(f"cat_head{h}")(features) for h in range(self.num_heads)], dim=1)
        if self.num_heads > 1:
            heads = heads.log_softmax(dim=1)
        with no_autocast(images.device):  # log-probabilities reach -1e4; costs nothing
            logits = self.bn(self.fc(heads.sum(dim=1)))
        return {"logits": logits, "features": features, "heads": heads}


def build_dan(info: TaskInfo, *, num_heads: int = 4) -> DAN:
    """Build a DAN for `info`.

    Args:
        info: The task; only its number of classes matters, any input size is supported.
        num_heads: Number of attention heads; 4 in the paper.

    Raises:
        FerError: `num_heads` is not positive.
    """
    if num_heads < 1:
        raise FerError(
            f"model.num_heads is {num_heads}, but DAN needs an attention head at least: the paper has 4"
        )
    return DAN(info.num_classes, num_heads)


def _conv_bn(channels: int, out: int, kernel: tuple[int, int]) -> nn.Sequential:
    padding = (kernel[0] // 2, kernel[1] // 2)
    return nn.Sequential(nn.Conv2d(channels, out, kernel, padding=padding), nn.BatchNorm2d(out))


def _init_head(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.001)
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)

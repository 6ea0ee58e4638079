"""Layers that POSTER and POSTER++ share."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Mlp(nn.Module):
    """Two linear layers with an exact GELU between them."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens [..., width] to the same shape."""
        y: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return y


class StochasticDepth(nn.Module):
    """In training, drop a branch for each sample with probability `p` and scale the others by 1 / (1 - p).

    Huang et al., "Deep Networks with Stochastic Depth", arXiv 1603.09382.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Branch [N, ...] to the same shape."""
        if not self.training or self.p == 0:
            return x
        kept = torch.empty(x.shape[0], *[1] * (x.ndim - 1), dtype=x.dtype, device=x.device)
        return x * kept.bernoulli_(1 - self.p).div_(1 - self.p)


class SEBlock(nn.Module):
    """Gate every feature by a function of all features."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(width, width)
        self.linear2 = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Vector [N, width] to the gated vector [N, width]."""
        return x * torch.sigmoid(self.linear2(F.relu(self.linear1(x))))


class ClassificationHead(nn.Module):
    """Features to logits, under the authors' name `head.linear`."""

    def __init__(self, width: int, num_classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Vector [N, width] to logits [N, C]."""
        y: Tensor = self.linear(x)
        return y


def split_heads(x: Tensor, heads: int) -> Tensor:
    """Tokens [N, T, d] to [N, heads, T, d / heads]."""
    return x.view(*x.shape[:2], heads, -1).transpose(1, 2)


def attend(query: Tensor, key: Tensor, value: Tensor, heads: int, bias: Tensor | None = None) -> Tensor:
    """Multi-head attention of tokens [N, Q, d] to [N, K, d], without any projection.

    Scores are scaled by the square root of a head's width and `bias` [1, heads, Q, K] is added to them. The heads
    are concatenated along the features.
    """
    q, k, v = (split_heads(tensor, heads) for tensor in (query, key, value))
    mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    return mixed.transpose(1, 2).flatten(2)

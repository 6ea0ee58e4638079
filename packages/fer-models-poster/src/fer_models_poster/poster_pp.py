"""POSTER++: "A simpler and stronger facial expression recognition network", also called POSTER V2.

Mao, Xu, Yin, Chang, Nie, Huang, Pattern Recognition 2024, arXiv 2301.12149.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from fer_core.plugin import Frozen, Output, TaskInfo
from torch import Tensor, nn

from fer_models_poster.backbones import shrink
from fer_models_poster.backbones.ir50 import StagedIR50
from fer_models_poster.backbones.mobilefacenet import MobileFaceNet
from fer_models_poster.layers import ClassificationHead, Mlp, SEBlock, StochasticDepth, attend

if TYPE_CHECKING:
    from collections.abc import Sequence

SCALES = ((64, 28, 0.0), (128, 14, 0.125), (256, 7, 0.25))
"""Channels, side of the map and probability of stochastic depth of each scale."""
HEAD_WIDTH = 32
WIDTH = 768
"""Length of an encoder token."""
HEADS = 8
"""Attention heads of the encoder."""
LENGTH = 148
"""Encoder tokens: one class token and 49 of each scale."""
EPS = 1e-6
"""Epsilon of the encoder's layer normalisations; those before it have 1e-5."""


class FusionAttention(nn.Module):
    """Landmark queries over image tokens, with a learned bias for every offset between two positions."""

    relative_position_index: Tensor

    def __init__(self, width: int, side: int) -> None:
        super().__init__()
        self.heads = width // HEAD_WIDTH
        self.relative_position_bias_table = nn.Parameter(torch.empty((2 * side - 1) ** 2, self.heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        self.register_buffer("relative_position_index", _offsets(side))
        self.qkv = nn.Linear(width, 2 * width)
        self.proj = nn.Linear(width, width)

    def bias(self) -> Tensor:
        """Bias of the scores, [1, heads, tokens, tokens]."""
        return self.relative_position_bias_table[self.relative_position_index].permute(2, 0, 1)[None]

    def forward(self, query: Tensor, source: Tensor) -> Tensor:
        """Queries and keys' source, both [N, tokens, width], to [N, tokens, width]."""
        key, value = self.qkv(source).chunk(2, dim=2)
        y: Tensor = self.proj(attend(query, key, value, self.heads, self.bias()))
        return y


class Window(nn.Module):
    """Normalisation of one scale; its one window is the whole map."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, width, side, side] to normalised tokens [N, side * side, width], row by row."""
        y: Tensor = self.norm(to_tokens(x))
        return y


class FeedForward(nn.Module):
    """Adds the attention and then a perceptron to the tokens, both scaled per feature (layer scale)."""

    def __init__(self, width: int, drop: float) -> None:
        super().__init__()
        self.gamma1 = nn.Parameter(torch.full((width,), 1e-5))
        self.gamma2 = nn.Parameter(torch.full((width,), 1e-5))
        self.drop_path = StochasticDepth(drop)
        self.mlp = Mlp(width, 4 * width)
        self.norm = nn.LayerNorm(width)

    def forward(self, attended: Tensor, shortcut: Tensor) -> Tensor:
        """Two times [N, tokens, width] to [N, tokens, width]."""
        y: Tensor = shortcut + self.drop_path(self.gamma1 * attended)
        change: Tensor = self.drop_path(self.gamma2 * self.mlp(self.norm(y)))
        return y + change


class SelfAttention(nn.Module):
    """Plain multi-head self-attention."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.proj = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens [N, T, 768] to the same shape."""
        query, key, value = self.qkv(x).chunk(3, dim=2)
        y: Tensor = self.proj(attend(query, key, value, HEADS))
        return y


class EncoderBlock(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(WIDTH, EPS)
        self.attn = SelfAttention()
        self.norm2 = nn.LayerNorm(WIDTH, EPS)
        self.mlp = Mlp(WIDTH, 4 * WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens [N, T, 768] to the same shape."""
        x = x + self.attn(self.norm1(x))
        change: Tensor = self.mlp(self.norm2(x))
        return x + change


class Encoder(nn.Module):
    """Two transformer blocks over the tokens of all scales, and the classifier."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.empty(1, 1, WIDTH))
        self.pos_embed = nn.Parameter(torch.empty(1, LENGTH, WIDTH))
        self.se_block = SEBlock(WIDTH)
        self.head = ClassificationHead(WIDTH, num_classes)
        self.blocks = nn.Sequential(EncoderBlock(), EncoderBlock())
        self.norm = nn.LayerNorm(WIDTH, EPS)
        for token in (self.cls_token, self.pos_embed):
            nn.init.trunc_normal_(token, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.01)
                nn.init.zeros_(module.bias)

    def embed(self, *scales: Tensor) -> Tensor:
        """Tokens [N, 49, 768] of each scale to [N, 148, 768], beginning with the class token."""
        lead = self.cls_token.expand(scales[0].shape[0], -1, -1)
        return torch.cat([lead, *scales], dim=1) + self.pos_embed

    def forward(self, *scales: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens [N, 49, 768] of each scale to logits [N, C] and the features [N, 768] behind them."""
        features = self.se_block(self.norm(self.blocks(self.embed(*scales)))[:, 0])
        return self.head(features), features


class PatchEmbedding(nn.Module):
    """Map to tokens, one per position."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, WIDTH, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, channels, 7, 7] to tokens [N, 49, 768]."""
        return to_tokens(self.proj(x))


class POSTERPP(nn.Module):
    """Fuses landmark and image maps at three scales, and the scales in a small transformer.

    The names in the state dict are the authors' own, without what their network never uses (`convert.UNUSED_PP`).

    Args:
        num_classes: Number of logits.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.face_landback = MobileFaceNet()
        self.remembered = Frozen(self.face_landback, self.landmark_maps)
        self.VIT = Encoder(num_classes)
        self.ir_back = StagedIR50()
        self.attn1, self.attn2, self.attn3 = (FusionAttention(width, side) for width, side, _ in SCALES)
        self.window1, self.window2, self.window3 = (Window(width) for width, _, _ in SCALES)
        self.conv1, self.conv2, self.conv3 = (nn.Conv2d(width, width, 3, 2, 1) for width, _, _ in SCALES)
        self.ffn1, self.ffn2, self.ffn3 = (FeedForward(width, drop) for width, _, drop in SCALES)
        self.last_face_conv = nn.Conv2d(512, 256, 3, padding=1)
        self.embed_q = nn.Sequential(nn.Conv2d(64, WIDTH, 3, 2, 1), nn.Conv2d(WIDTH, WIDTH, 3, 2, 1))
        self.embed_k = nn.Sequential(nn.Conv2d(128, WIDTH, 3, 2, 1))
        self.embed_v = PatchEmbedding(256)

    def tokens(self, images: Tensor, faces: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Images [N, 3, 112, 112] and the landmark network's maps to the tokens [N, 49, 768] of three scales."""
        large, medium, small = self.ir_back(images)
        a = _fuse(self.conv1(large), faces[0], self.window1, self.attn1, self.ffn1)
        b = _fuse(self.conv2(medium), faces[1], self.window2, self.attn2, self.ffn2)
        c = _fuse(self.conv3(small), self.last_face_conv(faces[2]), self.window3, self.attn3, self.ffn3)
        return to_tokens(self.embed_q(a)), to_tokens(self.embed_k(b)), self.embed_v(c)

    def landmark_maps(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Images [N, 3, H, W] to the outputs of `MobileFaceNet`; in training, SAM's two passes share them."""
        found: tuple[Tensor, Tensor, Tensor, Tensor] = self.face_landback(shrink(images))
        return found

    def classify(self, images: Tensor, faces: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Images [N, 3, 112, 112] and the landmark network's maps to logits [N, C] and features [N, 768]."""
        logits, features = self.VIT(*self.tokens(images, faces))
        return logits, features

    def forward(self, images: Tensor) -> Output:
        """Classify images [N, 3, H, W].

        Returns:
            `logits` [N, C]; `features` [N, 768], what they are computed from; `landmarks` [N, 136], the frozen
            network's own output, which the method does not use.
        """
        # without gradients there is no second pass, and inference tensors cannot be distinguished
        read = self.remembered if self.training and torch.is_grad_enabled() else self.landmark_maps
        *faces, landmarks = read(images)
        logits, features = self.classify(shrink(images), faces)
        return {"logits": logits, "features": features, "landmarks": landmarks}


def build_poster_pp(info: TaskInfo) -> POSTERPP:
    """Build a POSTER++ for `info`.

    Only its number of classes matters, since images of any size are resized to 112 pixels.
    """
    return POSTERPP(info.num_classes)


def _fuse(image: Tensor, landmarks: Tensor, window: nn.Module, attn: nn.Module, ffn: nn.Module) -> Tensor:
    """Maps [N, d, side, side] of both streams to one. The residual is the *normalised* image map."""
    shortcut = window(image)
    fused: Tensor = ffn(attn(to_tokens(landmarks), shortcut), shortcut)
    return fused.transpose(1, 2).unflatten(2, image.shape[2:])  # type: ignore[no-untyped-call, no-any-return]


def to_tokens(x: Tensor) -> Tensor:
    """Map [N, d, h, w] to tokens [N, h * w, d], row by row."""
    return x.flatten(2).transpose(1, 2)


def _offsets(side: int) -> Tensor:
    """For each pair of positions [tokens, tokens], the row of the bias table for their offset."""
    place = torch.arange(side * side)
    rows, columns = place // side, place % side
    down = rows[:, None] - rows + side - 1
    right = columns[:, None] - columns + side - 1
    return down * (2 * side - 1) + right

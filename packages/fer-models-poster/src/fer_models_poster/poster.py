"""POSTER: "A Pyramid Cross-Fusion Transformer Network for Facial Expression Recognition".

Zheng, Mendieta, Chen, ICCV 2023 Workshops, arXiv 2204.04083.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from fer_core.plugin import FerError, Frozen, Output, TaskInfo, nearest
from torch import Tensor, nn

from fer_models_poster.backbones import shrink
from fer_models_poster.backbones.ir50 import IR50
from fer_models_poster.backbones.mobilefacenet import MobileFaceNet
from fer_models_poster.layers import ClassificationHead, Mlp, SEBlock, StochasticDepth, attend

if TYPE_CHECKING:
    from collections.abc import Sequence

DEPTHS = {"small": 4, "base": 6, "large": 8}
"""Pyramid blocks of each type."""
WIDTH = 512
"""Length of a token of the largest scale; each further scale has half the length."""
TOKENS = 50
"""Tokens of one stream: 49 and their mean."""
HEADS = 8
EPS = 1e-6
"""Epsilon of every layer normalisation."""
DROP = 0.1
"""Probability of stochastic depth in the last block; it rises linearly from 0 in the first."""


class CrossAttention(nn.Module):
    """Cross-attention: queries from one stream, without a projection, and keys and values from the other."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.kv = nn.Linear(width, 2 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, query: Tensor, source: Tensor) -> Tensor:
        """Queries [N, Q, width] and keys and values from `source` [N, T, width]; [N, Q, width]."""
        key, value = self.kv(source).chunk(2, dim=2)
        y: Tensor = self.proj(attend(query, key, value, HEADS))
        return y


class CrossFusionBlock(nn.Module):
    """Image and landmark tokens of one scale, each updated by its answers to the queries of the other.

    The i-th landmark query's result is added to the i-th image token, and the other way round.
    With `token_mixing`, every token of the result is a learned combination of all 100.
    """

    def __init__(self, width: int, drop: float, *, token_mixing: bool) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, EPS)
        self.attn_img = CrossAttention(width)
        self.attn_lm = CrossAttention(width)
        self.drop_path = StochasticDepth(drop)
        self.norm2 = nn.LayerNorm(width, EPS)
        self.mlp1 = Mlp(width, 2 * width)
        self.mlp2 = Mlp(width, 2 * width)
        self.norm3 = nn.LayerNorm(width, EPS)
        self.norm4 = nn.LayerNorm(width, EPS)
        self.conv = nn.Conv1d(2 * TOKENS, 2 * TOKENS, 1) if token_mixing else None

    def image_half(self, x: Tensor, rows: int = TOKENS) -> Tensor:
        """The first `rows` updated image tokens [N, rows, width] of tokens [N, 100, width]."""
        normed = self.norm1(x)
        asked = self.attn_img(normed[:, TOKENS : TOKENS + rows], normed[:, :TOKENS])
        y: Tensor = x[:, :rows] + self.drop_path(asked)
        change: Tensor = self.drop_path(self.mlp1(self.norm2(y)))
        return y + change

    def landmark_half(self, x: Tensor) -> Tensor:
        """The updated landmark tokens [N, 50, width] of tokens [N, 100, width]."""
        normed = self.norm3(x)
        asked = self.attn_lm(normed[:, :TOKENS], normed[:, TOKENS:])
        y: Tensor = x[:, TOKENS:] + self.drop_path(asked)
        change: Tensor = self.drop_path(self.mlp2(self.norm4(y)))
        return y + change

    def forward(self, x: Tensor) -> Tensor:
        """Tokens [N, 100, width], image before landmark, to the same shape."""
        y = torch.cat([self.image_half(x), self.landmark_half(x)], dim=1)
        return y if self.conv is None else self.conv(y)


class PyramidBlock(nn.Module):
    """A cross-fusion block for each of three scales; the smaller ones are then added to the larger ones."""

    def __init__(self, drop: float, *, token_mixing: bool) -> None:
        super().__init__()
        self.block_l = CrossFusionBlock(WIDTH, drop, token_mixing=token_mixing)
        self.block_m = CrossFusionBlock(WIDTH // 2, drop, token_mixing=token_mixing)
        self.block_s = CrossFusionBlock(WIDTH // 4, drop, token_mixing=token_mixing)
        self.upsample_m = nn.ConvTranspose1d(2 * TOKENS, 2 * TOKENS, 2, 2)
        self.upsample_s = nn.ConvTranspose1d(2 * TOKENS, 2 * TOKENS, 2, 2)

    def lower(self, medium: Tensor, small: Tensor) -> tuple[Tensor, Tensor]:
        """Only the medium and the small scale, which do not depend on the large one."""
        small = self.block_s(small)
        return self.block_m(medium) + self.upsample_s(small), small

    def forward(self, large: Tensor, medium: Tensor, small: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens [N, 100, 512], [N, 100, 256] and [N, 100, 128] to the same shapes."""
        medium, small = self.lower(medium, small)
        return self.block_l(large) + self.upsample_m(medium), medium, small


class PyramidFusion(nn.Module):
    """Image and landmark tokens to one vector, through `depth` pyramid blocks."""

    def __init__(self, depth: int, *, token_mixing: bool) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.zeros(1, TOKENS, WIDTH))
        self.downsample_m = nn.Conv1d(2 * TOKENS, 2 * TOKENS, 2, 2)
        self.downsample_s = nn.Conv1d(2 * TOKENS, 2 * TOKENS, 4, 4)
        drops = [DROP * i / max(depth - 1, 1) for i in range(depth)]
        self.blocks = nn.ModuleList(PyramidBlock(drop, token_mixing=token_mixing) for drop in drops)
        self.norm = nn.LayerNorm(WIDTH, EPS)

    def scales(self, image: Tensor, landmarks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens of both streams [N, 49, 512] to the three scales [N, 100, 512], [N, 100, 256], [N, 100, 128].

        Each stream begins with the mean of its tokens; only the image has a position embedding.
        """
        image = torch.cat([image.mean(1, keepdim=True), image], dim=1) + self.pos_embed
        large = torch.cat([image, landmarks.mean(1, keepdim=True), landmarks], dim=1)
        return large, self.downsample_m(large), self.downsample_s(large)

    def forward(self, image: Tensor, landmarks: Tensor) -> Tensor:
        """Tokens of both streams [N, 49, 512] to the image's first token [N, 512], normalised."""
        large, medium, small = self.scales(image, landmarks)
        for block in self.blocks:
            large, medium, small = block(large, medium, small)
        y: Tensor = self.norm(large[:, 0])
        return y


class POSTER(nn.Module):
    """Fuses a frozen landmark network and a face recogniser by cross-attention at three scales.

    The names in the state dict are the authors' own, without what their network never uses (`convert.UNUSED`).

    Args:
        num_classes: Number of logits.
        depth: Number of pyramid blocks.
        token_mixing: Whether each cross-fusion block ends with a convolution over the tokens.
    """

    def __init__(self, num_classes: int, depth: int = DEPTHS["large"], *, token_mixing: bool = True) -> None:
        super().__init__()
        self.face_landback = MobileFaceNet()
        self.remembered = Frozen(self.face_landback, self.landmark_maps)
        self.ir_back = IR50()
        self.ir_layer = nn.Linear(1024, WIDTH)
        self.pyramid_fuse = PyramidFusion(depth, token_mixing=token_mixing)
        self.se_block = SEBlock(WIDTH)
        self.head = ClassificationHead(WIDTH, num_classes)

    def image_tokens(self, images: Tensor) -> Tensor:
        """Images [N, 3, 112, 112] to tokens [N, 49, 512].

        The map [N, 256, 14, 14] is reshaped without transposition, as in the authors' code: a token is about five
        channels, not a position in the image.
        """
        y: Tensor = self.ir_layer(self.ir_back(images).reshape(-1, TOKENS - 1, 1024))
        return y

    def landmark_maps(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Images [N, 3, H, W] to the outputs of `MobileFaceNet`; in training, SAM's two passes share them."""
        found: tuple[Tensor, Tensor, Tensor, Tensor] = self.face_landback(shrink(images))
        return found

    def classify(self, images: Tensor, faces: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Images [N, 3, 112, 112] and the landmark network's maps to logits [N, C] and features [N, 512]."""
        fused = self.pyramid_fuse(self.image_tokens(images), faces[2].flatten(2).transpose(1, 2))
        features = self.se_block(fused)
        return self.head(features), features

    def forward(self, images: Tensor) -> Output:
        """Classify images [N, 3, H, W].

        Returns:
            `logits` [N, C]; `features` [N, 512], what they are computed from; `landmarks` [N, 136], the frozen
            network's own output, which the method does not use.
        """
        # without gradients there is no second pass, and inference tensors cannot be distinguished
        read = self.remembered if self.training and torch.is_grad_enabled() else self.landmark_maps
        *faces, landmarks = read(images)
        logits, features = self.classify(shrink(images), faces)
        return {"logits": logits, "features": features, "landmarks": landmarks}


def build_poster(info: TaskInfo, *, type: str = "large", token_mixing: bool = True) -> POSTER:
    """Build a POSTER for `info`.

    Args:
        info: The task; only its number of classes matters, since images of any size are resized to 112 pixels.
        type: `small`, `base` or `large`: 4, 6 or 8 pyramid blocks.
        token_mixing: Whether blocks mix their tokens, as the authors' RAF-DB network does and the AffectNet one
            does not.

    Raises:
        FerError: Unknown type.
    """
    if type not in DEPTHS:
        raise FerError(f"model.type is {type!r}, which does not exist: {nearest(type, DEPTHS)}")
    return POSTER(info.num_classes, DEPTHS[type], token_mixing=token_mixing)

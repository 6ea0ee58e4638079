"""Attention maps of POSTER++ for the diagnosis: the attention of its class token.

POSTER has no such map, since its image tokens are not positions.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor

from fer_models_poster.backbones import shrink
from fer_models_poster.layers import split_heads
from fer_models_poster.poster_pp import HEADS, POSTERPP, EncoderBlock

SIDE = 7
"""Positions along a side of each scale."""


def attention_maps(model: POSTERPP, images: Tensor) -> dict[str, Tensor]:
    """Attention of the class token in the encoder's last block, averaged over its heads, for images [N, 3, H, W].

    Returns:
        `large scale`, `medium scale` and `small scale`, named after the fused maps: [N, 7, 7] each.
    """
    *faces, _ = model.landmark_maps(images)
    *blocks, last = (cast("EncoderBlock", block) for block in model.VIT.blocks)
    x = model.VIT.embed(*model.tokens(shrink(images), faces))
    for block in blocks:
        x = block(x)
    query, key, _ = (split_heads(part, HEADS) for part in last.attn.qkv(last.norm1(x)).chunk(3, dim=2))
    scores = query[:, :, :1] @ key.transpose(2, 3) / query.shape[3] ** 0.5
    weights = scores.softmax(3).mean(1)[:, 0, 1:]
    scales = weights.unflatten(1, (3, SIDE, SIDE)).unbind(1)
    return dict(zip(("large scale", "medium scale", "small scale"), scales, strict=True))

"""Attention maps of DAN for the diagnosis: the spatial attention of each head."""

from __future__ import annotations

from torch import Tensor

from fer_models_dan.dan import DAN, CrossAttentionHead


def attention_maps(model: DAN, images: Tensor) -> dict[str, Tensor]:
    """Spatial attention [N, H/32, W/32] of every head, for images [N, 3, H, W], before channel attention."""
    features = model.features(images)
    heads = [head for head in model.children() if isinstance(head, CrossAttentionHead)]
    return {f"head {number + 1}": head.sa(features)[:, 0] for number, head in enumerate(heads)}

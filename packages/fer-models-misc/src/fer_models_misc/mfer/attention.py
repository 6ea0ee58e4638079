"""Attention maps of MFER for the diagnosis: the weights of its two attention blocks."""

from __future__ import annotations

from torch import Tensor

from fer_models_misc.mfer.network import MFER, DSAttention


def attention_maps(model: MFER, images: Tensor) -> dict[str, Tensor]:
    """Softmax weights over the positions, averaged over channels, for images [N, 3, H, W].

    Returns:
        `stage 3` [N, H/16, W/16] and `stage 4` [N, H/32, W/32].
    """
    found: dict[str, Tensor] = {}
    x = images
    for number, (downsample, stage) in enumerate(zip(model.downsample_layers, model.stages, strict=True)):
        x = downsample(x)
        for layer in stage.children():
            if isinstance(layer, DSAttention):
                found[f"stage {number + 1}"] = layer.weights(x).mean(3)
            x = layer(x)
    return found

"""Attention maps of DDAMFN for the diagnosis: the dual-direction attention of each head."""

from __future__ import annotations

from torch import Tensor

from fer_models_ddamfn.ddamfn import DDAMFN


def attention_maps(model: DDAMFN, images: Tensor) -> dict[str, Tensor]:
    """Attention [N, 7, 7] of every head, averaged over its 512 channels, for images [N, 3, 112, 112]."""
    heads = model(images)["heads"].mean(2).unbind(1)
    return {f"head {number + 1}": each for number, each in enumerate(heads)}

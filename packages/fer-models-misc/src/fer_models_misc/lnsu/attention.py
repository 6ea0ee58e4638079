"""Attention maps of LNSU-Net for the diagnosis: its class maps."""

from __future__ import annotations

from torch import Tensor

from fer_models_misc.lnsu.network import LNSU


def attention_maps(model: LNSU, images: Tensor) -> dict[str, Tensor]:
    """Contribution of each position to the predicted class's logit, [N, 7, 7], for images [N, 3, 112, 112]."""
    output = model(images)
    predicted = output["logits"].argmax(1)
    return {"class map": output["maps"][range(len(images)), predicted]}

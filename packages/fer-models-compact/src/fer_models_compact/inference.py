"""The inference form of `compact`: `logits` alone, batch normalisations fused into convolutions."""

from __future__ import annotations

import copy
from typing import cast

from fer_core.plugin import ResidualBlock, fold_batch_norm
from torch import nn

from fer_models_compact.network import Compact

BLOCK = (("conv1", "bn1"), ("conv2", "bn2"), ("downsample.0", "downsample.1"))
"""Each convolution of a block, and the normalisation behind it."""


def build_inference(model: nn.Module) -> nn.Module:
    """A copy of `model`, a `Compact`, in eval mode: without further heads, with fused batch normalisations."""
    form = cast("Compact", copy.deepcopy(model))
    form.heads = nn.ModuleDict()
    _fuse(form.body, "0", "1")
    for block in form.body:
        if isinstance(block, ResidualBlock):
            for convolution, norm in BLOCK:
                _fuse(block, convolution, norm)
    return form.eval().requires_grad_(False)


def _fuse(module: nn.Module, convolution: str, norm: str) -> None:
    layer, after = module.get_submodule(convolution), module.get_submodule(norm)
    assert isinstance(layer, nn.Conv2d)
    assert isinstance(after, nn.BatchNorm2d)
    module.set_submodule(convolution, fold_batch_norm(layer, after))
    module.set_submodule(norm, nn.Identity())

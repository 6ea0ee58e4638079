"""Folding a batch normalisation into the layer before it, for inference."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn

Layer = TypeVar("Layer", nn.Conv1d, nn.Conv2d, nn.Linear)
BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d


@torch.no_grad()
def fold_batch_norm(layer: Layer, norm: BatchNorm) -> Layer:
    """A copy of `layer` that computes `norm(layer(x))` as in eval mode.

    With s = weight / sqrt(running_var + eps), the kernel is scaled by s for each output channel and the bias
    becomes (bias - running_mean) * s + norm.bias. It is computed in float64, so it costs one rounding.

    Args:
        layer: Convolution or linear layer whose output channels are those of `norm`.
        norm: Batch normalisation with running statistics.
    """
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    shift = -norm.running_mean.double()
    if norm.affine:
        scale = scale * norm.weight.double()
    if layer.bias is not None:
        shift = shift + layer.bias.double()
    bias = shift * scale + (norm.bias.double() if norm.affine else 0.0)
    folded = copy.deepcopy(layer)
    weight = layer.weight.double() * scale.view(-1, *[1] * (layer.weight.ndim - 1))
    folded.weight = nn.Parameter(weight.to(layer.weight.dtype), requires_grad=False)
    folded.bias = nn.Parameter(bias.to(layer.weight.dtype), requires_grad=False)
    return folded

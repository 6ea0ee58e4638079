"""MFER for prediction: the same logits from fewer operations."""

from __future__ import annotations

import copy
from typing import TypeVar, cast

import torch
from fer_core.plugin import Output
from torch import Tensor, nn
from torch.nn import functional as F

from fer_models_misc.mfer.network import MFER, Block, Downsample, DSAttention, Head, Stem, convolve

Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


class PlainNorm(nn.Module):
    """LayerNorm over the last dimension, whose scale and shift are fused into the next layer."""

    def __init__(self, norm: nn.LayerNorm) -> None:
        super().__init__()
        self.eps = norm.eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise each vector of the last dimension to mean 0 and variance 1; any shape."""
        return F.layer_norm(x, x.shape[-1:], eps=self.eps)


class InferenceBlock(nn.Module):
    """`Block` with its layer scale fused into the last linear layer, without drop path."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.dwconv = copy.deepcopy(block.dwconv)
        self.norm = PlainNorm(block.norm)
        self.pwconv1 = fold_norm(block.norm, block.pwconv1)
        self.pwconv2 = _replace(
            block.pwconv2,
            block.pwconv2.weight.double() * block.gamma.double()[:, None],
            block.pwconv2.bias.double() * block.gamma.double(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, H, W, C] to one of the same shape."""
        branch: Tensor = self.pwconv2(F.gelu(self.pwconv1(self.norm(convolve(self.dwconv, x)))))
        return x + branch


class InferenceMFER(nn.Module):
    """`MFER` that returns only its `logits`, from two linear layers instead of three heads.

    Layer scales, and the scale and shift of every norm before a linear layer or an unpadded convolution, are fused
    into those layers. The shift of the attention's norm is omitted: it is the same at all positions, and the
    softmax over them cancels it.
    """

    def __init__(self, model: MFER) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for downsample, stage in zip(model.downsample_layers, model.stages, strict=True):
            layers.append(_prepare(downsample))
            layers.extend(_prepare(layer) for layer in cast(nn.Sequential, stage))
        self.layers = nn.Sequential(*layers)
        self.norm = PlainNorm(model.norm)
        heads = [cast(Head, head) for head in model.msc]
        self.fc1 = fold_norm(model.norm, _stack_first(heads))
        self.fc2 = _stack_last(heads)
        self.requires_grad_(False)
        self.to(memory_format=torch.channels_last)  # the kernels
        self.eval()

    def forward(self, images: Tensor) -> Output:
        """Classify images [N, 3, H, W]: `logits` [N, C]."""
        features = self.norm(self.layers(images).mean((1, 2)))
        return {"logits": self.fc2(F.gelu(self.fc1(features)))}


def make_inference(model: MFER) -> InferenceMFER:
    """A new model that computes the same logits as `model` in eval mode; `model` is not changed."""
    with torch.no_grad():
        return InferenceMFER(model)


def fold_norm(norm: nn.LayerNorm, layer: Layer) -> Layer:
    """A copy of `layer` that computes `layer(norm(x))` from x normalised without scale and shift.

    Args:
        norm: LayerNorm over the input channels of `layer`.
        layer: Linear layer, or convolution without padding.
    """
    assert layer.bias is not None
    weight, shape = layer.weight.double(), (1, -1, *[1] * (layer.weight.ndim - 2))
    shift = (weight * norm.bias.double().view(shape)).flatten(1).sum(1)
    return _replace(layer, weight * norm.weight.double().view(shape), layer.bias.double() + shift)


def _prepare(layer: nn.Module) -> nn.Module:
    if isinstance(layer, Block):
        return InferenceBlock(layer)
    layer = copy.deepcopy(layer)
    if isinstance(layer, Downsample):
        norm, conv = cast(nn.LayerNorm, layer[0]), cast(nn.Conv2d, layer[1])
        layer[1], layer[0] = fold_norm(norm, conv), PlainNorm(norm)
    elif isinstance(layer, DSAttention):
        layer.norm.register_parameter("bias", None)
    else:
        assert isinstance(layer, Stem)
    return layer


def _stack_first(heads: list[Head]) -> nn.Linear:
    """The heads' first layers, concatenated; a head that reads a prefix has zeros for the other features."""
    width = heads[-1].fc1.in_features
    rows = [F.pad(head.fc1.weight, (0, width - head.fc1.in_features)) for head in heads]
    return _replace(heads[-1].fc1, torch.cat(rows), torch.cat([head.fc1.bias for head in heads]))


def _stack_last(heads: list[Head]) -> nn.Linear:
    """The sum of the heads' second layers, as one layer on their concatenated hidden units."""
    bias = torch.stack([head.fc2.bias.double() for head in heads]).sum(0)
    return _replace(heads[-1].fc2, torch.cat([head.fc2.weight for head in heads], 1), bias)


def _replace(layer: Layer, weight: Tensor, bias: Tensor) -> Layer:
    """A copy of `layer` with other values (a linear layer also takes another size), in the dtype of the old."""
    dtype = layer.weight.dtype
    new = copy.deepcopy(layer)
    new.weight, new.bias = nn.Parameter(weight.to(dtype)), nn.Parameter(bias.to(dtype))
    if isinstance(new, nn.Linear):
        new.out_features, new.in_features = weight.shape
    return new

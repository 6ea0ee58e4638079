"""The inference forms of the networks, without the parts that only training needs."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from fer_core.plugin import Output, fold_batch_norm
from torch import Tensor, nn

from fer_models_poster.backbones import shrink
from fer_models_poster.backbones.ir50 import IR50, StagedIR50, Unit
from fer_models_poster.backbones.mobilefacenet import ConvBlock
from fer_models_poster.layers import attend
from fer_models_poster.poster import POSTER, CrossFusionBlock, PyramidBlock
from fer_models_poster.poster_pp import HEADS, POSTERPP, WIDTH, EncoderBlock, FusionAttention

Model = TypeVar("Model", POSTER, POSTERPP)


@torch.no_grad()
def poster_for_inference(model: POSTER) -> nn.Module:
    """A copy that returns `logits` alone.

    It has no landmark outputs, the batch normalisations are folded where one follows a convolution, and the last
    block computes only the one token of the largest scale that is classified: one row of its token mixing and
    up-sampling or, without token mixing, none of its landmark half.
    """
    lean = _fold(model)
    last = lean.pyramid_fuse.blocks[-1]
    assert isinstance(last, PyramidBlock)
    conv, up = last.block_l.conv, last.upsample_m
    if conv is None:
        last.block_l = ImageToken(last.block_l)  # type: ignore[assignment]
    else:
        last.block_l.conv = nn.Conv1d(conv.in_channels, 1, 1, device=conv.weight.device)
        last.block_l.conv.load_state_dict({"weight": conv.weight[:1], "bias": _bias(conv)[:1]})
    last.upsample_m = nn.ConvTranspose1d(up.in_channels, 1, 2, 2, device=up.weight.device)
    last.upsample_m.load_state_dict({"weight": up.weight[:, :1], "bias": _bias(up)[:1]})
    return Inference(lean).requires_grad_(False).eval()


@torch.no_grad()
def poster_pp_for_inference(model: POSTERPP) -> nn.Module:
    """A copy that returns `logits` alone.

    It has no landmark outputs, the batch normalisations are folded where one follows a convolution, the position
    biases are gathered once, and the last encoder block computes the class token only.
    """
    lean = _fold(model)
    for name in ("attn1", "attn2", "attn3"):
        setattr(lean, name, BiasedAttention(lean.get_submodule(name)))  # type: ignore[arg-type]
    lean.VIT.blocks[1] = ClassTokenBlock(lean.VIT.blocks[1])  # type: ignore[arg-type]
    return Inference(lean).requires_grad_(False).eval()


class Inference(nn.Module):
    """Runs a network up to its logits, without the landmark outputs."""

    def __init__(self, network: POSTER | POSTERPP) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Output:
        """Classify images [N, 3, H, W]: `logits` [N, C]."""
        images = shrink(images)
        return {"logits": self.network.classify(images, self.network.face_landback.maps(images))[0]}


class ImageToken(nn.Module):
    """The first image token of a cross-fusion block without token mixing."""

    def __init__(self, block: CrossFusionBlock) -> None:
        super().__init__()
        self.block = block
        del block.attn_lm, block.mlp2, block.norm3, block.norm4

    def forward(self, x: Tensor) -> Tensor:
        """Tokens [N, 100, width] to [N, 1, width]."""
        return self.block.image_half(x, rows=1)


class BiasedAttention(nn.Module):
    """Fusion attention with a precomputed bias."""

    bias: Tensor

    def __init__(self, attention: FusionAttention) -> None:
        super().__init__()
        self.heads, self.qkv, self.proj = attention.heads, attention.qkv, attention.proj
        self.register_buffer("bias", attention.bias().contiguous())

    def forward(self, query: Tensor, source: Tensor) -> Tensor:
        """Queries and keys' source, both [N, tokens, width], to [N, tokens, width]."""
        key, value = self.qkv(source).chunk(2, dim=2)
        y: Tensor = self.proj(attend(query, key, value, self.heads, self.bias))
        return y


class ClassTokenBlock(nn.Module):
    """The class token of an encoder block: keys and values of all tokens, everything else for the first only."""

    def __init__(self, block: EncoderBlock) -> None:
        super().__init__()
        self.norm1, self.norm2, self.mlp, self.proj = block.norm1, block.norm2, block.mlp, block.attn.proj
        qkv = block.attn.qkv
        device = qkv.weight.device
        self.query = nn.Linear(WIDTH, WIDTH, device=device)
        self.keyvalue = nn.Linear(WIDTH, 2 * WIDTH, device=device)
        for layer, rows in ((self.query, slice(0, WIDTH)), (self.keyvalue, slice(WIDTH, None))):
            layer.weight.copy_(qkv.weight[rows])
            layer.bias.copy_(qkv.bias[rows])

    def forward(self, x: Tensor) -> Tensor:
        """Tokens [N, T, 768] to [N, 1, 768]."""
        normed = self.norm1(x)
        key, value = self.keyvalue(normed).chunk(2, dim=2)
        first: Tensor = x[:, :1] + self.proj(attend(self.query(normed[:, :1]), key, value, HEADS))
        change: Tensor = self.mlp(self.norm2(first))
        return first + change


def _bias(layer: nn.Conv1d | nn.ConvTranspose1d) -> Tensor:
    assert layer.bias is not None
    return layer.bias


def _fold(model: Model) -> Model:
    """A copy in eval mode, without landmark outputs and without batch normalisations that follow a convolution."""
    lean = copy.deepcopy(model).eval()
    del lean.face_landback.output_layer, lean.remembered
    for module in list(lean.modules()):
        if isinstance(module, ConvBlock):
            module.conv = fold_batch_norm(module.conv, module.bn)  # type: ignore[arg-type]
            module.bn = nn.Identity()
        elif isinstance(module, IR50 | StagedIR50):
            _fold_at(module.input_layer, 0)
        elif isinstance(module, Unit):
            _fold_at(module.res_layer, 3)
            if module.shortcut_layer is not None:
                _fold_at(module.shortcut_layer, 0)
    return lean


def _fold_at(layers: nn.Sequential, place: int) -> None:
    layers[place] = fold_batch_norm(layers[place], layers[place + 1])  # type: ignore[type-var, arg-type]
    del layers[place + 1]

"""LNSU-Net for prediction: no maps, and the bias of every attention computed once."""

from __future__ import annotations

import copy

import torch
from fer_core.plugin import Output
from torch import Tensor, nn

from fer_models_misc.lnsu.network import LNSU, Block, Stage, WindowAttention, check_size


class CachedAttention(WindowAttention):
    """Attention whose bias is looked up and added to the mask once, at construction."""

    cached: Tensor

    def __init__(self, attention: WindowAttention, mask: Tensor | None) -> None:
        nn.Module.__init__(self)
        self.heads = attention.heads
        self.qkv = attention.qkv
        self.proj = attention.proj
        self.register_buffer("cached", attention.bias(mask).contiguous())

    def bias(self, mask: Tensor | None) -> Tensor:
        """The bias, including the mask."""
        return self.cached


class LNSUInference(nn.Module):
    """A copy of `model` that returns the same `logits` only."""

    def __init__(self, model: LNSU) -> None:
        super().__init__()
        self.encoder = copy.deepcopy(model.encoder)
        self.norm = copy.deepcopy(model.norm)
        self.head = copy.deepcopy(model.head)
        for stage in self.encoder.layers:
            assert isinstance(stage, Stage)
            for i, block in enumerate(stage.blocks):
                assert isinstance(block, Block)
                block.attn = CachedAttention(block.attn, stage.mask if stage.shifts and i % 2 == 1 else None)
        self.requires_grad_(False)
        self.eval()

    def forward(self, images: Tensor) -> Output:
        """Images [N, 3, 112, 112] to `logits` [N, C]."""
        check_size(images)
        return {"logits": self.head(self.norm(self.encoder(images)).mean(1))}


@torch.no_grad()
def build_inference(model: LNSU) -> LNSUInference:
    """The form of `model` for prediction, in eval mode; the model itself is not changed."""
    return LNSUInference(model)

"""The network of LNSU-Net: Swin-T for faces of 112 x 112 pixels, which also returns a map for each class.

Liu et al., "Swin Transformer", ICCV 2021; Zhang et al., "Leave No Stone Unturned", NeurIPS 2023.
"""

from __future__ import annotations

import torch
from fer_core.plugin import FerError, Output, TaskInfo, no_autocast
from torch import Tensor, nn
from torch.nn import functional as F

from fer_models_misc.lnsu.windows import (
    SHIFT,
    TOKENS,
    WINDOW,
    merge_order,
    relative_position_index,
    shift_mask,
    transition,
    window_order,
)

INPUT_SIZE = 112
PATCH = 2
WIDTH = 96
DEPTHS = (2, 2, 6, 2)
HEADS = (3, 6, 12, 24)
FEATURES = WIDTH * 2 ** (len(DEPTHS) - 1)
"""Channels of the last map."""


class PatchEmbed(nn.Module):
    """Patches of 2 x 2 pixels to tokens, in window order."""

    def __init__(self) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, WIDTH, PATCH, PATCH)
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, images: Tensor) -> Tensor:
        """Images [N, 3, 112, 112] to tokens [N, 3136, 96]."""
        number = INPUT_SIZE // PATCH // WINDOW
        grid = images.reshape(-1, 3, number, WINDOW, PATCH, number, WINDOW, PATCH)
        patches = grid.permute(0, 2, 5, 3, 6, 1, 4, 7).reshape(images.shape[0], -1, 3 * PATCH * PATCH)
        # Patches do not overlap, so the convolution is a linear layer, and pixels are cheaper to sort than tokens.
        tokens: Tensor = self.norm(F.linear(patches, self.proj.weight.flatten(1), self.proj.bias))
        return tokens


class WindowAttention(nn.Module):
    """Self-attention within windows, with a learned bias for each offset between query and key."""

    relative_position_index: Tensor

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * WINDOW - 1) ** 2, heads))
        self.register_buffer("relative_position_index", relative_position_index(), persistent=False)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)

    def bias(self, mask: Tensor | None) -> Tensor:
        """The bias of the scores: [1, heads, 49, 49], or with a mask [windows, heads, 49, 49]."""
        bias = self.relative_position_bias_table[self.relative_position_index].permute(2, 0, 1)
        return bias[None] if mask is None else bias + mask[:, None]

    def forward(self, tokens: Tensor, bias: Tensor) -> Tensor:
        """Tokens [N, L, C] in window order, and the result of `bias`, to tokens [N, L, C]."""
        batch, length, channels = tokens.shape
        qkv = self.qkv(tokens).view(-1, TOKENS, 3, self.heads, channels // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        if bias.shape[0] > 1:  # the fused kernels cannot broadcast the bias over the batch
            bias = bias.repeat(batch, 1, 1, 1)
        mixed = F.scaled_dot_product_attention(query, key, value, bias)
        projected: Tensor = self.proj(mixed.transpose(1, 2).reshape(batch, length, channels))
        return projected


class MLP(nn.Module):
    """Two linear layers with a GELU between them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, 4 * channels)
        self.fc2 = nn.Linear(4 * channels, channels)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens [N, L, C] to tokens [N, L, C]."""
        out: Tensor = self.fc2(F.gelu(self.fc1(tokens)))
        return out


class Block(nn.Module):
    """Attention and MLP, each after a norm, with a residual connection and stochastic depth."""

    def __init__(self, channels: int, heads: int, drop_path: float) -> None:
        super().__init__()
        self.drop_path = drop_path
        self.norm1 = nn.LayerNorm(channels)
        self.attn = WindowAttention(channels, heads)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = MLP(channels)

    def forward(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """Tokens [N, L, C] in the order of this block's windows, to tokens in that order."""
        tokens = tokens + self._drop(self.attn(self.norm1(tokens), self.attn.bias(mask)))
        return tokens + self._drop(self.mlp(self.norm2(tokens)))

    def _drop(self, branch: Tensor) -> Tensor:
        if not self.training or self.drop_path == 0:
            return branch
        keep = 1 - self.drop_path
        return branch * branch.new_empty(branch.shape[0], 1, 1).bernoulli_(keep).div_(keep)


class PatchMerging(nn.Module):
    """Four neighbouring tokens to one of twice the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduction = nn.Linear(4 * channels, 2 * channels, bias=False)
        self.norm = nn.LayerNorm(4 * channels)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens [N, L, 4 C], already concatenated, to tokens [N, L, 2 C]."""
        merged: Tensor = self.reduction(self.norm(tokens))
        return merged


class Stage(nn.Module):
    """Blocks of which every second one shifts its windows, and a merging at the end unless it is the last stage.

    Args:
        side: Tokens along a side of the grid. A grid of one window is not shifted.
        channels: Channels of a token.
        heads: Attention heads.
        drop_paths: Probability of dropping each block in training.
    """

    to_shifted: Tensor
    to_plain: Tensor
    to_merged: Tensor
    mask: Tensor

    def __init__(self, side: int, channels: int, heads: int, drop_paths: list[float]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(channels, heads, p) for p in drop_paths)
        self.shifts = side > WINDOW
        if self.shifts:
            plain, shifted = window_order(side, 0), window_order(side, SHIFT)
            self.register_buffer("to_shifted", transition(plain, shifted), persistent=False)
            self.register_buffer("to_plain", transition(shifted, plain), persistent=False)
            self.register_buffer("to_merged", transition(shifted, merge_order(side)).flatten(), persistent=False)
            self.register_buffer("mask", shift_mask(side), persistent=False)
            self.downsample = PatchMerging(channels)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens [N, L, C] in the order of unshifted windows to the same, or [N, L/4, 2 C] for the next stage."""
        for i, block in enumerate(self.blocks):
            shifted = self.shifts and i % 2 == 1
            if self.shifts and i > 0:
                tokens = tokens.index_select(1, self.to_shifted if shifted else self.to_plain)
            tokens = block(tokens, self.mask if shifted else None)
        if self.shifts:
            batch, length, channels = tokens.shape
            tokens = tokens.index_select(1, self.to_merged).view(batch, length // 4, 4 * channels)
            tokens = self.downsample(tokens)
        return tokens


class Encoder(nn.Module):
    """Swin-T up to its last block; the authors' encoder has a norm and a head for face recognition behind it."""

    def __init__(self, drop_path: float) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed()
        rates = (drop_path * i / (sum(DEPTHS) - 1) for i in range(sum(DEPTHS)))
        self.layers = nn.Sequential(
            *(
                Stage(INPUT_SIZE // PATCH // 2**i, WIDTH * 2**i, HEADS[i], [next(rates) for _ in range(depth)])
                for i, depth in enumerate(DEPTHS)
            )
        )
        self.apply(_init_encoder)

    def forward(self, images: Tensor) -> Tensor:
        """Images [N, 3, 112, 112] to tokens [N, 49, 768], row by row of the grid of 7 x 7."""
        tokens: Tensor = self.layers(self.patch_embed(images))
        return tokens


class LNSU(nn.Module):
    """Swin-T, a norm, the mean over positions and a linear layer, which also makes the class maps.

    The names in the state dict are the authors' own. Left out are `encoder.norm` and `encoder.feature`, which
    their code never uses, and the constant buffers `attn_mask` and `relative_position_index`.

    Args:
        num_classes: Number of logits and maps.
        drop_path: Probability that training leaves out the last block's branches; it rises linearly from 0.
    """

    def __init__(self, num_classes: int, drop_path: float = 0.1) -> None:
        super().__init__()
        self.encoder = Encoder(drop_path)
        self.norm = nn.LayerNorm(FEATURES)
        self.head = nn.Linear(FEATURES, num_classes)

    def forward(self, images: Tensor) -> Output:
        """Classify images [N, 3, 112, 112].

        Returns:
            `logits` [N, C]; `maps` [N, C, 7, 7], each position's share in the logits: their mean over positions
            plus the bias is the logits. The gradient of the maps reaches the features, not the head's weight.

        Raises:
            FerError: The images are of another size.
        """
        check_size(images)
        tokens = self.encoder(images)
        with no_autocast(images.device):  # as in the authors' code; costs nothing
            tokens = self.norm(tokens.to(self.norm.weight.dtype))
            logits = self.head(tokens.mean(1))
            maps = self.head.weight.detach() @ tokens.transpose(1, 2)
        return {"logits": logits, "maps": maps.unflatten(2, (WINDOW, WINDOW))}


def build_lnsu(info: TaskInfo, *, drop_path: float = 0.1) -> LNSU:
    """Build an LNSU-Net for `info`.

    Args:
        info: The task; only its number of classes matters, the images always have to be 112 x 112.
        drop_path: Probability that training leaves out the last block's branches; it rises linearly from 0.

    Raises:
        FerError: `drop_path` is not in [0, 1).
    """
    if not 0 <= drop_path < 1:
        raise FerError(f"model.drop_path is {drop_path}, but it is a probability below 1: the authors use 0.1")
    return LNSU(info.num_classes, drop_path)


def check_size(images: Tensor) -> None:
    """Raise FerError unless the images are RGB of 112 x 112."""
    if images.shape[1:] != (3, INPUT_SIZE, INPUT_SIZE):
        shape = " x ".join(str(n) for n in images.shape[1:])
        raise FerError(
            f"lnsu reads images of 3 x 112 x 112, and these are {shape}: its windows fit no other size, so set "
            "data.input_size=112"
        )


def _init_encoder(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, WindowAttention):
        nn.init.trunc_normal_(module.relative_position_bias_table, std=0.02)

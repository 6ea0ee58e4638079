"""The inference form of DDAMFN: the same logits in less time.

Batch normalisations are fused into the convolutions. Maps are channels-last, where a 1x1 convolution is one matrix
product, and every mixed depthwise convolution becomes a single one, its kernels zero-padded to the largest size:
the additional products cost less than splitting and concatenating the map.
"""

from __future__ import annotations

import copy

import torch
from fer_core.plugin import FerError, fold_batch_norm
from torch import Tensor, nn
from torch.nn import functional as F

from fer_models_ddamfn.ddamfn import DDAMFN, DualDirectionAttention, Head, check_size
from fer_models_ddamfn.mixed_feature_net import MDW, AxisGates, ConvBN, ConvBNPReLU, MixedDepthwise, Residual


def inference(model: nn.Module) -> nn.Module:
    """A module in eval mode that maps images [N, 3, 112, 112] to only the `logits` of `model`.

    Args:
        model: A `DDAMFN`; it is not changed, and the result shares no tensor with it.

    Raises:
        FerError: `model` is another network.
    """
    if not isinstance(model, DDAMFN):
        raise FerError(f"this is a {type(model).__name__}, no DDAMFN: make it by create_model('ddamfn')")
    fast = InferenceDDAMFN(model).eval().requires_grad_(False)
    return fast.to(memory_format=torch.channels_last)


class InferenceDDAMFN(nn.Module):
    """DDAMFN with fused normalisations; see the module."""

    def __init__(self, model: DDAMFN) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        for part in model.features:
            blocks += part.model if isinstance(part, Residual) else [part]
        self.features = nn.Sequential(*[_fast(block) for block in blocks])
        heads = [child for child in model.children() if isinstance(child, Head)]
        self.heads = nn.ModuleList(_Head(head.CoordAtt) for head in heads)
        self.weigh = _fold(model.Linear)
        self.fc = copy.deepcopy(model.fc)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Images [N, 3, 112, 112] to `logits` [N, C]."""
        check_size(images)
        features = self.features(images.contiguous(memory_format=torch.channels_last))
        attention = self.heads[0](features)
        for head in self.heads[1:]:
            attention = torch.maximum(attention, head(features))
        return {"logits": self.fc(self.weigh(features * attention).flatten(1))}


class _Pointwise(nn.Module):
    """A 1x1 convolution as a linear layer over the last axis of [N, ..., C]."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        assert conv.bias is not None
        self.weight = nn.Parameter(conv.weight.detach().flatten(1).clone())
        self.bias = nn.Parameter(conv.bias.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)


class _ConvPReLU(nn.Module):
    def __init__(self, block: ConvBNPReLU) -> None:
        super().__init__()
        self.conv = _fold(block)
        self.prelu = copy.deepcopy(block.prelu)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.prelu(self.conv(x))
        return y


class _Gates(nn.Module):
    """`AxisGates` on descriptors [N, h, C] and [N, w, C]; gates [N, C, h, 1] and [N, C, 1, w]."""

    def __init__(self, gates: AxisGates) -> None:
        super().__init__()
        self.squeeze = _Pointwise(fold_batch_norm(gates.conv1, gates.bn1))
        self.of_rows = _Pointwise(gates.conv2)
        self.of_columns = _Pointwise(gates.conv3)

    def forward(self, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
        y = F.hardswish(self.squeeze(torch.cat((rows, columns), dim=1)))
        h, w = torch.split(y, [rows.shape[1], columns.shape[1]], dim=1)
        a_h = self.of_rows(h).sigmoid().transpose(1, 2)
        a_w = self.of_columns(w).sigmoid().transpose(1, 2)
        return a_h.unsqueeze(3), a_w.unsqueeze(2)


class _MDW(nn.Module):
    def __init__(self, block: MDW) -> None:
        super().__init__()
        self.residual = block.residual
        self.up = _Pointwise(_fold(block.conv))
        self.prelu = copy.deepcopy(block.conv.prelu)
        self.depthwise = _merge(block.conv_dw)
        self.gates = _Gates(block.CA)
        self.down = _Pointwise(_fold(block.project))

    def forward(self, x: Tensor) -> Tensor:
        y = self.up(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        y = self.depthwise(self.prelu(y))
        last = y.permute(0, 2, 3, 1)
        a_h, a_w = self.gates(last.mean(2), last.mean(1))
        # New memory costs more than the product, but the gradients of the factors need the original map.
        y = y * a_w * a_h if torch.is_grad_enabled() else y.mul_(a_w).mul_(a_h)
        y = self.down(y.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        out: Tensor = y.add_(x) if self.residual else y
        return out


class _Head(nn.Module):
    def __init__(self, head: DualDirectionAttention) -> None:
        super().__init__()
        self.rows = _fold(head.Linear_h)
        self.columns = _fold(head.Linear_w)
        self.gates = _Gates(head)

    def forward(self, features: Tensor) -> Tensor:
        rows, columns = self.rows(features).squeeze(3), self.columns(features).squeeze(2)
        a_h, a_w = self.gates(rows.transpose(1, 2), columns.transpose(1, 2))
        attention: Tensor = a_h * a_w
        return attention


def _fast(block: nn.Module) -> nn.Module:
    if isinstance(block, MDW):
        return _MDW(block)
    assert isinstance(block, ConvBNPReLU)
    return _ConvPReLU(block)


def _fold(block: ConvBN) -> nn.Conv2d:
    return fold_batch_norm(block.conv, block.bn)


@torch.no_grad()
def _merge(mixed: MixedDepthwise) -> nn.Conv2d:
    """One depthwise convolution, equivalent to several on consecutive channels."""
    parts = [conv for conv in mixed.mixed_depthwise_conv if isinstance(conv, nn.Conv2d)]
    size = max(conv.kernel_size[0] for conv in parts)
    framed = [F.pad(conv.weight, [(size - conv.kernel_size[0]) // 2] * 4) for conv in parts]
    weight = torch.cat(framed)
    channels, stride = weight.shape[0], parts[0].stride[0]
    merged = nn.Conv2d(channels, channels, size, stride, size // 2, groups=channels, bias=False, device="meta")
    merged.weight = nn.Parameter(weight)
    return merged

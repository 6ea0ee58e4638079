"""DAN for prediction: normalisations fused into convolutions, and three parallel convolutions into one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from fer_core.plugin import Output, ResidualBlock, fold_batch_norm, no_autocast
from torch import Tensor, nn

from fer_models_dan.dan import DAN, CrossAttentionHead, SpatialAttention


class DANInference(nn.Module):
    """The inference form of `model`, which returns the same `logits` only.

    Args:
        model: A trained DAN; it is not changed.
    """

    def __init__(self, model: DAN) -> None:
        super().__init__()
        heads = [model.get_submodule(f"cat_head{h}") for h in range(model.num_heads)]
        found = [head for head in heads if isinstance(head, CrossAttentionHead)]
        self.features = _fold_backbone(model.features)
        self.maps = nn.ModuleList(FoldedAttention(head.sa) for head in found)
        self.gates = FoldedGates([head.ca.attention for head in found])
        self.fc = fold_batch_norm(model.fc, model.bn)
        self.to(memory_format=torch.channels_last)
        self.requires_grad_(False)
        self.eval()

    def forward(self, images: Tensor) -> Output:
        """Images [N, 3, H, W] to `logits` [N, C]."""
        features = self.features(images)
        attention = torch.stack([attend(features) for attend in self.maps]).flatten(2)  # [heads, N, h w]
        with no_autocast(images.device):
            flat = features.flatten(2).to(attention.dtype)
            pooled = torch.einsum("knp,ncp->knc", attention, flat) / flat.shape[2]
            vectors = self.gates(pooled)
            if len(self.maps) > 1:
                vectors = vectors.log_softmax(dim=0)
            return {"logits": self.fc(vectors.sum(dim=0))}


class FoldedAttention(nn.Module):
    """Spatial attention of one head: a 1x1 convolution and, for the three after it, a 3x3 one."""

    def __init__(self, attention: SpatialAttention) -> None:
        super().__init__()
        self.squeeze = _folded(attention.conv1x1)
        self.excite = _folded(attention.conv_3x3)
        row, column = _folded(attention.conv_1x3), _folded(attention.conv_3x1)
        # With their padding, the two are 3x3 kernels that are zero except for the middle row or column.
        self.excite.weight[:, :, 1:2, :] += row.weight
        self.excite.weight[:, :, :, 1:2] += column.weight
        for branch in (row, column):
            self.excite.get_parameter("bias").add_(branch.get_parameter("bias"))

    def forward(self, features: Tensor) -> Tensor:
        """Map [N, 512, h, w] to attention [N, h, w], at least float32."""
        y = self.excite(self.squeeze(features)).relu_()
        attention: Tensor = y.sum(1, dtype=torch.promote_types(y.dtype, torch.float32))
        return attention


class FoldedGates(nn.Module):
    """Channel attention of all heads in two batched products."""

    def __init__(self, attentions: Sequence[nn.Sequential]) -> None:
        super().__init__()
        squeeze = [fold_batch_norm(layers[0], layers[1]) for layers in attentions]  # type: ignore[arg-type, type-var]
        excite = [layers[3] for layers in attentions]
        for name, linears in (("squeeze", squeeze), ("excite", excite)):
            weights = [linear.get_parameter("weight").detach().t() for linear in linears]
            biases = [linear.get_parameter("bias").detach() for linear in linears]
            self.register_buffer(f"{name}_weight", torch.stack(weights))
            self.register_buffer(f"{name}_bias", torch.stack(biases).unsqueeze(1))

    def forward(self, pooled: Tensor) -> Tensor:
        """Vectors [heads, N, 512] to gated vectors."""
        hidden = torch.baddbmm(self.get_buffer("squeeze_bias"), pooled, self.get_buffer("squeeze_weight")).relu_()
        gate = torch.baddbmm(self.get_buffer("excite_bias"), hidden, self.get_buffer("excite_weight")).sigmoid_()
        return pooled * gate


class FoldedBlock(nn.Module):
    """A residual block of ResNet-18 without normalisations."""

    def __init__(self, block: ResidualBlock) -> None:
        super().__init__()
        self.conv1 = fold_batch_norm(block.conv1, block.bn1)
        self.conv2 = fold_batch_norm(block.conv2, block.bn2)
        self.shortcut = nn.Identity() if block.downsample is None else _folded(block.downsample)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, h, w] to map."""
        y: Tensor = self.conv2(self.conv1(x).relu_())
        return y.add_(self.shortcut(x)).relu_()


@torch.no_grad()
def build_inference(model: DAN) -> DANInference:
    """The form of `model` for prediction, in eval mode; the model itself is not changed."""
    return DANInference(model)


def _fold_backbone(backbone: nn.Sequential) -> nn.Sequential:
    conv, norm, relu, pool, *stages = backbone
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    blocks = [
        FoldedBlock(block) for stage in stages for block in stage.children() if isinstance(block, ResidualBlock)
    ]
    # ReLU commutes with max pooling, after which there are four times fewer values.
    return nn.Sequential(fold_batch_norm(conv, norm), pool, relu, *blocks)


def _folded(pair: nn.Sequential) -> nn.Conv2d:
    conv, norm = pair
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    return fold_batch_norm(conv, norm)

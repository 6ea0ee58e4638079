"""GSDNet for prediction: exit 4 alone, batch normalisation fused into the convolutions."""

from __future__ import annotations

import copy
from typing import cast

from fer_core.plugin import Output, fold_batch_norm
from torch import Tensor, nn
from torch.nn import functional as F

from fer_models_misc.gsdnet.network import Bottleneck, GSDNet


class FoldedBottleneck(nn.Module):
    """A `Bottleneck` of three or four biased convolutions."""

    def __init__(self, block: Bottleneck) -> None:
        super().__init__()
        self.conv1 = fold_batch_norm(block.conv1, block.bn1)
        self.conv2 = fold_batch_norm(block.conv2, block.bn2)
        self.conv3 = fold_batch_norm(block.conv3, block.bn3)
        self.shortcut: nn.Module = nn.Identity()
        if len(block.downsample):
            conv, norm = block.downsample
            self.shortcut = fold_batch_norm(cast("nn.Conv2d", conv), cast("nn.BatchNorm2d", norm))

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, channels, h, w] to [N, 4 width, h / stride, w / stride]."""
        y = F.relu(self.conv1(x), inplace=True)
        y = F.relu(self.conv2(y), inplace=True)
        return F.relu(self.conv3(y).add_(self.shortcut(x)), inplace=True)


class GSDNetInference(nn.Module):
    """The parts of a `GSDNet` that compute `logits`: stages, gate 4 and its classifier."""

    def __init__(self, model: GSDNet) -> None:
        super().__init__()
        net = model.resnet
        self.stem = fold_batch_norm(net.conv1, net.bn1)
        stages = (net.get_submodule(f"layer{k}") for k in (1, 2, 3, 4))
        self.blocks = nn.Sequential(
            *(FoldedBottleneck(cast("Bottleneck", b)) for s in stages for b in s.children())
        )
        self.exit = copy.deepcopy(net.get_submodule("cm4"))
        self.classifier = copy.deepcopy(net.get_submodule("fc_4_4"))

    def forward(self, images: Tensor) -> Output:
        """`logits` [N, C] of images [N, 3, H, W]."""
        x = F.relu(self.stem(images), inplace=True)
        x = self.blocks(F.max_pool2d(x, 3, 2, ceil_mode=True))
        return {"logits": self.classifier(self.exit(x))}


def build_inference(model: nn.Module) -> nn.Module:
    """A copy of `model`, a `GSDNet` with or without exits, that returns only its `logits`, in eval mode."""
    return GSDNetInference(cast("GSDNet", model)).eval().requires_grad_(False)

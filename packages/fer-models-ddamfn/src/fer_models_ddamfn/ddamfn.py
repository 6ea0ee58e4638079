"""DDAMFN: "A Dual-Direction Attention Mixed Feature Network for Facial Expression Recognition", the network.

Zhang et al., Electronics 12(17), 3595 (2023), doi 10.3390/electronics12173595. DDAMFN++ is the same network.
"""

from __future__ import annotations

import torch
from fer_core.plugin import FerError, Output, TaskInfo
from torch import Tensor, nn

from fer_models_ddamfn.mixed_feature_net import CHANNELS, AxisGates, ConvBN, build_mixed_feature_net

INPUT_SIZE = 112
GRID = 7
"""Rows and columns of the last map; the kernels of the heads and of the classifier span it."""


class DualDirectionAttention(AxisGates):
    """A map of attention from learnt weighted means of rows and columns (`cat_head*.CoordAtt`)."""

    def __init__(self) -> None:
        super().__init__(CHANNELS)
        self.Linear_h = ConvBN(CHANNELS, CHANNELS, (1, GRID), groups=CHANNELS)
        self.Linear_w = ConvBN(CHANNELS, CHANNELS, (GRID, 1), groups=CHANNELS)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Map [N, 512, 7, 7] to the gates of rows [N, 512, 7, 1] and of columns [N, 512, 1, 7]."""
        return self.gates(self.Linear_h(features).squeeze(3), self.Linear_w(features).squeeze(2))


class Head(nn.Module):
    """One attention head (`cat_head*`)."""

    def __init__(self) -> None:
        super().__init__()
        self.CoordAtt = DualDirectionAttention()

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Map [N, 512, 7, 7] to the gates of rows [N, 512, 7, 1] and of columns [N, 512, 1, 7]."""
        gates: tuple[Tensor, Tensor] = self.CoordAtt(features)
        return gates


class DDAMFN(nn.Module):
    """Mixed feature network, dual-direction attention heads, and a classifier of the weighted map.

    In training a batch needs at least two images: the last batch normalisation sees one value per image.

    Args:
        num_classes: Number of logits.
        num_heads: Number of attention heads; 2 in the paper.
    """

    def __init__(self, num_classes: int, num_heads: int = 2) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.features = build_mixed_feature_net()
        for h in range(num_heads):
            self.add_module(f"cat_head{h}", Head())
        self.Linear = ConvBN(CHANNELS, CHANNELS, GRID, groups=CHANNELS)
        self.fc = nn.Linear(CHANNELS, num_classes)

    def forward(self, images: Tensor) -> Output:
        """Classify images [N, 3, 112, 112].

        Returns:
            `logits` [N, C]; `features` [N, 512, 7, 7], the backbone's map; `heads` [N, num_heads, 512, 7, 7], the
            attention map of each head, in (0, 1).

        Raises:
            FerError: The images have another size.
        """
        check_size(images)
        features = self.features(images)
        gates = [self.get_submodule(f"cat_head{h}")(features) for h in range(self.num_heads)]
        of_rows, of_columns = (torch.stack(parts, dim=1) for parts in zip(*gates, strict=True))
        heads = of_rows * of_columns
        weighed = features * heads.amax(dim=1)
        logits = self.fc(self.Linear(weighed).flatten(1))
        return {"logits": logits, "features": features, "heads": heads}


def build_ddamfn(info: TaskInfo, *, num_heads: int = 2) -> DDAMFN:
    """Build a DDAMFN, which is also a DDAMFN++, for `info`.

    Args:
        info: The task; only its number of classes matters.
        num_heads: Number of attention heads; 2 in the paper.

    Raises:
        FerError: `num_heads` is not positive.
    """
    if num_heads < 1:
        raise FerError(
            f"model.num_heads is {num_heads}, but DDAMFN needs an attention head at least: the paper has 2"
        )
    return DDAMFN(info.num_classes, num_heads)


def check_size(images: Tensor) -> None:
    """Reject images that are not 112 x 112, the only size that the kernels of the heads support.

    Raises:
        FerError: The images [N, 3, H, W] have another size.
    """
    if images.shape[-2:] != (INPUT_SIZE, INPUT_SIZE):
        height, width = images.shape[-2:]
        raise FerError(
            f"DDAMFN was given images of {height} x {width} pixels, but its kernels fit {INPUT_SIZE} x "
            f"{INPUT_SIZE} alone: set data.input_size={INPUT_SIZE}, or resize them"
        )

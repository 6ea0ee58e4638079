"""Ada-DF: "A Dual-Branch Adaptive Distribution Fusion Framework" (Liu et al., ICASSP 2023), the network."""

from __future__ import annotations

import copy
from contextlib import nullcontext

import torch
from fer_core.plugin import FerError, Output, TaskInfo, no_autocast, resnet18
from torch import Tensor, nn
from torch.nn import functional as F

FEATURES = 512
"""Length of each branch's feature vector."""


class AdaDF(nn.Module):
    """The first stage of a ResNet-18, and two copies of the other three, each with a classifier and an attention.

    The names in the state dict are the authors' own, without the second name under which their file holds every
    tensor of a branch. Branch 1 is the auxiliary one, branch 2 the target one, which predicts.

    Args:
        num_classes: Number of logits.
        freeze_stem: Whether the stem's weights are frozen. Its batch normalisations adapt either way.
        drop_rate: Dropout of the stem's map, in training only.
    """

    def __init__(self, num_classes: int, *, freeze_stem: bool = True, drop_rate: float = 0.0) -> None:
        super().__init__()
        parts = list(resnet18())
        stem, stages = parts[:5], parts[5:]
        self.freeze_stem = freeze_stem
        self.drop_rate = drop_rate
        self.feature = nn.Sequential(*stem).requires_grad_(not freeze_stem)
        self.branch_1_feature = nn.Sequential(*stages, nn.AdaptiveAvgPool2d(1))
        self.branch_1_classifier = nn.Linear(FEATURES, num_classes)
        self.branch_2_feature = copy.deepcopy(self.branch_1_feature)
        self.branch_2_classifier = copy.deepcopy(self.branch_1_classifier)
        self.alpha_1 = nn.Sequential(nn.Linear(FEATURES, 1), nn.Sigmoid())
        self.alpha_2 = nn.Sequential(nn.Linear(FEATURES, 1), nn.Sigmoid())

    def forward(self, images: Tensor) -> Output:
        """Classify images [N, 3, H, W], or views [N, V, 3, H, W], each of which is a row of the output.

        Returns:
            `logits` [N, C], of the target branch; `auxiliary` [N, C], the other branch's; `attention` [N, 1], the
            mean of both attentions, between 0 and 1.
        """
        if images.dim() == 5:
            images = images.flatten(0, 1)
        # A frozen stem needs no gradient, unless that of the pixels is requested.
        with torch.no_grad() if self.freeze_stem and not images.requires_grad else nullcontext():
            stem = self.feature(images)
        stem = F.dropout(stem, self.drop_rate, self.training)
        auxiliary, attention_1 = weighted_logits(
            self.branch_1_feature(stem), self.branch_1_classifier, self.alpha_1
        )
        logits, attention_2 = weighted_logits(self.branch_2_feature(stem), self.branch_2_classifier, self.alpha_2)
        return {"logits": logits, "auxiliary": auxiliary, "attention": (attention_1 + attention_2) / 2}


def weighted_logits(pooled: Tensor, classifier: nn.Linear, alpha: nn.Module) -> tuple[Tensor, Tensor]:
    """Logits [N, C] times the attention [N, 1], and that attention, of a pooled map [N, 512, 1, 1]."""
    with no_autocast(pooled.device):  # costs nothing, and the loss ranks attentions that differ by little
        vectors = pooled.flatten(1).to(classifier.weight.dtype)
        attention: Tensor = alpha(vectors)
        return attention * classifier(vectors), attention


def build_adadf(info: TaskInfo, *, freeze_stem: bool = True, drop_rate: float = 0.0) -> AdaDF:
    """Build an Ada-DF for `info`.

    Args:
        info: The task; only its number of classes matters, any input size is supported.
        freeze_stem: Whether the stem's weights are frozen, as in the paper, where they are pretrained.
        drop_rate: Dropout of the stem's map; 0 in the paper. The authors' code would also drop in prediction.

    Raises:
        FerError: `drop_rate` is not in [0, 1).
    """
    if not 0 <= drop_rate < 1:
        raise FerError(f"model.drop_rate is {drop_rate}, which is not a rate: use 0 or more and less than 1")
    return AdaDF(info.num_classes, freeze_stem=freeze_stem, drop_rate=drop_rate)

"""The inference form of Ada-DF: the stem and the target branch only."""

from __future__ import annotations

import copy

import torch
from fer_core.plugin import FerError, Output, fold_batch_norm
from torch import Tensor, nn

from fer_models_misc.adadf.network import AdaDF, weighted_logits


class AdaDFInference(nn.Module):
    """Stem, target branch and its attention, with fused batch normalisations and channels-last weights.

    Args:
        model: The network; it is not changed.
    """

    def __init__(self, model: AdaDF) -> None:
        super().__init__()
        stages = model.branch_2_feature[:3]
        self.feature = fold_resnet(nn.Sequential(*model.feature, *stages))
        self.classifier = copy.deepcopy(model.branch_2_classifier)
        self.alpha = copy.deepcopy(model.alpha_2)
        self.to(memory_format=torch.channels_last)
        self.requires_grad_(False).eval()

    def forward(self, images: Tensor) -> Output:
        """Images [N, 3, H, W] to `logits` [N, C]."""
        images = images.contiguous(memory_format=torch.channels_last)
        pooled = self.feature(images).mean((2, 3))
        return {"logits": weighted_logits(pooled, self.classifier, self.alpha)[0]}


def inference(model: nn.Module) -> nn.Module:
    """`AdaDFInference` of an `AdaDF`."""
    if not isinstance(model, AdaDF):
        raise FerError(f"this is a {type(model).__name__}, no Ada-DF: make it by create_model('adadf')")
    return AdaDFInference(model)


def fold_resnet(network: nn.Module) -> nn.Module:
    """A copy of a ResNet, or of a part of it, in which every convolution contains its batch normalisation.

    In such a network each batch normalisation is registered directly after the convolution whose output it reads;
    it is replaced by an identity.
    """
    folded = copy.deepcopy(network).eval()
    _fold_children(folded)
    return folded


def _fold_children(module: nn.Module) -> None:
    convolution = ""
    for name, child in module.named_children():
        if isinstance(child, nn.Conv2d):
            convolution = name
        elif isinstance(child, nn.BatchNorm2d):
            layer = module.get_submodule(convolution)
            assert isinstance(layer, nn.Conv2d)
            setattr(module, convolution, fold_batch_norm(layer, child))
            setattr(module, name, nn.Identity())
        else:
            _fold_children(child)

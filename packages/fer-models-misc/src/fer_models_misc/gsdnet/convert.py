"""Conversion of the authors' checkpoints and of the pretrained backbone to our state dict."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from fer_core.plugin import FerError, check_state, unwrap
from torch import Tensor

from fer_models_misc.gsdnet.network import GSDNet

CLASSIFIER = "resnet.fc_4_4.weight"
AUXILIARY = re.compile(r"resnet\.(cm|fc_)[123](\.|_[123]\.)")
"""Key prefixes of the exits 1 to 3."""
TRAINING_ONLY = re.compile(r"resnet\.fc_4\.")
"""Other keys that are used only with the exits 1 to 3."""
BACKBONE = re.compile(r"(conv1|bn1|layer[1-4])\.")
IDENTITIES = 8631
"""Number of identities of VGGFace2, the classes of the pretrained file's classifier."""


def convert(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Turn a checkpoint of https://github.com/Emy-cv/GSDNet into the state dict of `GSDNet`.

    The names are the same; the conversion unwraps (`model_state_dict`, `module.`) and to check every name and
    shape. A file without the exits 1 to 3 becomes the state of a network with `exits=False`; its `fc_4`, if any,
    is dropped. The class order is that of the file.

    Raises:
        FerError: Keys are missing or unexpected, or shapes differ; the message names the first of each.
    """
    tensors = unwrap(state)
    if CLASSIFIER not in tensors:
        raise FerError(
            f"this state dict has {len(tensors)} tensors but no {CLASSIFIER}, so it is not a state dict of "
            "GSDNet: give a checkpoint of https://github.com/Emy-cv/GSDNet"
        )
    exits = _has_exits(tensors)
    if not exits:
        tensors = {name: tensor for name, tensor in tensors.items() if not TRAINING_ONLY.match(name)}
    with torch.device("meta"):  # only names and shapes
        expected = GSDNet(tensors[CLASSIFIER].shape[0], exits=exits).state_dict()
    check_state(
        tensors, expected, f"this is not a state dict of GSDNet {'with' if exits else 'without'} auxiliary exits"
    )
    return {name: tensors[name] for name in expected}


def describe(state: Mapping[str, Tensor]) -> tuple[int, dict[str, Any]]:
    """Number of classes and the option `exits` of a converted state dict."""
    return state[CLASSIFIER].shape[0], {"exits": _has_exits(state)}


def load_backbone(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Convert a ResNet-50 trained on VGGFace2 (Caffe's, Oxford) to the backbone of a `GSDNet`.

    Its classifier `fc` is dropped, and so are batch counts, which the original file lacks.

    Raises:
        FerError: The file contains another network; the message says how many tensors match.
    """
    tensors = unwrap(state)
    classifier = tensors.pop("fc.weight", None)
    tensors.pop("fc.bias", None)
    tensors = {name: tensor for name, tensor in tensors.items() if not _is_count(name)}
    with torch.device("meta"):
        own = GSDNet(2).resnet.state_dict()
    expected = {name: tensor for name, tensor in own.items() if BACKBONE.match(name) and not _is_count(name)}
    fit = sum(name in tensors and tensors[name].shape == tensor.shape for name, tensor in expected.items())
    check_state(
        tensors,
        expected,
        f"model.backbone_weights: {fit} of the {len(expected)} tensors of gsdnet's ResNet-50 fit",
    )
    if classifier is not None and classifier.shape[0] != IDENTITIES:
        raise FerError(
            f"model.backbone_weights: this ResNet-50 tells {classifier.shape[0]} classes apart and not the "
            f"{IDENTITIES} of VGGFace2, so it may be torchvision's, whose names and shapes are the same but whose "
            "strides sit elsewhere: give vgg_msceleb_resnet50_ft_weight.pkl, or a file without fc if you trust it"
        )
    return {f"resnet.{name}": tensors[name] for name in expected}


def _has_exits(state: Mapping[str, Tensor]) -> bool:
    return any(AUXILIARY.match(name) for name in state)


def _is_count(name: str) -> bool:
    return name.endswith("num_batches_tracked")

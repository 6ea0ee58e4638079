"""Conversion of the authors' checkpoints and of the pretrained ResNet-18 to our state dict."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from fer_core.plugin import FerError, check_state, resnet18, unwrap
from torch import Tensor

from fer_models_dan.dan import DAN

PARTS = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}
"""torchvision's name of each part of the sequence that has weights (2 and 3 are ReLU and max-pooling)."""


def convert(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Turn a checkpoint of https://github.com/yaoing/DAN into the state dict of `DAN`.

    The names are the same; the conversion unwraps (`model_state_dict`, `state_dict`, `module.`) and to check
    every name and shape. The number of classes is the rows of `fc.weight`, the number of heads that of the
    `cat_head*` found. The class order is that of the file.

    Raises:
        FerError: Keys are missing or unexpected, or shapes differ; the message names the first of each.
    """
    tensors = unwrap(state)
    heads = {match[1] for name in tensors if (match := re.match(r"cat_head(\d+)\.", name))}
    if "fc.weight" not in tensors or not heads:
        lacking = "fc.weight" if "fc.weight" not in tensors else "cat_head0"
        raise FerError(
            f"this state dict has {len(tensors)} tensors but no {lacking}, so it is not a state dict of DAN: "
            "give a checkpoint of https://github.com/yaoing/DAN"
        )
    with torch.device("meta"):  # only names and shapes
        expected = DAN(tensors["fc.weight"].shape[0], len(heads)).state_dict()
    check_state(tensors, expected, f"this is not a state dict of DAN with {len(heads)} heads")
    return {name: tensors[name] for name in expected}


def describe(state: Mapping[str, Tensor]) -> tuple[int, dict[str, Any]]:
    """Number of classes and options of our state dict."""
    heads = {name.partition(".")[0] for name in state if name.startswith("cat_head")}
    return state["fc.weight"].shape[0], {"num_heads": len(heads)}


def load_backbone(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Convert a ResNet-18 with torchvision's names, such as `resnet18_msceleb.pth`, to our names.

    Its classifier `fc` is left out. Files written before PyTorch 0.4.1 have no batch counts, which is accepted.

    Raises:
        FerError: It is another network.
    """
    tensors = {name: tensor for name, tensor in unwrap(state).items() if not name.startswith("fc.")}
    with torch.device("meta"):  # only names and shapes
        own = resnet18().state_dict()
    ours = {}
    for name in own:
        position, _, rest = name.partition(".")
        ours[f"{PARTS[position]}.{rest}"] = name
    expected = {
        theirs: own[name]
        for theirs, name in ours.items()
        if theirs in tensors or not theirs.endswith("num_batches_tracked")
    }
    fit = sum(name in tensors and tensors[name].shape == like.shape for name, like in expected.items())
    check_state(
        tensors,
        expected,
        f"model.backbone_weights fits {fit} of the {len(expected)} tensors of DAN's backbone, a ResNet-18 with "
        "torchvision's names",
    )
    return {f"features.{ours[name]}": tensors[name] for name in expected}

"""Conversion of the authors' checkpoints and of ConvNeXt-Base weights to our state dict."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from fer_core.plugin import FerError, check_state, unwrap
from torch import Tensor

from fer_models_misc.mfer.network import ATTENTIVE, DEPTHS, MFER

HEAD = re.compile(r"(?:msc\.)?([012])\.(fc[12]\.\w+)")
"""Key of a head: the three classifiers may be saved with the network or as a separate list."""
ATTENTION = tuple(f"stages.{i}.{DEPTHS[i]}." for i in ATTENTIVE)


def convert(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Turn a checkpoint made with https://github.com/XuJ1E/MFER into the state dict of `MFER`.

    The names are the same; the conversion unwraps (`model_state_dict`, `state_dict`, `model`, `module.`), to
    name the heads `msc.0` to `msc.2` and to check every name and shape. The class order is that of the file.

    Raises:
        FerError: There are no heads, as in the files of the authors' script; or keys are missing or unexpected, or
            shapes differ, of which the first are named.
    """
    tensors = {_head(name) or name: tensor for name, tensor in unwrap(state).items()}
    last = tensors.get("msc.2.fc2.weight")
    if last is None:
        if "downsample_layers.0.0.weight" in tensors:
            raise FerError(
                "this state dict holds a backbone without the three heads (no msc.2.fc2.weight), so it cannot "
                "classify: give it as model.backbone_weights and train the heads"
            )
        raise FerError(
            f"this state dict has {len(tensors)} tensors but no msc.2.fc2.weight, so it is not a state dict "
            "of MFER: give a checkpoint made with https://github.com/XuJ1E/MFER that holds backbone and heads"
        )
    with torch.device("meta"):  # only names and shapes
        expected = MFER(last.shape[0]).state_dict()
    check_state(tensors, expected, "this is not a state dict of MFER")
    return {name: tensors[name] for name in expected}


def describe(state: Mapping[str, Tensor]) -> tuple[int, dict[str, Any]]:
    """Number of classes, and no options: the weights do not contain the drop-path rate."""
    return state["msc.2.fc2.weight"].shape[0], {}


def map_backbone(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Convert ConvNeXt-Base with Meta's or timm's names, or an MFER backbone, to part of `MFER`'s state dict.

    Classifiers (`head.*`, `msc.*`) are left out. The result has no attention blocks if the file, such as a plain
    ConvNeXt, has none.

    Raises:
        FerError: The file contains another network; the message says how many tensors match.
    """
    tensors = unwrap(state)
    if "stem.0.weight" in tensors:
        tensors = {_from_timm(name): tensor for name, tensor in tensors.items()}
    tensors = {name: tensor for name, tensor in tensors.items() if not (name.startswith("head.") or _head(name))}
    attention = any(name.startswith(ATTENTION) for name in tensors)
    with torch.device("meta"):
        expected = MFER(1).state_dict()
    for name in list(expected):
        if name.startswith("msc.") or (name.startswith(ATTENTION) and not attention):
            del expected[name]
    fit = sum(name in tensors and tensors[name].shape == tensor.shape for name, tensor in expected.items())
    check_state(
        tensors,
        expected,
        f"model.backbone_weights: this is not a ConvNeXt-Base with Meta's or timm's names, {fit} of "
        f"{len(expected)} tensors fit",
    )
    return {name: tensors[name] for name in expected}


def _head(name: str) -> str | None:
    match = HEAD.fullmatch(name)
    return f"msc.{match[1]}.{match[2]}" if match else None


def _from_timm(name: str) -> str:
    parts = (
        (r"stem\.", "downsample_layers.0."),
        (r"stages\.(\d)\.downsample\.", r"downsample_layers.\1."),
        (r"(stages\.\d)\.blocks\.(\d+\.)conv_dw\.", r"\1.\2dwconv."),
        (r"(stages\.\d)\.blocks\.(\d+\.)mlp\.fc(\d)\.", r"\1.\2pwconv\3."),
        (r"(stages\.\d)\.blocks\.(\d+\.)", r"\1.\2"),
        (r"head\.norm\.", "norm."),
    )
    for pattern, ours in parts:
        changed, count = re.subn("^" + pattern, ours, name)
        if count:
            return changed
    return name

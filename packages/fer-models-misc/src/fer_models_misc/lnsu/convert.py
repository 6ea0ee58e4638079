"""Conversion of the authors' checkpoints and of their pretrained weights to our state dict."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from fer_core.plugin import FerError, check_state, unwrap
from torch import Tensor

from fer_models_misc.lnsu.network import LNSU, Encoder

CONSTANT = re.compile(r"\.(attn_mask|relative_position_index)$")
"""Buffers that follow from the architecture."""
UNUSED = re.compile(r"(norm|feature)\.")
"""Layers after the encoder that only face recognition uses."""


def convert(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Turn a checkpoint of https://github.com/zyh-uaiaaaa/Mine-Extra-Knowledge into the state dict of `LNSU`.

    The weights are taken out of `state_dict_model`; constant buffers, `encoder.norm.*` and `encoder.feature.*` are
    left out, every other name and shape must match. The class order is that of the file.

    Raises:
        FerError: Keys are missing or unexpected, or shapes differ; the message names the first of each.
    """
    tensors = {name: tensor for name, tensor in _open(state, "state_dict_model").items() if not _dropped(name)}
    if "head.weight" not in tensors or "encoder.patch_embed.proj.weight" not in tensors:
        raise FerError(
            f"this state dict of {len(tensors)} tensors is not one of LNSU-Net, which has "
            "encoder.patch_embed.proj.weight and head.weight: give a checkpoint of "
            "https://github.com/zyh-uaiaaaa/Mine-Extra-Knowledge (its face recognition weights start_0.pt go into "
            "model.backbone_weights)"
        )
    with torch.device("meta"):  # only names and shapes
        expected = LNSU(tensors["head.weight"].shape[0]).state_dict()
    check_state(tensors, expected, "this is not a state dict of LNSU-Net")
    return {name: tensors[name] for name in expected}


def describe(state: Mapping[str, Tensor]) -> tuple[int, dict[str, Any]]:
    """Number of classes and options of our state dict, which does not contain the rate of stochastic depth."""
    return state["head.weight"].shape[0], {}


def load_backbone(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Turn the authors' `start_0.pt` (Swin-T trained to recognise faces) into the matching part of our state dict.

    Raises:
        FerError: It is not a Swin-T with patches of 2 x 2 pixels and the authors' names.
    """
    with torch.device("meta"):
        expected = Encoder(0.0).state_dict()
    tensors = {
        name: tensor
        for name, tensor in _open(state, "state_dict_backbone").items()
        if not UNUSED.match(name) and not CONSTANT.search(name)
    }
    fit = sum(name in tensors and tensors[name].shape == like.shape for name, like in expected.items())
    check_state(
        tensors,
        expected,
        f"model.backbone_weights fits {fit} of the {len(expected)} tensors of lnsu's encoder, a Swin-T with "
        "patches of 2 x 2 pixels such as start_0.pt",
    )
    return {f"encoder.{name}": tensors[name] for name in expected}


def _open(state: Mapping[str, Any], key: str) -> dict[str, Tensor]:
    inner = state.get(key)
    return unwrap(inner if isinstance(inner, Mapping) else state)


def _dropped(name: str) -> bool:
    encoder, _, rest = name.partition(".")
    return bool(CONSTANT.search(name)) or (encoder == "encoder" and bool(UNUSED.match(rest)))

"""Conversion of the authors' checkpoints and of their pretrained backbone to our state dict."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from fer_core.plugin import FerError, check_state, unwrap
from torch import Tensor

from fer_models_ddamfn.ddamfn import DDAMFN

NEVER_USED = re.compile(
    r".+\.conv_dw\.(bn|prelu)\..+"  # of the mixed depthwise convolutions
    r"|cat_head\d+\.CoordAtt\.Linear\..+"
    r"|bn\..+"  # of the logits
)
"""Tensors of the authors' files that their network never reads."""

PARTS = ("conv1", "conv2_dw", "conv_23", "conv_3", "conv_34", "conv_4", "conv_45", "conv_5", "conv_6_sep")
"""Names of features.0 ... features.8 in the backbone's file."""

RECOGNITION = re.compile(r"(conv_6_dw|conv_6_flatten|linear|bn)\..+")
"""The end of the face recognition network in the backbone's file."""


def convert(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Turn a checkpoint of https://github.com/SainingZhang/DDAMFN into the state dict of `DDAMFN`.

    The names are the same; the conversion unwraps (`model_state_dict`, `state_dict`, `module.`), to drop the
    tensors that the authors' network never reads (`NEVER_USED`), and to check every other name and shape. The
    class order stays the file's own.

    Raises:
        FerError: Keys are missing or unexpected, or shapes differ; the message names the first of each.
    """
    tensors = {name: tensor for name, tensor in unwrap(state).items() if not NEVER_USED.fullmatch(name)}
    heads = _count_heads(tensors)
    if "fc.weight" not in tensors or not heads:
        lacking = "fc.weight" if "fc.weight" not in tensors else "cat_head0"
        raise FerError(
            f"this state dict has {len(tensors)} tensors but no {lacking}, so it is not a state dict of "
            "DDAMFN: give a checkpoint of https://github.com/SainingZhang/DDAMFN"
        )
    expected = _expected(tensors["fc.weight"].shape[0], heads)
    check_state(tensors, expected, f"this is not a state dict of DDAMFN with {heads} heads")
    return {name: tensors[name] for name in expected}


def describe(state: Mapping[str, Tensor]) -> tuple[int, dict[str, Any]]:
    """Number of classes and the factory's options of our state dict."""
    return state["fc.weight"].shape[0], {"num_heads": _count_heads(state)}


def backbone(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """The part `features` of our state dict, from the authors' backbone file (`MFN_msceleb.pth`).

    The layers that only face recognition needs, and those that nothing reads, are left out.

    Raises:
        FerError: Keys are missing or unexpected, or shapes differ.
    """
    found = {}
    for name, tensor in unwrap(state).items():
        if NEVER_USED.fullmatch(name) or RECOGNITION.fullmatch(name):
            continue
        part, _, rest = name.partition(".")
        found[f"features.{PARTS.index(part)}.{rest}" if part in PARTS else name] = tensor
    expected = {name: tensor for name, tensor in _expected(1, 1).items() if name.startswith("features.")}
    for name in expected:
        if name.endswith("num_batches_tracked"):  # absent from files written before PyTorch 0.4.1
            found.setdefault(name, torch.tensor(0))
    used = [name for name in expected if not name.endswith("num_batches_tracked")]
    fit = sum(name in found and found[name].shape == expected[name].shape for name in used)
    check_state(
        found,
        expected,
        f"this is not a backbone of DDAMFN (MFN_msceleb.pth), {fit} of its {len(used)} tensors fit",
    )
    return {name: found[name] for name in expected}


def _count_heads(state: Mapping[str, Tensor]) -> int:
    return len({match[1] for name in state if (match := re.match(r"cat_head(\d+)\.", name))})


def _expected(classes: int, heads: int) -> dict[str, Tensor]:
    with torch.device("meta"):  # only names and shapes
        return DDAMFN(classes, heads).state_dict()

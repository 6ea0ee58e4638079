"""The authors' checkpoints and backbone, in our form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from fer_core.plugin import FerError, check_state, unwrap
from torch import Tensor

from fer_models_misc.adadf.network import AdaDF

STEM = {"conv1": "0", "bn1": "1", "layer1": "4"}
"""Position in `feature` of torchvision's parts of a ResNet-18 (2 and 3 are ReLU and max-pooling)."""
STAGES = {"layer2": "0", "layer3": "1", "layer4": "2"}
"""Position in `branch_1_feature` and in `branch_2_feature`."""


def convert(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Turn a checkpoint of https://github.com/taylor-xy0827/Ada-DF into the state dict of `AdaDF`.

    The file holds every tensor of a branch twice, as `branch_1.0.*` and as `branch_1_feature.0.*` (`branch_1.4.*`
    and `branch_1_classifier.*`). The second name is kept, since it takes effect when the authors' code loads
    the file. The class order is that of the file.

    Raises:
        FerError: Keys are missing or unexpected, shapes differ, or the two copies of a tensor differ.
    """
    tensors = unwrap(state)
    if "branch_2_classifier.weight" not in tensors:
        raise FerError(
            f"this state dict has {len(tensors)} tensors but no branch_2_classifier.weight, so it is not a "
            "state dict of Ada-DF: give a checkpoint of https://github.com/taylor-xy0827/Ada-DF"
        )
    with torch.device("meta"):  # only names and shapes
        expected = AdaDF(len(tensors["branch_2_classifier.weight"])).state_dict()
    aliases = {name: canonical for name in tensors if (canonical := _canonical(name)) in expected}
    kept = {name: tensor for name, tensor in tensors.items() if name not in aliases}
    check_state(kept, expected, "this is not a state dict of Ada-DF")
    for alias, name in aliases.items():
        if not torch.equal(tensors[alias], tensors[name]):
            raise FerError(
                f"this state dict has other values in {alias} than in {name}, which are one tensor in Ada-DF: "
                "it was changed after it was saved, so leave out the one that does not count"
            )
    return {name: kept[name] for name in expected}


def describe(state: Mapping[str, Tensor]) -> tuple[int, dict[str, Any]]:
    """Number of classes of our state dict; there are no options."""
    return len(state["branch_2_classifier.weight"]), {}


def backbone(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Turn a ResNet-18 with torchvision's names into the stem and both branches of `AdaDF`.

    Its classifier `fc` is left out.

    Raises:
        FerError: It is not a ResNet-18; the message says how many tensors match and names some that do not.
    """
    found = {name: tensor for name, tensor in unwrap(state).items() if not name.startswith("fc.")}
    with torch.device("meta"):
        ours = AdaDF(2).state_dict()
    places = {name: _theirs(name) for name in ours}
    expected = {theirs: ours[name] for name, theirs in places.items() if theirs is not None}
    for name in expected:
        if name.endswith("num_batches_tracked"):  # absent from files written before PyTorch 0.4.1
            found.setdefault(name, torch.tensor(0))
    fitting = sum(name in found and found[name].shape == tensor.shape for name, tensor in expected.items())
    what = f"model.backbone_weights: {fitting} of {len(expected)} tensors fit, so it is not a ResNet-18"
    check_state(found, expected, what)
    return {name: found[theirs] for name, theirs in places.items() if theirs is not None}


def _canonical(name: str) -> str | None:
    match = re.fullmatch(r"branch_([12])\.(?:([012])|4)\.(.+)", name)
    if match is None:
        return None
    branch, stage, rest = match.groups()
    return f"branch_{branch}_classifier.{rest}" if stage is None else f"branch_{branch}_feature.{stage}.{rest}"


def _theirs(name: str) -> str | None:
    """The name of our tensor in torchvision's ResNet-18, or None."""
    match = re.fullmatch(r"(feature|branch_[12]_feature)\.(\d)\.(.+)", name)
    if match is None:
        return None
    part, position, rest = match.groups()
    parts = STEM if part == "feature" else STAGES
    return next(f"{layer}.{rest}" for layer, at in parts.items() if at == position)

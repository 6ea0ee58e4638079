"""Conversion of the authors' checkpoints and backbone files to our state dict."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from fer_core.plugin import FerError, check_state, unwrap
from torch import Tensor, nn

from fer_models_poster.backbones.ir50 import IR50, STAGES, StagedIR50
from fer_models_poster.backbones.mobilefacenet import MobileFaceNet
from fer_models_poster.poster import DEPTHS, POSTER
from fer_models_poster.poster_pp import POSTERPP

UNUSED = re.compile(r"ir_back\.output_layer\.|pyramid_fuse\.cls_token$")
"""Tensors of the authors' POSTER that their own network never reads: the face embedding and a class token."""
UNUSED_PP = re.compile(
    r"ir_back\.output_layer\.|VIT\.(patch_embed|eca_block|CON1|IRLinear1|IRLinear2|blocks\.\d+\.conv)\."
)
"""The same for POSTER++: the face embedding, and remains of other designs in the encoder."""
_LAST_BLOCK = re.compile(r"pyramid_fuse\.blocks\.(\d+)\.")
_IR50_UNIT = re.compile(r"body([1-4]?)\.(\d+)\.(.+)")


def convert_poster(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Turn a checkpoint of https://github.com/zczcwh/POSTER into the state dict of `POSTER`.

    The names are equal but for the never used tensors (`UNUSED`), which are left out. The class order stays the
    file's own.

    Raises:
        FerError: Keys are missing or unexpected, or shapes differ; the message names the first of each.
    """
    tensors = {name: tensor for name, tensor in unwrap(state).items() if not UNUSED.match(name)}
    classes, options = describe_poster(tensors)
    depth, mixing = DEPTHS[options["type"]], options["token_mixing"]
    what = f"this is not a state dict of POSTER of {depth} blocks {'with' if mixing else 'without'} token mixing"
    return _checked(tensors, lambda: POSTER(classes, depth, token_mixing=mixing), what)


def describe_poster(state: Mapping[str, Tensor]) -> tuple[int, dict[str, Any]]:
    """Number of classes, and the options `type` and `token_mixing`, of a state dict of `POSTER`."""
    classes = _classes(state, "head.linear.weight", "POSTER", "https://github.com/zczcwh/POSTER")
    numbers = [int(match[1]) for name in state if (match := _LAST_BLOCK.match(name))]
    depth = max(numbers, default=-1) + 1
    types = [name for name, blocks in DEPTHS.items() if blocks == depth]
    if not types:
        known = ", ".join(f"{name} {blocks}" for name, blocks in DEPTHS.items())
        raise FerError(
            f"this state dict has {depth} pyramid blocks, but a POSTER has as many as its type: {known}"
        )
    return classes, {"type": types[0], "token_mixing": "pyramid_fuse.blocks.0.block_l.conv.weight" in state}


def backbone_poster(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """The part of `POSTER` that a backbone file fills: `mobilefacenet_model_best.pth.tar` or `ir50.pth`.

    Raises:
        FerError: The file is neither, or does not fill every tensor of the one that it resembles.
    """
    return _backbone(state, IR50, _flat_name)


def convert_poster_pp(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Turn a checkpoint of https://github.com/Talented-Q/POSTER_V2 into the state dict of `POSTERPP`.

    The names are equal but for the never used tensors (`UNUSED_PP`), which are left out. The class order stays the
    file's own.

    Raises:
        FerError: Keys are missing or unexpected, or shapes differ; the message names the first of each.
    """
    tensors = {name: tensor for name, tensor in unwrap(state).items() if not UNUSED_PP.match(name)}
    classes, _ = describe_poster_pp(tensors)
    return _checked(tensors, lambda: POSTERPP(classes), "this is not a state dict of POSTER++")


def describe_poster_pp(state: Mapping[str, Tensor]) -> tuple[int, dict[str, Any]]:
    """Number of classes of a state dict of `POSTERPP`, which has no options."""
    return _classes(state, "VIT.head.linear.weight", "POSTER++", "https://github.com/Talented-Q/POSTER_V2"), {}


def backbone_poster_pp(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """The part of `POSTERPP` that a backbone file fills: `mobilefacenet_model_best.pth.tar` or `ir50.pth`.

    Raises:
        FerError: The file is neither, or does not fill every tensor of the one that it resembles.
    """
    return _backbone(state, StagedIR50, _staged_name)


def _classes(state: Mapping[str, Tensor], name: str, family: str, home: str) -> int:
    if name not in state:
        raise FerError(
            f"this state dict has {len(state)} tensors but no {name}, so it is not a state dict of {family}: "
            f"give a checkpoint of {home}"
        )
    return state[name].shape[0]


def _checked(tensors: Mapping[str, Tensor], build: Callable[[], nn.Module], what: str) -> dict[str, Tensor]:
    with torch.device("meta"):  # only names and shapes
        expected = build().state_dict()
    check_state(tensors, expected, what)
    return {name: tensors[name] for name in expected}


def _backbone(
    state: Mapping[str, Any], image_stream: Callable[[], nn.Module], rename: Callable[[int, int, str], str]
) -> dict[str, Tensor]:
    tensors = unwrap(state)
    if any(name.startswith("conv_6_sep.") for name in tensors):
        return _fill(tensors, MobileFaceNet, "face_landback.", "the landmark network MobileFaceNet")
    if any(name.startswith("input_layer.") for name in tensors):
        return _fill(_ir50(tensors, rename), image_stream, "ir_back.", "the face recogniser IR-50")
    raise FerError(
        f"this file has {len(tensors)} tensors, of which 0 fit a backbone of POSTER: give the authors' "
        "mobilefacenet_model_best.pth.tar or ir50.pth"
    )


def _ir50(tensors: Mapping[str, Tensor], rename: Callable[[int, int, str], str]) -> dict[str, Tensor]:
    """The stem and the first three stages, without the fourth and the embedding.

    Files number the units consecutively (`body.7`) or by stage (`body3.0`); both are supported.
    """
    found = {}
    for name, tensor in tensors.items():
        if match := _IR50_UNIT.fullmatch(name):
            stage, unit = _locate(match[1], int(match[2]))
            if stage < len(STAGES):
                found[rename(stage, unit, match[3])] = tensor
        elif not name.startswith("output_layer."):
            found[name] = tensor
    return found


def _locate(stage: str, unit: int) -> tuple[int, int]:
    """0-based stage and unit within it."""
    if stage:
        return int(stage) - 1, unit
    for number, (_, _, units) in enumerate(STAGES):
        if unit < units:
            return number, unit
        unit -= units
    return len(STAGES), unit


def _flat_name(stage: int, unit: int, rest: str) -> str:
    return f"body.{sum(units for _, _, units in STAGES[:stage]) + unit}.{rest}"


def _staged_name(stage: int, unit: int, rest: str) -> str:
    return f"body{stage + 1}.{unit}.{rest}"


def _fill(
    tensors: Mapping[str, Tensor], build: Callable[[], nn.Module], prefix: str, what: str
) -> dict[str, Tensor]:
    with torch.device("meta"):
        expected = build().state_dict()
    counters = {
        name: torch.zeros((), dtype=torch.int64) for name in expected if name.endswith("num_batches_tracked")
    }  # absent from files written before PyTorch 0.4.1
    given = counters | dict(tensors)
    fit = sum(name in tensors and tensors[name].shape == tensor.shape for name, tensor in expected.items())
    check_state(given, expected, f"{fit} of the {len(expected)} tensors that POSTER uses of {what} fit this file")
    return {prefix + name: given[name] for name in expected}

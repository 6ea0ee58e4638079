"""Bringing checkpoints and backbones in. Names and shapes decide, so the tensors have no memory."""

from __future__ import annotations

import re

import pytest
import timm
import torch
from fer_core.errors import FerError
from fer_models_misc.mfer.convert import convert, describe, map_backbone
from fer_models_misc.mfer.network import MFER

ATTENTION = ("stages.2.27.", "stages.3.3.")


@pytest.fixture
def state():
    with torch.device("meta"):
        return dict(MFER(3).state_dict())


@pytest.fixture
def meta_file(state):
    """What Meta publishes: no attention, no heads, but a classifier."""
    plain = {name: t for name, t in state.items() if not name.startswith(("msc.", *ATTENTION))}
    return {"model": plain | {"head.weight": torch.empty(1000, 1024), "head.bias": torch.empty(1000)}}


def refusal(function, state):
    with pytest.raises(FerError) as caught:
        function(state)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_wrapped_and_prefixed_checkpoints_and_bare_heads_are_taken(state):
    prefixed = {f"module.{name}": tensor for name, tensor in reversed(state.items())}
    bare = {name.removeprefix("msc."): tensor for name, tensor in state.items()}
    assert "0.fc1.weight" in bare
    wrapped = {"iter": 6, "model_state_dict": prefixed, "optimizer_state_dict": {}}
    for upstream in (state, prefixed, bare, wrapped, {"state_dict": state}):
        converted = convert(upstream)
        assert list(converted) == list(state)
        assert all(converted[name] is tensor for name, tensor in state.items())
        assert describe(converted) == (3, {})


def test_what_does_not_fit_is_named_and_counted(state):
    del state["stages.2.27.attn.bias"]
    state["extra.weight"] = torch.zeros(1)
    state["norm.bias"] = torch.zeros(9)
    message = refusal(convert, state)
    assert "1 missing (stages.2.27.attn.bias)" in message
    assert "1 not part of it (extra.weight)" in message
    assert "1 of another shape (norm.bias [9] instead of [1024])" in message


def test_files_that_cannot_classify_are_refused(state, meta_file):
    alone = {name: tensor for name, tensor in state.items() if not name.startswith("msc.")}
    for upstream in ({"model_state_dict": alone}, meta_file):
        assert "give it as model.backbone_weights" in refusal(convert, upstream)
    assert "it is not a state dict of MFER" in refusal(convert, {"features.0.weight": torch.zeros(1)})
    assert "it is not a state dict of MFER" in refusal(convert, {})


def test_metas_file_fills_all_but_attention_and_heads(state, meta_file):
    mapped = map_backbone(meta_file)
    assert set(state) - set(mapped) == {n for n in state if n.startswith(("msc.", *ATTENTION))}
    assert len(mapped) == 342
    assert all(tensor is meta_file["model"][name] for name, tensor in mapped.items())


def test_timms_file_is_renamed(meta_file):
    with torch.device("meta"):
        file = timm.create_model("convnext_base").state_dict()
    mapped = map_backbone(file)
    assert list(mapped) == list(map_backbone(meta_file))
    for ours, theirs in {
        "downsample_layers.0.1.bias": "stem.1.bias",
        "downsample_layers.3.1.weight": "stages.3.downsample.1.weight",
        "stages.2.26.dwconv.weight": "stages.2.blocks.26.conv_dw.weight",
        "stages.2.10.pwconv2.bias": "stages.2.blocks.10.mlp.fc2.bias",
        "stages.0.2.gamma": "stages.0.blocks.2.gamma",
        "stages.1.1.norm.bias": "stages.1.blocks.1.norm.bias",
        "norm.weight": "head.norm.weight",
    }.items():
        assert mapped[ours] is file[theirs]


def test_a_backbone_of_the_authors_script_brings_its_attention(state):
    alone = {f"module.{name}": tensor for name, tensor in state.items() if not name.startswith("msc.")}
    mapped = map_backbone({"model_state_dict": alone})
    assert len(mapped) == len(alone) == 362
    assert list(map_backbone(state)) == list(mapped)  # heads are left out
    del alone["module.stages.3.3.norm.weight"]
    assert "1 missing (stages.3.3.norm.weight)" in refusal(map_backbone, alone)


def test_another_backbone_is_refused_with_what_fits(meta_file):
    with torch.device("meta"):
        small = timm.create_model("convnext_small").state_dict()
    message = refusal(map_backbone, small)
    assert "0 of 342 tensors fit" in message
    assert "downsample_layers.0.0.weight [96, 3, 4, 4] instead of [128, 3, 4, 4]" in message
    assert "0 of 342 tensors fit" in refusal(map_backbone, {"conv1.weight": torch.zeros(64, 3, 7, 7)})
    short = {name: t for name, t in meta_file["model"].items() if not re.match(r"stages\.2\.26\.", name)}
    assert "333 of 342 tensors fit" in refusal(map_backbone, short)

"""Bringing the authors' checkpoints and the pretrained backbone in."""

from __future__ import annotations

import re

import pytest
import torch
from fer_core.errors import FerError
from fer_models_misc.gsdnet.convert import convert, describe, load_backbone
from fer_models_misc.gsdnet.network import GSDNet


@pytest.fixture
def state():
    return GSDNet(3).state_dict()


@pytest.fixture
def face_file():
    """The names of the VGGFace2 file: without prefix and batch counts, with a classifier of its own."""
    own = GSDNet(3, exits=False).resnet.state_dict()
    kept = (n for n in own if re.match(r"(conv1|bn1|layer\d)\.", n) and not n.endswith("num_batches_tracked"))
    return {n: own[n] for n in kept} | {"fc.weight": torch.zeros(8631, 2048), "fc.bias": torch.zeros(8631)}


def refusal(function, state):
    with pytest.raises(FerError) as caught:
        function(state)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_bare_and_wrapped_checkpoints_load_strictly(state):
    prefixed = {f"module.{name}": tensor for name, tensor in reversed(state.items())}
    trained = {"epoch": 7, "model_state_dict": prefixed, "optimizer_state_dict": {"state": {}, "param_groups": []}}
    for upstream in (state, prefixed, trained):
        model = GSDNet(3)
        model.load_state_dict(convert(upstream), strict=True)
        assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
        assert describe(convert(upstream)) == (3, {"exits": True})
    assert list(convert(prefixed)) == list(state)


@pytest.mark.parametrize(
    "pattern", [r"cm[123]\.|fc_[123]\.|fc_[123]_[123]\.", r"cm[123]\.|fc_\d\.|fc_[123]_[123]\."]
)
def test_a_file_without_the_exits_1_to_3_becomes_a_network_that_predicts(state, pattern):
    converted = convert({name: tensor for name, tensor in state.items() if not re.search(pattern, name)})
    classes, options = describe(converted)
    assert (classes, options) == (3, {"exits": False})
    GSDNet(classes, **options).load_state_dict(converted, strict=True)


def test_what_does_not_fit_is_named_and_counted(state):
    del state["resnet.bn1.bias"], state["resnet.cm1.1.bias"]
    state["extra.weight"] = torch.zeros(1)
    state["resnet.fc_2.bias"] = torch.zeros(9)
    message = refusal(convert, state)
    assert "not a state dict of GSDNet with auxiliary exits" in message
    assert "2 missing (resnet.bn1.bias, resnet.cm1.1.bias)" in message
    assert "1 not part of it (extra.weight)" in message
    assert "1 of another shape (resnet.fc_2.bias [9] instead of [128])" in message


def test_half_of_the_exits_is_a_mistake(state):
    message = refusal(convert, {name: tensor for name, tensor in state.items() if ".cm2." not in name})
    assert "19 missing (resnet.cm2.0." in message


def test_another_network_is_recognised_as_such(state, face_file):
    assert "no resnet.fc_4_4.weight" in refusal(convert, face_file)
    assert "no resnet.fc_4_4.weight" in refusal(convert, {})


def test_the_face_backbone_fills_the_stages(face_file):
    part = load_backbone(face_file)
    assert len(part) == 265
    model = GSDNet(3)
    missing, surplus = model.load_state_dict(part, strict=False)
    assert not surplus
    ours = re.compile(r"resnet\.(cm\d|fc_\d|fc_\d_\d)\.|.*num_batches_tracked$")
    assert all(ours.match(name) for name in missing)
    assert torch.equal(model.resnet.layer4[2].conv3.weight, face_file["layer4.2.conv3.weight"])
    counted = face_file | {"bn1.num_batches_tracked": torch.tensor(5)}
    del counted["fc.weight"], counted["fc.bias"]
    assert load_backbone({"state_dict": counted}).keys() == part.keys()


def test_other_backbones_are_refused_with_how_many_tensors_fit(face_file):
    assert "0 of the 265 tensors" in refusal(load_backbone, {"features.0.weight": torch.zeros(3)})
    face_file["layer1.0.conv4.weight"] = torch.zeros(16, 256, 1, 1)  # as in the squeeze-and-excitation variant
    face_file["conv1.weight"] = torch.zeros(64, 3, 3, 3)
    message = refusal(load_backbone, face_file)
    assert "264 of the 265 tensors" in message
    assert "layer1.0.conv4.weight" in message
    assert "conv1.weight [64, 3, 3, 3] instead of [64, 3, 7, 7]" in message


def test_torchvisions_resnet50_is_not_taken_for_it(face_file):
    assert "1000 classes" in refusal(load_backbone, face_file | {"fc.weight": torch.zeros(1000, 2048)})

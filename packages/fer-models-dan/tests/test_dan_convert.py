"""Bringing the authors' checkpoints, and the backbone they start from, in."""

from __future__ import annotations

import fer_core
import pytest
import torch
from fer_core.errors import FerError
from fer_models_dan.convert import convert, describe, load_backbone
from fer_models_dan.dan import DAN
from safetensors.torch import save_file
from torch.testing import assert_close
from torchvision.models import resnet18, resnet34


@pytest.fixture
def state():
    return DAN(3, 2).state_dict()


def test_wrapped_and_prefixed_checkpoints_load_strictly(state):
    prefixed = {f"module.{name}": tensor for name, tensor in reversed(state.items())}
    for upstream in (state, prefixed, {"iter": 6, "model_state_dict": prefixed}, {"state_dict": state}):
        model = DAN(3, 2)
        model.load_state_dict(convert(upstream), strict=True)
        assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    assert list(convert(prefixed)) == list(state)


def refusal(state, read=convert):
    with pytest.raises(FerError) as caught:
        read(state)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_does_not_fit_is_named_and_counted(state):
    del state["bn.bias"], state["features.0.weight"]
    state["extra.weight"] = torch.zeros(1)
    state["fc.bias"] = torch.zeros(9)
    message = refusal(state)
    assert "2 missing (features.0.weight, bn.bias)" in message
    assert "1 not part of it (extra.weight)" in message
    assert "1 of another shape (fc.bias [9] instead of [3])" in message


def test_long_lists_are_cut_and_counted(state):
    message = refusal({name: tensor for name, tensor in state.items() if not name.startswith("features.4")})
    assert "24 missing (features.4.0.conv1.weight, features.4.0.bn1.weight, features.4.0.bn1.bias, ...)" in message


def test_another_network_is_recognised_as_such(state):
    assert "no fc.weight" in refusal({"conv1.weight": torch.zeros(3)})
    assert "no cat_head0" in refusal({"fc.weight": torch.zeros(7, 512)})
    assert "no fc.weight" in refusal({})
    del state["fc.weight"]
    state["fc.weight"] = torch.zeros(3, 512, 1)
    assert "fc.weight [3, 512, 1] instead of [3, 512]" in refusal(state)


def test_a_checkpoint_says_what_it_was_made_with(state):
    assert describe(convert(state)) == (3, {"num_heads": 2})


@pytest.mark.parametrize("form", ["nested.pth", "plain.pth", "plain.safetensors", "old.pth", "module.pth"])
def test_backbone_weights_take_the_place_of_random_ones(tmp_path, form):
    donor = resnet18(weights=None, num_classes=1000)
    state, path = donor.state_dict(), tmp_path / form
    if form == "old.pth":  # PyTorch before 0.4.1 counted no batches
        state = {name: tensor for name, tensor in state.items() if "num_batches" not in name}
    if form == "module.pth":
        torch.save(torch.nn.DataParallel(donor), path)
    elif path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save({"epoch": 1, "state_dict": state} if form == "nested.pth" else dict(state), path)
    network = fer_core.create_model("dan", backbone_weights=path).eval()
    assert_close(network.features[0].weight, donor.conv1.weight, atol=0, rtol=0)
    donor.avgpool, donor.fc = torch.nn.Identity(), torch.nn.Identity()
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert_close(network(images)["features"].flatten(1), donor.eval()(images))


def test_another_backbone_is_refused_and_counted():
    message = refusal(resnet34(weights=None).state_dict(), load_backbone)
    assert "not part of it (layer1.2.conv1.weight" in message
    message = refusal({"encoder.weight": torch.zeros(3)}, load_backbone)
    assert "fits 0 of the 100 tensors of DAN's backbone" in message
    assert "1 not part of it (encoder.weight)" in message

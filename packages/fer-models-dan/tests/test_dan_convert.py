"""Bringing the authors' checkpoints in."""

from __future__ import annotations

import pytest
import torch
from fer_core.errors import FerError
from fer_models_dan.convert import convert
from fer_models_dan.dan import DAN


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


def refusal(state):
    with pytest.raises(FerError) as caught:
        convert(state)
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

"""Bringing the authors' checkpoints and backbone in."""

from __future__ import annotations

import pytest
import torch
from fer_core.errors import FerError
from fer_models_ddamfn.convert import PARTS, backbone, convert, describe
from fer_models_ddamfn.ddamfn import DDAMFN


@pytest.fixture
def state(reference):
    """The authors' names, those that they never use included."""
    return dict(reference.state)


@pytest.fixture
def recognition(state):
    """The authors' backbone file: other names, and the end of a network for face recognition."""
    names = {}
    for name, tensor in state.items():
        if name.startswith("features."):
            _, part, rest = name.split(".", 2)
            names[f"{PARTS[int(part)]}.{rest}"] = tensor
    ends = ("conv_6_dw.conv.weight", "conv_6_dw.bn.weight", "linear.weight", "bn.running_var")
    return names | {name: torch.zeros(2) for name in ends}


def test_wrapped_and_prefixed_checkpoints_load_strictly(state):
    prefixed = {f"module.{name}": tensor for name, tensor in reversed(state.items())}
    wrapped = {"iter": 20, "model_state_dict": prefixed, "optimizer_state_dict": {"state": {}}}
    for upstream in (state, prefixed, wrapped):
        model = DDAMFN(7)
        model.load_state_dict(convert(upstream), strict=True)
        assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
        assert describe(convert(upstream)) == (7, {"num_heads": 2})


def test_our_own_state_with_other_numbers_converts_to_itself():
    own = DDAMFN(3, 4).state_dict()
    assert convert(own).keys() == own.keys()
    assert describe(own) == (3, {"num_heads": 4})


def refusal(function, state):
    with pytest.raises(FerError) as caught:
        function(state)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_does_not_fit_is_named_and_counted(state):
    del state["features.0.conv.weight"], state["Linear.bn.bias"]
    state["extra.weight"] = torch.zeros(1)
    state["fc.bias"] = torch.zeros(9)
    message = refusal(convert, state)
    assert "2 missing (features.0.conv.weight, Linear.bn.bias)" in message
    assert "1 not part of it (extra.weight)" in message
    assert "1 of another shape (fc.bias [9] instead of [7])" in message


def test_only_the_normalisations_that_are_never_used_may_be_absent(state):
    del state["features.2.conv_dw.bn.weight"], state["bn.weight"], state["features.2.conv.bn.weight"]
    assert "1 missing (features.2.conv.bn.weight)" in refusal(convert, state)


def test_another_network_is_recognised_as_such(state):
    assert "no fc.weight" in refusal(convert, {"conv1.weight": torch.zeros(3)})
    assert "no cat_head0" in refusal(convert, {"fc.weight": torch.zeros(7, 512)})
    assert "no fc.weight" in refusal(convert, {})


def test_the_backbone_fills_the_features_and_nothing_else(state, recognition):
    for given in (recognition, {"state_dict": {f"module.{name}": t for name, t in recognition.items()}}):
        part = backbone(given)
        model = DDAMFN(3)
        missing, unexpected = model.load_state_dict(part, strict=False)
        assert not unexpected
        assert {name.partition(".")[0] for name in missing} == {"cat_head0", "cat_head1", "Linear", "fc"}
        assert all(torch.equal(part[name], state[name]) for name in part)


def test_a_backbone_older_than_the_count_of_batches_is_accepted(recognition):
    old = {name: tensor for name, tensor in recognition.items() if "num_batches" not in name}
    assert backbone(old)["features.0.bn.num_batches_tracked"] == 0


def test_another_backbone_is_refused_with_what_fits(state, recognition):
    used = sum(name.startswith("features.") for name in convert(state))
    used -= sum(name.startswith("features.") and "num_batches" in name for name in convert(state))
    assert f", 0 of its {used} tensors fit" in refusal(backbone, {"layer1.0.conv1.weight": torch.zeros(3)})
    recognition["conv1.conv.weight"] = torch.zeros(32, 3, 3, 3)
    message = refusal(backbone, recognition)
    assert f"{used - 1} of its {used} tensors fit" in message
    assert "features.0.conv.weight [32, 3, 3, 3] instead of [64, 3, 3, 3]" in message
    assert "not part of it" in refusal(backbone, state)

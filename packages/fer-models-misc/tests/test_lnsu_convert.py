"""Bringing the authors' LNSU-Net checkpoints and their face recognition weights in."""

from __future__ import annotations

import fer_core
import pytest
import torch
from fer_core.errors import FerError
from fer_models_misc.lnsu.convert import convert, describe, load_backbone
from fer_models_misc.lnsu.network import LNSU

META = torch.device("meta")


@pytest.fixture
def ours():
    """Names and shapes of a network for three classes; no memory is used."""
    with META:
        return LNSU(3).state_dict()


def face_head():
    """What the authors' encoder has beyond ours."""
    return {
        "norm.weight": torch.zeros(768),
        "feature.0.weight": torch.zeros(768, 768, device=META),
        "feature.1.running_var": torch.zeros(768),
        "feature.1.num_batches_tracked": torch.tensor(7),
        "layers.0.blocks.1.attn_mask": torch.zeros(64, 49, 49),
        "layers.3.blocks.1.attn.relative_position_index": torch.zeros(49, 49, dtype=torch.int64),
    }


@pytest.fixture
def theirs(ours):
    return ours | {f"encoder.{name}": tensor for name, tensor in face_head().items()}


def test_wrapped_prefixed_and_own_states_give_ours(ours, theirs):
    prefixed = {f"module.{name}": tensor for name, tensor in reversed(theirs.items())}
    step = {"global_step": 59999, "state_dict_model": prefixed, "state_optimizer": {"state": {}}}
    for state in (theirs, prefixed, step, {"model": theirs}, ours):
        converted = convert(state)
        assert list(converted) == list(ours)
        assert all(converted[name] is tensor for name, tensor in ours.items())
    assert describe(fer_core.convert_upstream("mek", theirs)) == (3, {})


def refusal(state, function=convert):
    with pytest.raises(FerError) as caught:
        function(state)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_does_not_fit_is_named_and_counted(theirs):
    del theirs["norm.bias"]
    theirs["encoder.extra.weight"] = torch.zeros(1)
    theirs["head.bias"] = torch.zeros(9)
    message = refusal(theirs)
    assert "1 missing (norm.bias)" in message
    assert "1 not part of it (encoder.extra.weight)" in message
    assert "1 of another shape (head.bias [9] instead of [3])" in message


def test_another_network_is_recognised_as_such(theirs):
    assert "is not one of LNSU-Net" in refusal(
        {"conv1.weight": torch.zeros(3), "head.weight": torch.zeros(7, 768)}
    )
    assert "is not one of LNSU-Net" in refusal({})
    assert "start_0.pt go into model.backbone_weights" in refusal({"state_dict_backbone": theirs})


def backbone_file(ours):
    encoder = {n.removeprefix("encoder."): tensor for n, tensor in ours.items() if n.startswith("encoder.")}
    return {"state_dict_backbone": encoder | face_head()}


def test_the_face_recognition_weights_fill_the_encoder(ours):
    file = backbone_file(ours)
    part = load_backbone(file)
    assert set(ours) - set(part) == {"norm.weight", "norm.bias", "head.weight", "head.bias"}
    assert all(part[name] is ours[name] for name in part)
    assert load_backbone(file["state_dict_backbone"]).keys() == part.keys()


def test_other_backbones_are_refused_with_how_much_fits(ours):
    file = backbone_file(ours)["state_dict_backbone"]
    file["patch_embed.proj.weight"] = torch.zeros(96, 3, 4, 4)  # Swin-T for 224 x 224
    file["head.weight"] = torch.zeros(1000, 768)
    message = refusal(file, load_backbone)
    assert "fits 168 of the 169 tensors" in message
    assert "patch_embed.proj.weight [96, 3, 4, 4] instead of [96, 3, 2, 2]" in message
    assert "1 not part of it (head.weight)" in message
    assert "fits 0 of the 169 tensors" in refusal({"conv1.weight": torch.zeros(64, 3, 7, 7)}, load_backbone)

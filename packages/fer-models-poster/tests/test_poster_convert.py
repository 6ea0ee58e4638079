"""Bringing the authors' checkpoints and backbone files in."""

from __future__ import annotations

import pytest
import torch
from fer_core import convert_upstream, create_model
from fer_core.errors import FerError
from fer_core.refs import resolve
from fer_core.registry import find
from fer_models_poster.backbones.ir50 import STAGES


def empty(shape):
    return torch.empty(shape, device="meta")


@pytest.fixture
def states(reference):
    """Names and shapes of the authors' checkpoints, with the never used tensors."""
    return {
        family: {name: empty(shape) for name, shape in reference(family).keys["shapes"].items()}
        for family in ("poster", "poster_pp")
    }


def load(name, state, **options):
    with torch.device("meta"):
        model = create_model(name, **options)
    return model.load_state_dict(state, strict=True, assign=True)


def test_checkpoints_of_the_authors_load_strictly(states):
    poster = {f"module.{name}": tensor for name, tensor in reversed(states["poster"].items())}
    converted = convert_upstream("poster", {"iter": 216, "model_state_dict": poster, "optimizer_state_dict": {}})
    load("poster", converted, num_classes=7)
    assert len(converted) == 1309 - 13
    pp = {f"module.{name}": tensor for name, tensor in states["poster_pp"].items()}
    best = torch.tensor([92.21])
    converted = convert_upstream(
        "poster_pp", {"epoch": 1, "state_dict": pp, "best_acc": best, "recorder": object()}
    )
    load("poster_pp", converted, num_classes=7)
    assert len(converted) == 747 - 24


def test_what_the_converter_gives_it_also_takes(states):
    for family, state in states.items():
        converted = convert_upstream(family, state)
        assert list(convert_upstream(family, converted)) == list(converted)


@pytest.mark.parametrize(
    ("family", "options"),
    [
        ("poster", {"type": "small", "token_mixing": False}),
        ("poster", {"type": "base", "token_mixing": True}),
        ("poster", {"type": "large", "token_mixing": False}),
        ("poster_pp", {}),
    ],
)
def test_a_state_dict_tells_what_it_was_made_with(family, options):
    with torch.device("meta"):
        state = create_model(family, num_classes=3, **options).state_dict()
    assert resolve(find("models", family).describe)(state) == (3, options)
    load(family, convert_upstream(family, state), num_classes=3, **options)


def refusal(function, *args):
    with pytest.raises(FerError) as caught:
        function(*args)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_does_not_fit_is_named(states):
    state = states["poster"]
    del state["ir_layer.bias"]
    state["extra.weight"] = empty([1])
    state["head.linear.bias"] = empty([9])
    message = refusal(convert_upstream, "poster", state)
    assert "not a state dict of POSTER of 8 blocks with token mixing" in message
    assert "1 missing (ir_layer.bias)" in message
    assert "1 not part of it (extra.weight)" in message
    assert "1 of another shape (head.linear.bias [9] instead of [7])" in message


def test_another_family_is_recognised_as_such(states):
    assert "no VIT.head.linear.weight, so it is not a state dict of POSTER++" in refusal(
        convert_upstream, "poster_pp", states["poster"]
    )
    assert "no head.linear.weight, so it is not a state dict of POSTER:" in refusal(
        convert_upstream, "poster", states["poster_pp"]
    )
    cut = {n: t for n, t in states["poster"].items() if not n.startswith("pyramid_fuse.blocks.7.")}
    assert "7 pyramid blocks" in refusal(convert_upstream, "poster", cut)


def part(states, family, prefix):
    return {n.removeprefix(prefix): t for n, t in states[family].items() if n.startswith(prefix)}


def backbone(family, state):
    return resolve(find("models", family).backbone)(state)


def whole_ir50(states, layout):
    """An ir50.pth with the fourth stage and the embedding, which POSTER does not use."""
    state = part(states, "poster" if layout == "flat" else "poster_pp", "ir_back.")
    for unit in range(3):
        name = f"body.{21 + unit}" if layout == "flat" else f"body4.{unit}"
        state[f"{name}.res_layer.0.weight"] = empty([512])
    return state


@pytest.mark.parametrize("family", ["poster", "poster_pp"])
@pytest.mark.parametrize("layout", ["flat", "staged"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_the_image_backbone_comes_in_either_layout(states, family, layout, prefix):
    given = {prefix + name: tensor for name, tensor in whole_ir50(states, layout).items()}
    found = backbone(family, given)
    expected = {n for n in part(states, family, "ir_back.") if not n.startswith("output_layer.")}
    assert set(found) == {f"ir_back.{name}" for name in expected}
    assert len(found) == 292
    assert all(found[name].shape == states[family][name].shape for name in found)


def test_units_keep_their_order_between_the_layouts(states):
    flat = whole_ir50(states, "flat")
    found = backbone("poster_pp", flat)
    names = [f"body{stage + 1}.{unit}" for stage, (_, _, units) in enumerate(STAGES) for unit in range(units)]
    for number, name in enumerate(names):
        assert found[f"ir_back.{name}.res_layer.1.weight"] is flat[f"body.{number}.res_layer.1.weight"]


@pytest.mark.parametrize("family", ["poster", "poster_pp"])
def test_the_landmark_backbone_is_taken_whole(states, family):
    given = part(states, "poster", "face_landback.")
    found = backbone(family, {"epoch": 1, "state_dict": given})
    assert list(found) == [f"face_landback.{name}" for name in given]


def test_old_files_count_no_batches(states):
    state = {n: t for n, t in whole_ir50(states, "flat").items() if not n.endswith("num_batches_tracked")}
    found = backbone("poster", state)
    assert len(found) == 292
    assert found["ir_back.input_layer.1.num_batches_tracked"] == 0


def test_a_backbone_that_fills_less_than_everything_is_refused(states):
    state = whole_ir50(states, "flat")
    del state["body.20.res_layer.4.bias"]
    message = refusal(backbone, "poster_pp", state)
    assert "291 of the 292 tensors" in message
    assert "1 missing (body3.13.res_layer.4.bias)" in message
    stem = {n: t for n, t in state.items() if not n.startswith("body")}
    assert "7 of the 292 tensors" in refusal(backbone, "poster_pp", stem)
    face = part(states, "poster", "face_landback.")
    face["conv1.conv.weight"] = empty([32, 3, 3, 3])
    assert "1 of another shape (conv1.conv.weight" in refusal(backbone, "poster", face)
    assert "of which 0 fit" in refusal(backbone, "poster", {"conv1.weight": empty([1])})

"""Shapes, number formats, the windows and stochastic depth of LNSU-Net, and its form for prediction."""

from __future__ import annotations

import pytest
import torch
from fer_core.errors import FerError
from fer_core.types import TaskInfo, class_names
from fer_models_misc.lnsu.inference import build_inference
from fer_models_misc.lnsu.network import LNSU, Block, build_lnsu
from fer_models_misc.lnsu.windows import (
    merge_order,
    relative_position_index,
    shift_mask,
    transition,
    window_order,
)
from torch import nn
from torch.testing import assert_close

IMAGES = torch.randn(2, 3, 112, 112, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    network = build_lnsu(TaskInfo(class_names(3), input_size=112)).eval()
    for name, parameter in network.named_parameters():  # so that every bias and norm has an effect
        if parameter.ndim == 1 or "table" in name:
            nn.init.normal_(parameter, float("norm" in name and "weight" in name), 0.2)
    return network


@pytest.fixture(scope="module")
def expected(model):
    with torch.no_grad():
        return model(IMAGES)


def test_shapes(expected):
    assert expected["logits"].shape == (2, 3)
    assert expected["maps"].shape == (2, 3, 7, 7)
    with torch.device("meta"):
        assert LNSU(8)(torch.empty(1, 3, 112, 112))["maps"].shape == (1, 8, 7, 7)


def test_channels_last_memory_gives_the_same_output(model, expected):
    with torch.no_grad():
        output = model(IMAGES.to(memory_format=torch.channels_last))
    for name, tensor in expected.items():
        assert_close(output[name], tensor, atol=1e-5, rtol=0)


def test_autocast_keeps_logits_and_maps_in_float32(model, expected):
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        output = model(IMAGES)
    assert output["logits"].dtype == output["maps"].dtype == torch.float32
    for name, tensor in expected.items():
        assert_close(output[name], tensor, atol=0.05 * tensor.abs().max().item(), rtol=0)


def test_other_sizes_are_refused_in_one_line(model):
    with pytest.raises(FerError, match="these are 3 x 224 x 224") as caught:
        model(torch.zeros(1, 3, 224, 224))
    assert "\n" not in str(caught.value)
    with pytest.raises(FerError, match="drop_path is 1"):
        build_lnsu(TaskInfo(class_names(7)), drop_path=1)


def test_the_form_for_prediction_gives_the_same_logits_and_leaves_the_model_alone(model, expected):
    state, training = {k: v.clone() for k, v in model.state_dict().items()}, model.training
    fast = build_inference(model)
    with torch.no_grad():
        output = fast(IMAGES)
    assert list(output) == ["logits"]
    assert_close(output["logits"], expected["logits"], atol=1e-4 * expected["logits"].abs().max().item(), rtol=0)
    assert model.training == training
    assert state.keys() == model.state_dict().keys()
    assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in state.items())
    assert all(p.requires_grad for p in model.parameters())
    assert not fast.training
    assert not any("table" in name or p.requires_grad for name, p in fast.named_parameters())
    with pytest.raises(FerError, match="112 x 112"):
        fast(IMAGES[..., :96, :96])


def test_norms_have_the_epsilon_of_the_authors(model):
    norms = [module for module in model.modules() if isinstance(module, nn.LayerNorm)]
    assert len(norms) == 29
    assert {norm.eps for norm in norms} == {1e-5}


def test_stochastic_depth_rises_linearly_and_acts_per_image():
    with torch.device("meta"):
        rates = [module.drop_path for module in LNSU(7, 0.22).modules() if isinstance(module, Block)]
    assert rates == pytest.approx([0.02 * i for i in range(12)])
    torch.manual_seed(0)
    block, tokens = Block(32, 1, 0.5), torch.randn(1, 49, 32).repeat(64, 1, 1)
    kinds = block(tokens, None).detach()[:, 0].round(decimals=4).unique(dim=0)
    assert len(kinds) == 4  # attention left out or not, MLP left out or not
    assert len(block.eval()(tokens, None).detach()[:, 0].round(decimals=4).unique(dim=0)) == 1
    block.train()
    kept = (block._drop(torch.ones(4000, 1, 1)) == 2).float().mean().item()
    assert kept == pytest.approx(0.5, abs=0.05)


def test_window_orders():
    grid = torch.arange(14 * 14)
    plain, shifted = window_order(14, 0), window_order(14, 3)
    assert plain[:8].tolist() == [0, 1, 2, 3, 4, 5, 6, 14]
    assert plain[49].item() == 7
    assert shifted[:8].tolist() == [3 * 14 + 3 + i for i in range(7)] + [4 * 14 + 3]
    assert shifted[-1].item() == 2 * 14 + 2  # rolled in from the other corner
    assert torch.equal(grid[plain][transition(plain, shifted)], shifted)
    assert torch.equal(grid[shifted][transition(shifted, plain)], plain)


def test_merging_order_is_row_first_within_a_column():
    assert merge_order(14)[0].tolist() == [0, 14, 1, 15]
    assert merge_order(28)[49].tolist() == [14, 28 + 14, 15, 28 + 15]  # first token of the second window


def test_mask_separates_what_only_the_roll_brought_together():
    mask = shift_mask(14)
    assert mask.shape == (4, 49, 49)
    assert not mask[0].any()
    assert mask.unique().tolist() == [-100, 0]
    for window, regions in ((1, 2), (2, 2), (3, 4)):
        assert len(mask[window].unique(dim=0)) == regions
    assert mask[1, 0, 3] == 0  # four columns of the right edge, then three of the left
    assert mask[1, 0, 4] == -100


def test_index_of_the_relative_position():
    index = relative_position_index()
    assert index[0, 0] == 84
    assert index[0, 48] == 0  # the key lies six rows below and six columns to the right
    assert index[48, 0] == 168
    assert index[1, 0] == 85
    assert index[7, 0] == 97

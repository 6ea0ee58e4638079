"""Shapes, number formats, initialisation, drop path and the form for prediction of a narrow MFER."""

from __future__ import annotations

import copy

import pytest
import torch
from fer_core.errors import FerError
from fer_core.types import TaskInfo, class_names
from fer_models_misc.mfer.inference import PlainNorm, make_inference
from fer_models_misc.mfer.network import MFER, Block, DSAttention, build_mfer, convolve
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

NARROW = {"depths": (1, 1, 2, 1), "widths": (8, 16, 32, 64)}
IMAGES = torch.randn(2, 3, 96, 64, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    network = MFER(3, 0.5, **NARROW).eval()
    for name, parameter in network.named_parameters():  # so that everything has an effect
        fan = parameter[0].numel() if parameter.ndim > 1 else 10
        nn.init.normal_(parameter, float("norm.weight" in name), (2 / fan) ** 0.5)
    return network


@pytest.fixture(scope="module")
def expected(model):
    with torch.no_grad():
        return model(IMAGES)


@pytest.mark.parametrize(("classes", "size"), [(3, 224), (8, 32)])
def test_shapes(classes, size):
    with torch.device("meta"):
        output = build_mfer(TaskInfo(class_names(classes), input_size=size))(torch.empty(2, 3, size, size))
    assert output["logits"].shape == (2, classes)
    assert output["stage_logits"].shape == (2, 3, classes)
    assert output["features"].shape == (2, 1024)


def test_logits_are_the_sum_of_heads_on_growing_prefixes(model, expected):
    assert_close(expected["logits"], expected["stage_logits"].sum(1))
    for i, width in enumerate((32, 48, 64)):
        head = model.msc[i]
        with torch.no_grad():
            logits = head.fc2(F.gelu(head.fc1(expected["features"][:, :width])))
        assert_close(expected["stage_logits"][:, i], logits)


def test_attention_goes_over_positions_and_keeps_a_residual():
    torch.manual_seed(0)
    attention, x = DSAttention(8).eval(), torch.randn(2, 3, 4, 8)
    with torch.no_grad():
        query = F.layer_norm(F.gelu(convolve(attention.attn, x)), (8,))
        key = attention.key(x) * x
        weights = (query + key).view(2, 12, 8).exp()
        weights = (weights / weights.sum(1, keepdim=True)).view_as(x)
        assert_close(attention(x), weights * attention.value(x) + x)


def test_epsilons_of_the_norms(model):
    eps = {name: module.eps for name, module in model.named_modules() if isinstance(module, nn.LayerNorm)}
    assert {name for name, value in eps.items() if value == 1e-5} == {"stages.2.2.norm", "stages.3.1.norm"}
    assert set(eps.values()) == {1e-5, 1e-6}


def test_drop_path_grows_over_the_blocks():
    with torch.device("meta"):
        rates = [m.drop_path for m in MFER(7, 0.25).modules() if isinstance(m, Block)]
    assert len(rates) == 36
    assert rates == pytest.approx([0.25 * i / 35 for i in range(36)])


def test_drop_path_skips_the_branch_of_whole_samples_and_scales_the_others():
    torch.manual_seed(0)
    block, x = Block(4, 0.25), torch.randn(400, 2, 2, 4)
    nn.init.normal_(block.gamma)
    with torch.no_grad():
        branch, dropped = block.eval()(x) - x, block.train()(x) - x
    kept = dropped.flatten(1).abs().sum(1) > 0
    assert kept.float().mean().item() == pytest.approx(0.75, abs=0.07)
    assert_close(dropped[kept], branch[kept] / 0.75, atol=1e-5, rtol=1e-5)


def test_initialisation():
    torch.manual_seed(0)
    network = MFER(3, **NARROW)
    for layer in (network.stages[3][0].pwconv1, network.stages[2][2].attn, network.downsample_layers[3][1]):
        assert layer.weight.std().item() == pytest.approx(0.02, rel=0.05)
        assert not layer.bias.any()
    assert network.stages[2][1].gamma.unique().tolist() == pytest.approx([1e-6])
    assert network.msc[2].fc1.weight.std().item() == pytest.approx(64**-0.5 / 3**0.5, rel=0.05)
    assert network.msc[2].fc1.bias.any()


@pytest.mark.parametrize("form", ["full", "inference"])
def test_norms_and_linear_layers_read_maps_as_they_lie(model, form):
    network = model if form == "full" else make_inference(model)
    lies = []

    def note(module, args):
        if args[0].ndim == 4:
            lies.append(args[0].is_contiguous())

    readers = [m for m in network.modules() if isinstance(m, (nn.LayerNorm, PlainNorm, nn.Linear))]
    handles = [module.register_forward_pre_hook(note) for module in readers]
    with torch.no_grad():
        network(IMAGES)
    for handle in handles:
        handle.remove()
    assert len(lies) > 15
    assert all(lies)


def test_channels_last_weights_give_the_same_output(model, expected):
    other = copy.deepcopy(model).to(memory_format=torch.channels_last)
    with torch.no_grad():
        output = other(IMAGES.to(memory_format=torch.channels_last))
    for name, tensor in expected.items():
        assert_close(output[name], tensor, atol=1e-4, rtol=1e-4)


def test_autocast_trains_and_keeps_logits_in_float32(model, expected):
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        output = model(IMAGES)
    assert output["logits"].dtype == output["stage_logits"].dtype == torch.float32
    atol = 0.05 * expected["logits"].abs().max().item()
    assert_close(output["logits"], expected["logits"], atol=atol, rtol=0)
    other = copy.deepcopy(model).train()
    with torch.autocast("cpu", torch.bfloat16):
        other(IMAGES)["logits"].sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in other.parameters())


def test_impossible_options_are_refused_in_one_line():
    for info, options, says in (
        (TaskInfo(class_names(7)), {"drop_path_rate": 1.0}, "drop_path_rate is 1.0"),
        (TaskInfo(class_names(7), input_size=31), {}, "input_size is 31"),
    ):
        with pytest.raises(FerError, match=says) as caught:
            build_mfer(info, **options)
        assert "\n" not in str(caught.value)


def test_the_form_for_prediction_gives_the_same_logits_and_leaves_the_model_alone(model, expected):
    before = copy.deepcopy(model.state_dict())
    model.train()  # it has to be in eval mode whatever the model is in
    fast = make_inference(model)
    assert model.training
    model.eval()
    with torch.no_grad():
        output = fast(IMAGES)
    assert list(output) == ["logits"]
    largest = expected["logits"].abs().max().item()
    assert_close(output["logits"], expected["logits"], atol=1e-5 * largest, rtol=0)
    assert not any(module.training for module in fast.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(p.requires_grad for p in model.parameters())
    assert not any(p.requires_grad for p in fast.parameters())


def test_the_form_for_prediction_has_neither_layer_scales_nor_three_heads(model):
    fast = make_inference(model)
    names = [name for name, _ in fast.named_parameters()]
    assert not any("gamma" in name for name in names)
    assert fast.fc1.weight.shape == (32 + 48 + 64, 64)
    assert fast.fc2.weight.shape == (3, 32 + 48 + 64)
    norms = [module for module in fast.modules() if isinstance(module, nn.LayerNorm)]
    assert len(norms) == 3  # the stem's and those of the two attentions
    assert [norm.bias is None for norm in norms] == [False, True, True]
    assert sum(isinstance(module, PlainNorm) for module in fast.modules()) == 5 + 3 + 1


def test_export_gives_the_same_logits(model, expected):
    program = torch.export.export(make_inference(model), (IMAGES,))
    with torch.no_grad():
        assert_close(program.module()(IMAGES)["logits"], expected["logits"], atol=1e-4, rtol=1e-4)

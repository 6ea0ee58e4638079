"""Shapes, initialisation, recomputation, number formats, and the form for prediction."""

from __future__ import annotations

import math

import pytest
import torch
from fer_core.engine.recompute import recompute_blocks
from fer_core.types import TaskInfo, class_names
from fer_models_misc.gsdnet.inference import build_inference
from fer_models_misc.gsdnet.network import GSDNet, build_gsdnet
from torch import nn
from torch.testing import assert_close

INFO = TaskInfo(class_names(7))


@pytest.fixture(scope="module")
def model():
    """Weights as initialised, statistics and scales of batch normalisation as after some training."""
    torch.manual_seed(0)
    network = build_gsdnet(INFO).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.2)
            module.running_var.uniform_(0.5, 2)
            with torch.no_grad():
                module.weight.uniform_(0.3, 1)
                module.bias.normal_(std=0.1)
    return network


@pytest.mark.parametrize(("classes", "size"), [(8, (64, 64)), (3, (50, 70))])
def test_shapes(classes, size):
    network = build_gsdnet(TaskInfo(class_names(classes))).eval()
    with torch.no_grad():
        output = network(torch.randn(2, 3, *size))
    logits = dict.fromkeys(("logits", "logits_1", "logits_2", "logits_3"), (2, classes))
    features = dict.fromkeys((f"features_{k}" for k in (1, 2, 3, 4)), (2, 128))
    assert {name: tuple(tensor.shape) for name, tensor in output.items()} == logits | features


def test_the_pool_keeps_the_border_as_caffe_does(model):
    maps = []
    hook = model.resnet.layer1.register_forward_pre_hook(lambda module, args: maps.append(args[0]))
    with torch.no_grad():
        model(torch.zeros(1, 3, 70, 70))  # 35 after the stem: 17 without ceil mode, 18 with padding
    hook.remove()
    assert maps[0].shape[2:] == (17, 17)
    assert model.resnet.layer2[0].conv1.stride == (2, 2)
    assert model.resnet.layer2[0].conv2.stride == (1, 1)


def test_initialisation_is_the_authors():
    torch.manual_seed(0)
    net = build_gsdnet(INFO).resnet
    for conv in (net.conv1, net.layer3[1].conv2, net.cm2[1]):
        fan_out = conv.out_channels * conv.kernel_size[0] ** 2
        assert conv.weight.std().item() == pytest.approx(math.sqrt(2 / fan_out), rel=0.03)
    bound = 1 / math.sqrt(2048)  # a linear layer's own, uniform
    assert 0.99 * bound < net.fc_4_4.weight.abs().max() <= bound
    assert net.cm1[1].bias.abs().max() > 0
    for norm in (module for module in net.modules() if isinstance(module, nn.BatchNorm2d)):
        assert (norm.eps, norm.momentum) == (1e-5, 0.1)
        assert norm.weight.eq(1).all()
        assert norm.bias.eq(0).all()


def test_without_exits_it_predicts_the_same_with_the_parameters_that_this_needs(model):
    smaller = build_gsdnet(INFO, exits=False).eval()
    smaller.load_state_dict({name: model.state_dict()[name] for name in smaller.state_dict()}, strict=True)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        output = smaller(images)
        assert list(output) == ["logits"]
        assert torch.equal(output["logits"], model(images)["logits"])
    assert sum(p.numel() for p in smaller.parameters()) == 24_573_641


@pytest.mark.parametrize("training", [True, False])
def test_recomputing_blocks_changes_nothing(model, training):
    images = torch.randn(3, 3, 64, 64)
    found = []
    for recompute in (False, True):
        network = build_gsdnet(INFO)
        network.load_state_dict(model.state_dict())
        if recompute:
            assert recompute_blocks(network) == 20  # all bottlenecks and exits
        network.train(training)
        output = network(images)
        sum(tensor.square().sum() for tensor in output.values()).backward()
        gradients = {name: parameter.grad for name, parameter in network.named_parameters()}
        found.append({**output, **gradients, **{f"state {n}": t for n, t in network.state_dict().items()}})
    assert found[0].keys() == found[1].keys()
    for name, tensor in found[0].items():
        assert torch.equal(tensor, found[1][name]), name
    assert found[1]["state resnet.cm1.2.num_batches_tracked"] == int(training)


def test_recomputing_keeps_fewer_numbers_for_the_backward_pass(model):
    def kept(recompute):
        network = GSDNet(7).train()
        if recompute:
            recompute_blocks(network)
        sizes = {}
        with torch.autograd.graph.saved_tensors_hooks(
            lambda t: sizes.__setitem__(t.data_ptr(), t.numel()) or t, lambda t: t
        ):
            network(torch.zeros(2, 3, 64, 64))
        return sum(sizes.values())

    assert kept(False) - kept(True) >= 2 * 2 * 2048 * 16 * 16  # two maps of two images


@pytest.mark.parametrize("classes", [7, 3])
def test_the_form_for_prediction_returns_the_same_logits_and_has_no_exit_or_normalisation(model, classes):
    network = model
    if classes != 7:
        network = build_gsdnet(TaskInfo(class_names(classes)))
        state = {n: t for n, t in model.state_dict().items() if "fc_" not in n}
        network.load_state_dict(state, strict=False)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.train()
    fast = build_inference(network)
    assert network.training
    assert not fast.training
    network.eval()
    images = torch.randn(3, 3, 224, 224)
    with torch.no_grad():
        expected, output = network(images)["logits"], fast(images)
    assert list(output) == ["logits"]
    assert_close(output["logits"], expected, atol=1e-4 * expected.abs().max().item(), rtol=0)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fast.modules())
    weights = sum(p.numel() for name, p in fast.named_parameters() if not name.endswith("bias"))
    assert weights < 24_573_641 + (classes - 7) * 2048
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    fast.blocks[0].conv1.weight.zero_()
    assert network.resnet.layer1[0].conv1.weight.abs().sum() > 0


def test_the_form_for_prediction_of_a_network_without_exits(model):
    smaller = build_gsdnet(INFO, exits=False).eval()
    smaller.load_state_dict({name: model.state_dict()[name] for name in smaller.state_dict()})
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(build_inference(smaller)(images)["logits"], build_inference(model)(images)["logits"])


def test_channels_last_memory_gives_the_same_output(model):
    other = build_gsdnet(INFO).eval()
    other.load_state_dict(model.state_dict())
    other.to(memory_format=torch.channels_last)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected, actual = model(images), other(images.to(memory_format=torch.channels_last))
    for name, tensor in expected.items():
        assert_close(actual[name], tensor, atol=1e-5 * tensor.abs().max().item(), rtol=0)

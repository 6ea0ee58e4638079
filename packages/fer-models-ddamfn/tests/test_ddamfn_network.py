"""Shapes, memory layouts, number formats, and the inference form of the network."""

from __future__ import annotations

import copy

import pytest
import torch
from fer_core.errors import FerError
from fer_core.types import TaskInfo, class_names
from fer_models_ddamfn.convert import convert
from fer_models_ddamfn.ddamfn import DDAMFN, build_ddamfn
from fer_models_ddamfn.inference import inference
from torch import nn
from torch.testing import assert_close

INFO = TaskInfo(class_names(7))


@pytest.fixture(scope="module")
def model(reference):
    network = build_ddamfn(INFO)
    network.load_state_dict(convert(reference.state))
    return network.eval()


@pytest.fixture(scope="module")
def images(reference):
    return reference.images[:2]


@pytest.mark.parametrize(("classes", "heads"), [(8, 2), (3, 4), (3, 1)])
def test_shapes(images, classes, heads):
    network = build_ddamfn(TaskInfo(class_names(classes)), num_heads=heads).eval()
    with torch.no_grad():
        output = network(images)
    assert output["logits"].shape == (2, classes)
    assert output["features"].shape == (2, 512, 7, 7)
    assert output["heads"].shape == (2, heads, 512, 7, 7)
    assert 0 < output["heads"].min() < output["heads"].max() < 1


def test_four_heads_have_the_authors_number_of_parameters():
    unused = 512 * 49 + 2 * 512  # a convolution with its normalisation in each head, which nothing calls
    parameters = sum(p.numel() for p in DDAMFN(7, 4).parameters())
    assert parameters == 4_309_373 - (81_422 + 2 * unused)


def test_every_parameter_gets_a_gradient(images):
    network = DDAMFN(3)  # in several processes one without would stop the training
    network(images)["logits"].sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_no_head_is_refused():
    with pytest.raises(FerError, match="num_heads is 0"):
        build_ddamfn(INFO, num_heads=0)


def test_images_of_another_size_are_refused_with_the_way_out(model):
    for form in (model, inference(model)):
        with pytest.raises(FerError, match=r"224 x 200 pixels.*data\.input_size=112"):
            form(torch.zeros(1, 3, 224, 200))


def test_channels_last_memory_gives_the_same_output(model, images):
    other = copy.deepcopy(model).to(memory_format=torch.channels_last)
    with torch.no_grad():
        expected, actual = model(images), other(images.contiguous(memory_format=torch.channels_last))
    assert actual["features"].is_contiguous(memory_format=torch.channels_last)
    for name, tensor in expected.items():
        assert_close(actual[name], tensor, atol=1e-5 * tensor.abs().max().item(), rtol=0)


def test_a_float64_model_computes_in_float64(model, images):
    with torch.no_grad():
        exact = copy.deepcopy(model).double()(images.double())
        assert {tensor.dtype for tensor in exact.values()} == {torch.float64}
        assert_close(model(images)["logits"].double(), exact["logits"], atol=1e-5, rtol=0)


def test_autocast_changes_the_logits_little(model, images):
    with torch.no_grad():
        exact = model(images)["logits"]
        with torch.autocast("cpu", torch.bfloat16):
            rough = model(images)["logits"].float(), inference(model)(images)["logits"].float()
    for logits in rough:
        assert_close(logits, exact, atol=0.1 * exact.abs().max().item(), rtol=0)


def test_export_gives_the_same_output(model, images):
    form = inference(model)
    program = torch.export.export(form, (images,))
    with torch.no_grad():
        assert_close(program.module()(images)["logits"], form(images)["logits"])


@pytest.mark.parametrize(("classes", "heads"), [(7, 2), (3, 1), (3, 3)])
def test_inference_form_gives_the_same_logits_without_normalisations(model, images, classes, heads):
    network = model if (classes, heads) == (7, 2) else disturbed(DDAMFN(classes, heads))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    fast = inference(network)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fast.modules())
    assert not fast.training
    with torch.no_grad():
        output, full = fast(images), network.eval()(images)["logits"]
        alone = fast(images[:1])["logits"]
    assert list(output) == ["logits"]
    assert_close(output["logits"], full, atol=1e-5 * full.abs().max().item(), rtol=0)
    assert_close(alone, full[:1], atol=1e-5 * full.abs().max().item(), rtol=0)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name])


def disturbed(network):
    """With statistics and factors as training leaves them."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.7, 1.3)
            nn.init.uniform_(module.weight, 0.7, 1.3)
            nn.init.normal_(module.bias, 0, 0.1)
    return network.eval()


def test_inference_form_of_a_training_model_is_in_eval_mode_and_leaves_it(images):
    network = disturbed(DDAMFN(3))
    expected = network(images)["logits"].detach()
    fast = inference(network.train())
    assert network.training
    assert_close(fast(images)["logits"], expected, atol=1e-5, rtol=1e-5)
    mine = {tensor.data_ptr() for tensor in network.state_dict().values()}
    assert not mine & {tensor.data_ptr() for tensor in fast.state_dict().values()}


def test_inference_form_passes_gradients_to_the_images(model, images):
    given = images.clone().requires_grad_()
    inference(model)(given)["logits"].sum().backward()
    assert given.grad.abs().max() > 0


def test_inference_form_of_another_network_is_refused():
    with pytest.raises(FerError, match="this is a Linear"):
        inference(nn.Linear(1, 1))

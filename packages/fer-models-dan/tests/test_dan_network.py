"""Shapes, sizes, initialisation and number formats of the network."""

from __future__ import annotations

import math

import pytest
import torch
from fer_core.errors import FerError
from fer_core.types import TaskInfo, class_names
from fer_models_dan.dan import DAN, build_dan
from torch.testing import assert_close

INFO = TaskInfo(class_names(7))


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return build_dan(INFO).eval()


@pytest.mark.parametrize(
    ("classes", "heads", "size", "grid"), [(8, 4, (224, 224), 7), (3, 2, (48, 48), 2), (3, 1, (100, 100), 4)]
)
def test_shapes(classes, heads, size, grid):
    network = build_dan(TaskInfo(class_names(classes)), num_heads=heads).eval()
    with torch.no_grad():
        output = network(torch.randn(2, 3, *size))
    assert output["logits"].shape == (2, classes)
    assert output["features"].shape == (2, 512, grid, grid)
    assert output["heads"].shape == (2, heads, 512)


def test_heads_are_log_probabilities_unless_there_is_one(model):
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert_close(model(images)["heads"].exp().sum(1), torch.ones(2, 512))
        assert DAN(7, 1).eval()(images)["heads"].max() > 0


def test_channels_last_memory_gives_the_same_output(model):
    images = torch.randn(2, 3, 64, 64)
    other = DAN(7).eval()
    other.load_state_dict(model.state_dict())
    other.to(memory_format=torch.channels_last)
    with torch.no_grad():
        expected, actual = model(images), other(images.to(memory_format=torch.channels_last))
    assert actual["features"].is_contiguous(memory_format=torch.channels_last)
    for name, tensor in expected.items():
        assert_close(actual[name], tensor, atol=1e-5 * tensor.abs().max().item(), rtol=0)


def test_a_float64_model_computes_in_float64(model):
    other = DAN(7).double().eval()
    other.load_state_dict(model.state_dict())
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        exact = other(images.double())
        assert {tensor.dtype for tensor in exact.values()} == {torch.float64}
        assert_close(model(images)["logits"].double(), exact["logits"], atol=1e-3, rtol=1e-4)


def test_autocast_keeps_attention_and_logits_in_float32(model):
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        output = model(torch.randn(2, 3, 64, 64))
    assert output["features"].dtype == torch.bfloat16
    assert output["heads"].dtype == output["logits"].dtype == torch.float32


def test_export_gives_the_same_output():
    model, images = DAN(3, 2).eval(), torch.randn(2, 3, 64, 64)
    program = torch.export.export(model, (images,))
    with torch.no_grad():
        actual = program.module()(images)
        for name, tensor in model(images).items():
            assert_close(actual[name], tensor)


def test_initialisation_of_the_heads(model):
    head = model.cat_head1
    assert head.sa.conv_1x3[0].weight.std().item() == pytest.approx(math.sqrt(2 / (512 * 3)), rel=0.02)
    assert head.ca.attention[0].weight.std().item() == pytest.approx(0.001, rel=0.05)
    for layer in (head.sa.conv1x1[0], head.sa.conv_3x1[0], head.ca.attention[0], head.ca.attention[3]):
        assert not layer.bias.any()
    assert not torch.equal(head.sa.conv1x1[0].weight, model.cat_head2.sa.conv1x1[0].weight)


def test_no_head_is_refused():
    with pytest.raises(FerError, match="num_heads is 0"):
        build_dan(INFO, num_heads=0)

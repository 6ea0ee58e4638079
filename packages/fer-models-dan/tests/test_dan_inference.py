"""The form that predicts: equal logits from fewer operations."""

from __future__ import annotations

import fer_core
import pytest
import torch
from fer_models_dan.dan import DAN
from fer_models_dan.inference import DANInference
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def trained(classes, heads=4):
    """A network in eval mode whose normalisations have seen images, and whose heads share every channel."""
    torch.manual_seed(0)
    model = DAN(classes, heads)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.05)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".sa.conv_" in name and ".1." in name:  # the sum over 512 channels, kept near the softmax's scale
                parameter.mul_(0.02)
        for _ in range(3):
            model(torch.randn(4, 3, 64, 64))
    return model.eval()


def logits(model, images):
    with torch.no_grad():
        return model(images)


@pytest.mark.parametrize(("classes", "heads", "size"), [(7, 4, (96, 96)), (3, 2, (64, 80)), (8, 1, (49, 49))])
def test_the_logits_are_those_of_the_network(classes, heads, size):
    model, images = trained(classes, heads), torch.randn(3, 3, *size)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    form = fer_core.inference_form(model, "dan")
    output, expected = logits(form, images), logits(model, images)["logits"]
    assert list(output) == ["logits"]
    assert expected.abs().max() < 100
    assert not form.training
    assert (output["logits"] - expected).abs().max() <= 1e-4 * expected.abs().max()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_reference_logits(reference):
    model = DAN(7)
    model.load_state_dict(reference.state)
    form = fer_core.inference_form(model, "dan")
    expected = logits(model.eval(), reference.images)["logits"]
    assert (logits(form, reference.images)["logits"] - expected).abs().max() <= 1e-4 * expected.abs().max()


def test_nothing_is_normalised_and_fewer_products_are_formed():
    model, images = trained(7), torch.randn(1, 3, 224, 224)
    form = fer_core.inference_form(model, "dan")
    assert isinstance(form, DANInference)
    assert not any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in form.modules())
    counts = []
    for network in (model, form):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(images)
        counts.append(counter.get_total_flops() // 2)
    assert counts[0] - counts[1] == pytest.approx(4 * 49 * 512 * 256 * 6, rel=0.01)


def test_half_precision_and_export():
    model, images = trained(3, 2), torch.randn(2, 3, 64, 64)
    form = fer_core.inference_form(model, "dan")
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert form(images)["logits"].dtype == torch.float32
    program = torch.export.export(form, (images,))
    assert torch.allclose(program.module()(images)["logits"], form(images)["logits"], atol=1e-5)

"""Pieces of networks: folded batch normalisation, frozen parts, the ResNet-18."""

from __future__ import annotations

import copy

import torch
from fer_core.nn import Frozen, fold_batch_norm, resnet18
from torch import nn
from torchvision import models as reference


def settle(norm: nn.Module) -> nn.Module:
    """Statistics and weights as after training."""
    for value in (*norm.parameters(), norm.running_mean):
        value.data.normal_()
    norm.running_var.uniform_(0.2, 3)
    return norm.eval()


def test_a_folded_layer_computes_what_layer_and_norm_computed() -> None:
    torch.manual_seed(0)
    for layer, norm, shape in (
        (nn.Conv2d(6, 8, 3, stride=2, groups=2, bias=False), nn.BatchNorm2d(8, eps=1e-3), (4, 6, 9, 9)),
        (nn.Conv1d(6, 8, 2), nn.BatchNorm1d(8, affine=True), (4, 6, 9)),
        (nn.Linear(6, 8), nn.BatchNorm1d(8), (4, 6)),
    ):
        settle(norm)
        images = torch.randn(shape)
        before = {name: value.clone() for name, value in layer.state_dict().items()}
        folded = fold_batch_norm(layer, norm)
        torch.testing.assert_close(folded(images), norm(layer(images)), rtol=1e-5, atol=1e-5)
        assert all(torch.equal(value, before[name]) for name, value in layer.state_dict().items())


def frozen_part() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.BatchNorm2d(4, momentum=0.3))


def test_a_second_pass_over_the_same_images_is_not_computed_but_leaves_the_same_statistics() -> None:
    calls = 0
    part = frozen_part().requires_grad_(False)
    twice = copy.deepcopy(part)

    def compute(images: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return part(images)

    frozen = Frozen(part, compute)
    for _ in range(2):
        images = torch.randn(4, 3, 6, 6)
        first, second = frozen(images), frozen(images)
        assert torch.equal(first, second)
        torch.testing.assert_close(first, twice(images))
        twice(images)
        for name, value in twice.state_dict().items():
            torch.testing.assert_close(part.state_dict()[name], value, rtol=1e-5, atol=1e-6)
    assert calls == 2


def test_nothing_is_remembered_where_it_would_be_wrong() -> None:
    part = frozen_part().requires_grad_(False)
    frozen = Frozen(part, part)
    images = torch.randn(4, 3, 6, 6)
    first = frozen(images).clone()
    images.mul_(2)  # the same tensor, other pixels
    assert not torch.equal(frozen(images), first)
    with torch.no_grad():
        part[0].weight.mul_(3)
    changed = frozen(images).clone()
    torch.testing.assert_close(changed, copy.deepcopy(part)(images))
    part.eval()
    with torch.no_grad():
        part[1].running_mean.add_(1)
    torch.testing.assert_close(frozen(images), part(images))
    part.train().requires_grad_(True)
    assert frozen(images).requires_grad


def test_a_frozen_part_is_remembered_in_a_compiled_model_too() -> None:
    part = frozen_part().requires_grad_(False)
    calls = []
    frozen = Frozen(part, lambda images: calls.append(1) or part(images))
    compiled = torch.compile(lambda images: frozen(images) * 2, backend="eager")
    images = torch.randn(4, 3, 8, 8)
    first, second = compiled(images), compiled(images)
    assert calls == [1]
    assert torch.equal(first, second)


def test_the_resnet_is_that_of_torchvision() -> None:
    torch.manual_seed(3)
    ours = resnet18()
    torch.manual_seed(3)
    theirs = nn.Sequential(*list(reference.resnet18(weights=None).children())[:-2])
    assert list(ours.state_dict()) == list(theirs.state_dict())
    images = torch.randn(2, 3, 64, 64)
    for _ in range(2):  # in train mode, too
        assert torch.equal(ours(images), theirs(images))
        ours.eval()
        theirs.eval()

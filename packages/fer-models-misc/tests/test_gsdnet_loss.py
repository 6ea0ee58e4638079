"""The terms of the loss on figures that can be followed by hand, and where it refuses."""

from __future__ import annotations

import math

import pytest
import torch
from fer_core.errors import FerError
from fer_core.types import Progress, TaskInfo
from fer_models_misc.gsdnet.loss import FEATURES, LOGITS, GSDNetLoss, soft_cross_entropy
from fer_models_misc.gsdnet.network import build_gsdnet
from torch import nn
from torch.testing import assert_close

INFO = TaskInfo(("a", "b", "c"))
NOW = Progress(0, 1, 0, 1)
BATCH = {"image": torch.zeros(2, 3, 8, 8), "label": torch.tensor([0, 2])}


class Fixed(nn.Module):
    def __init__(self, output):
        super().__init__()
        self.output = output

    def forward(self, images):
        return self.output


def make_output(requires_grad=False):
    generator = torch.Generator().manual_seed(0)
    output = {name: torch.randn(2, 3, generator=generator) for name in LOGITS}
    output |= {name: torch.randn(2, 128, generator=generator) for name in FEATURES}
    return {name: tensor.requires_grad_(requires_grad) for name, tensor in output.items()}


def test_distance_is_the_norm_over_the_whole_batch_and_no_mean():
    output = make_output()
    output["features_3"] = torch.full((2, 128), 2.0)
    output["features_4"] = torch.full((2, 128), 1.0)
    assert GSDNetLoss(INFO)(Fixed(output), BATCH, NOW)["distance_3"].item() == pytest.approx(math.sqrt(2 * 128))


def test_soft_cross_entropy_has_the_temperature_in_both_and_no_square_of_it():
    logits, teacher = torch.tensor([[0.0, 0.0]]), torch.tensor([[3 * math.log(3.0), 0.0]])
    assert soft_cross_entropy(logits, teacher, 3.0).item() == pytest.approx(math.log(2))
    # the teacher has the probabilities 3/4 and 1/4, and so has the student here
    entropy = -0.75 * math.log(0.75) - 0.25 * math.log(0.25)
    assert soft_cross_entropy(teacher, teacher, 3.0).item() == pytest.approx(entropy)


def test_terms_are_reported_unweighted_and_add_up():
    losses = GSDNetLoss(INFO, distance=0.5, soft=2.0)(Fixed(make_output()), BATCH, NOW)
    expected = losses["cross_entropy"] + sum(
        0.5 * losses[f"distance_{s}"] + 2 * losses[f"soft_{s}"] for s in (1, 2, 3)
    )
    assert_close(losses["loss"], expected)


@pytest.mark.parametrize("aliased", [True, False])
def test_which_exits_each_term_teaches(aliased):
    """Teachers get no gradient; the first pair reaches all exits where sums stand in for the first exit."""
    reached = {}
    for term in ("cross_entropy", *(f"{kind}_{s}" for kind in ("distance", "soft") for s in (1, 2, 3))):
        output = make_output(requires_grad=True)
        GSDNetLoss(INFO, aliased=aliased)(Fixed(output), BATCH, NOW)[term].backward()
        reached[term] = {name for name, tensor in output.items() if tensor.grad is not None}
    for s in (2, 3):
        assert reached[f"distance_{s}"] == {f"features_{s}"}
        assert reached[f"soft_{s}"] == {f"logits_{s}"}
    assert reached["distance_1"] == (set(FEATURES) if aliased else {"features_1"})
    assert reached["soft_1"] == (set(LOGITS) if aliased else {"logits_1"})
    assert reached["cross_entropy"] == {"logits"}


def test_equal_neighbours_have_a_finite_gradient():
    output = make_output()
    output["features_3"] = output["features_4"].clone().requires_grad_()
    GSDNetLoss(INFO, aliased=False)(Fixed(output), BATCH, NOW)["loss"].backward()
    assert output["features_3"].grad.eq(0).all()


def test_a_network_without_exits_is_refused_in_one_line():
    model = build_gsdnet(INFO, exits=False).eval()
    with pytest.raises(FerError, match=r"returns logits: train the model gsdnet with exits: true") as caught:
        GSDNetLoss(INFO)(model, BATCH | {"image": torch.zeros(2, 3, 32, 32)}, NOW)
    assert "\n" not in str(caught.value)


def test_a_temperature_of_zero_is_refused():
    with pytest.raises(FerError, match=r"loss\.temperature is 0"):
        GSDNetLoss(INFO, temperature=0)


def test_bfloat16_training_step_is_finite_and_its_terms_float32():
    torch.manual_seed(0)
    model = build_gsdnet(INFO)
    with torch.autocast("cpu", torch.bfloat16):
        losses = GSDNetLoss(INFO)(model, BATCH | {"image": torch.randn(2, 3, 64, 64)}, NOW)
    losses["loss"].backward()
    assert all(value.dtype == torch.float32 for name, value in losses.items() if name != "logits")
    assert losses["loss"].isfinite()
    for parameter in model.parameters():
        assert parameter.grad.isfinite().all()

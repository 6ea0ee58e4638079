"""The loss by itself: its formula, its option and its errors."""

from __future__ import annotations

import pytest
import torch
from fer_core.errors import FerError
from fer_core.types import Progress, TaskInfo
from fer_models_ddamfn.loss import DDAMFNLoss, attention_loss
from torch import nn

INFO = TaskInfo(("a", "b", "c"))
NOW = Progress(0, 1, 0, 1)
BATCH = {"image": torch.zeros(4, 3, 112, 112), "label": torch.tensor([0, 1, 2, 1])}


class Fixed(nn.Module):
    """Answers with given tensors."""

    def __init__(self, **output):
        super().__init__()
        self.output = output

    def forward(self, images):
        return self.output


def make_output(heads=2, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 3, generator=generator).to(dtype)
    return {"logits": logits, "heads": torch.rand(4, heads, 5, 2, 2, generator=generator).to(dtype)}


def test_attention_is_one_over_the_mean_squared_difference():
    heads = torch.zeros(1, 2, 1, 1, 2)
    heads[0, 1] = torch.tensor([0.6, 0.2])
    assert attention_loss(heads).item() == pytest.approx(1 / ((0.36 + 0.04) / 2))


def test_attention_averages_over_the_pairs_of_heads_before_dividing():
    heads = torch.tensor([0.0, 0.5, 1.0]).view(1, 3, 1, 1, 1)
    assert attention_loss(heads).item() == pytest.approx(3 / (0.25 + 1 + 0.25))


def test_heads_that_agree_cost_as_much_as_in_the_authors_code():
    assert attention_loss(torch.full((2, 2, 3, 7, 7), 0.5)).item() == pytest.approx(4.5036e15, rel=1e-4)


def test_one_head_has_no_attention_term():
    losses = DDAMFNLoss(INFO)(Fixed(**make_output(heads=1)), BATCH, NOW)
    assert losses["attention"].item() == 0
    assert losses["loss"].item() == losses["cross_entropy"].item()


def test_the_weight_scales_the_term_and_the_term_is_reported_unscaled():
    model = Fixed(**make_output())
    default, half = DDAMFNLoss(INFO)(model, BATCH, NOW), DDAMFNLoss(INFO, attention=0.5)(model, BATCH, NOW)
    assert default["attention"].item() == half["attention"].item() > 0
    for losses, weight in ((default, 0.1), (half, 0.5)):
        expected = losses["cross_entropy"].item() + weight * losses["attention"].item()
        assert losses["loss"].item() == pytest.approx(expected)
    assert default["logits"] is model.output["logits"]


def test_terms_are_float32_where_the_model_answers_in_bfloat16():
    losses = DDAMFNLoss(INFO)(Fixed(**make_output(dtype=torch.bfloat16)), BATCH, NOW)
    assert {losses[term].dtype for term in ("loss", "cross_entropy", "attention")} == {torch.float32}


def test_a_negative_weight_is_refused():
    for weight in (-0.1, float("nan")):
        with pytest.raises(FerError, match=r"loss\.attention is"):
            DDAMFNLoss(INFO, attention=weight)


@pytest.mark.parametrize("heads", [None, torch.zeros(4, 2, 512)])
def test_a_model_without_attention_maps_is_refused_by_name(heads):
    output = {"logits": torch.zeros(4, 3)} | ({} if heads is None else {"heads": heads})
    with pytest.raises(FerError, match="returns logits"):
        DDAMFNLoss(INFO)(Fixed(**output), BATCH, NOW)

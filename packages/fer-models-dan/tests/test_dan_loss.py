"""The loss by itself: its formulas, its options and its errors."""

from __future__ import annotations

import math

import pytest
import torch
from fer_core.errors import FerError
from fer_core.types import Progress, TaskInfo
from fer_models_dan.dan import DAN
from fer_models_dan.loss import DANLoss, affinity_loss, partition_loss
from torch import nn

INFO = TaskInfo(("a", "b", "c"))
NOW = Progress(0, 1, 0, 1)


class Fixed(nn.Module):
    """Answers with given tensors."""

    def __init__(self, **output):
        super().__init__()
        self.output = output

    def forward(self, images):
        return self.output


def make_output(heads=4):
    generator = torch.Generator().manual_seed(0)
    return {
        "logits": torch.randn(5, 3, generator=generator),
        "features": torch.randn(5, 512, 2, 2, generator=generator),
        "heads": torch.randn(5, heads, 512, generator=generator).log_softmax(1),
    }


BATCH = {"image": torch.zeros(5, 3, 64, 64), "label": torch.tensor([0, 1, 2, 1, 0])}


def test_affinity_is_the_squared_distance_to_the_centre_over_the_spread():
    vectors, centers = torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[1.0, 0.0], [3.0, 0.0]])
    # squared distances 4 and 9; the variance over two centres is 2 in the first dimension and 0 in the second
    assert affinity_loss(vectors, torch.tensor([0, 1]), centers).item() == pytest.approx((4 + 9) / 2 / 2)


def test_partition_takes_the_mean_before_the_logarithm():
    heads = torch.tensor([[[0.0, 0.0], [2.0, 6.0]]])  # variances 2 and 18
    assert partition_loss(heads).item() == pytest.approx(math.log(1 + 2 / 10))
    assert partition_loss(heads[:, :1]).item() == 0


def test_partition_is_finite_when_all_heads_agree():
    heads = torch.zeros(2, 4, 512, requires_grad=True)
    loss = partition_loss(heads)
    loss.backward()
    assert loss.item() == pytest.approx(math.log(4 / 2.220446e-16), rel=1e-5)
    assert heads.grad.isfinite().all()


def test_weights_scale_the_terms_and_terms_are_reported_unscaled():
    model = Fixed(**make_output())
    torch.manual_seed(0)
    plain = DANLoss(INFO)
    scaled = DANLoss(INFO, affinity=0.5, partition=0.0)
    scaled.load_state_dict(plain.state_dict())
    a, b = plain(model, BATCH, NOW), scaled(model, BATCH, NOW)
    for term in ("cross_entropy", "affinity", "partition"):
        assert a[term].item() == b[term].item() > 0
    assert a["loss"].item() == pytest.approx(sum(a[t].item() for t in ("cross_entropy", "affinity", "partition")))
    assert b["loss"].item() == pytest.approx(a["cross_entropy"].item() + 0.5 * a["affinity"].item())


def test_one_head_has_no_partition_term():
    losses = DANLoss(INFO)(DAN(3, 1), BATCH | {"image": torch.randn(5, 3, 64, 64)}, NOW)
    assert losses["partition"].item() == 0
    losses["loss"].backward()


def test_centres_are_parameters_and_part_of_the_state():
    loss = DANLoss(INFO, centers=8)
    assert [(name, tuple(p.shape)) for name, p in loss.named_parameters()] == [("centers", (8, 512))]
    assert list(loss.state_dict()) == ["centers"]
    assert loss.centers.std().item() == pytest.approx(1, rel=0.05)
    assert DANLoss(INFO).centers.shape == (3, 512)


@pytest.mark.parametrize(("classes", "centers"), [(3, 2), (3, 0), (1, None)])
def test_too_few_centres_are_refused(classes, centers):
    with pytest.raises(FerError, match=r"loss\.centers is"):
        DANLoss(TaskInfo(("a", "b", "c")[:classes]), centers=centers)


def test_a_model_without_heads_is_refused_by_name():
    output = make_output()
    del output["heads"]
    with pytest.raises(FerError, match="returns logits, features:"):
        DANLoss(INFO)(Fixed(**output), BATCH, NOW)


def test_bfloat16_training_step_is_finite_and_its_terms_float32():
    torch.manual_seed(0)
    model, loss = DAN(3, 2), DANLoss(INFO)
    with torch.autocast("cpu", torch.bfloat16):
        losses = loss(model, BATCH | {"image": torch.randn(5, 3, 32, 32)}, NOW)
    losses["loss"].backward()
    for term in ("loss", "cross_entropy", "affinity", "partition"):
        assert losses[term].dtype == torch.float32
        assert losses[term].isfinite()
    for parameter in [*model.parameters(), *loss.parameters()]:
        assert parameter.grad.isfinite().all()

"""MFER's loss: heads, the substitute for the feature loss, and their errors."""

from __future__ import annotations

import pytest
import torch
from fer_core.errors import FerError
from fer_core.types import Progress, TaskInfo
from fer_models_misc.mfer.loss import MFERLoss, center_loss, head_losses
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

INFO = TaskInfo(("a", "b", "c"))
NOW = Progress(0, 1, 0, 1)
LABELS = torch.tensor([0, 2, 0, 0, 2])
BATCH = {"image": torch.zeros(5, 3, 32, 32), "label": LABELS}


class Fixed(nn.Module):
    """Answers with given tensors."""

    def __init__(self, **output):
        super().__init__()
        self.output = output

    def forward(self, images):
        return self.output


def make_output():
    generator = torch.Generator().manual_seed(0)
    stage_logits = torch.randn(5, 3, 3, generator=generator)
    features = torch.randn(5, 1024, generator=generator).requires_grad_()
    return {"logits": stage_logits.sum(1), "stage_logits": stage_logits, "features": features}


def test_smoothing_mixes_the_target_with_the_mean_over_the_classes():
    logits, labels = torch.tensor([[[2.0, 0.0, -1.0]], [[0.0, 1.0, 0.0]]]), torch.tensor([0, 2])
    log_p = logits[:, 0].log_softmax(1)
    by_hand = -(0.9 * log_p[[0, 1], labels] + 0.1 * log_p.mean(1)).mean()
    assert_close(head_losses(logits, labels, 0.1), by_hand[None])


def test_the_sum_of_the_heads_is_the_loss_and_there_are_no_centres_by_default():
    output = make_output()
    loss = MFERLoss(INFO)
    losses = loss(Fixed(**output), BATCH, NOW)
    for i in range(3):
        expected = F.cross_entropy(output["stage_logits"][:, i], LABELS, label_smoothing=0.1)
        assert_close(losses[f"head_{i}"], expected)
    assert_close(losses["loss"], losses["head_0"] + losses["head_1"] + losses["head_2"])
    assert "center" not in losses
    assert not list(loss.parameters())
    hard = MFERLoss(INFO, smoothing=0)(Fixed(**output), BATCH, NOW)
    assert_close(hard["head_1"], F.cross_entropy(output["stage_logits"][:, 1], LABELS))


def test_centre_loss_and_the_gradients_it_gives():
    torch.manual_seed(0)
    output, loss = make_output(), MFERLoss(INFO, center=0.001)
    features, centers = output["features"], loss.centers
    losses = loss(Fixed(**output), BATCH, NOW)
    losses["loss"].backward()
    gap = (features - centers[LABELS]).detach()
    assert_close(losses["center"], gap.square().sum() / 2 / 5)
    heads = losses["head_0"] + losses["head_1"] + losses["head_2"]
    assert_close(losses["loss"], heads + 0.001 * losses["center"])
    assert_close(features.grad, 0.001 * gap / 5)
    by_hand = torch.zeros_like(centers)
    for c, n in ((0, 3), (2, 2)):
        by_hand[c] = -gap[c == LABELS].sum(0) / ((1 + n) * 5)  # neither weighted nor the true gradient
    assert_close(centers.grad, by_hand)
    assert not centers.grad[1].any()


def test_centres_start_as_xavier_with_gain():
    centers = MFERLoss(TaskInfo(tuple("abcdefg")), center=1).centers
    bound = 2**0.5 * (6 / (7 + 1024)) ** 0.5
    assert centers.shape == (7, 1024)
    assert 0.99 * bound < centers.abs().max().item() <= bound
    assert list(MFERLoss(INFO, center=1).state_dict()) == ["centers"]


def test_centre_loss_of_half_precision_features_is_float32():
    features = torch.randn(5, 16).bfloat16().requires_grad_()
    term, pull = center_loss(features, LABELS, torch.randn(3, 16, requires_grad=True))
    assert term.dtype == pull.dtype == torch.float32
    (term + pull).backward()
    assert features.grad.isfinite().all()


@pytest.mark.parametrize("options", [{"smoothing": 1.0}, {"smoothing": -0.1}, {"center": -1.0}])
def test_impossible_options_are_refused(options):
    with pytest.raises(FerError, match=rf"loss\.{next(iter(options))} is"):
        MFERLoss(INFO, **options)


def test_a_model_without_heads_is_refused_by_name():
    with pytest.raises(FerError, match="this one returns logits:"):
        MFERLoss(INFO)(Fixed(logits=torch.zeros(5, 3)), BATCH, NOW)

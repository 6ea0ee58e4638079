"""The loss of LNSU-Net by itself: its formulas, its options and its errors."""

from __future__ import annotations

import pytest
import torch
from fer_core.errors import FerError
from fer_core.types import Progress, TaskInfo
from fer_models_misc.lnsu.loss import LNSULoss, attention_consistency, class_weights, smooth_targets
from torch import nn
from torch.testing import assert_close

COUNTS = (10, 30, 60)
INFO = TaskInfo(("a", "b", "c"), COUNTS)
NOW = Progress(0, 1, 0, 1)


class Columns(nn.Module):
    """Logits and maps straight from the pixels: a map is the image, scaled for each class."""

    def __init__(self, classes=3):
        super().__init__()
        self.classes = classes
        self.calls = []

    def forward(self, images):
        self.calls.append(len(images))
        maps = images[:, :1] * torch.arange(1.0, self.classes + 1)[:, None, None]
        return {"logits": maps.mean((2, 3)), "maps": maps}


BATCH = {
    "image": torch.randn(4, 3, 7, 7, generator=torch.Generator().manual_seed(0)),
    "label": torch.tensor([0, 1, 2, 1]),
}


def test_weights_are_a_tenth_of_the_inverse_frequency():
    assert_close(class_weights(INFO), torch.tensor([1.0, 1 / 3, 1 / 6]))


def test_targets_share_the_rest_by_weight():
    targets = smooth_targets(class_weights(INFO), 0.3)
    assert_close(targets[0], torch.tensor([0.7, 0.2, 0.1]))  # 1/3 to 1/6
    assert_close(targets[2], torch.tensor([0.225, 0.075, 0.7]))  # 1 to 1/3
    assert_close(smooth_targets(class_weights(INFO), 0), torch.eye(3))
    assert_close(smooth_targets(torch.rand(8) + 0.1, 0.5).sum(1), torch.ones(8))


def test_consistency_compares_with_the_mirrored_map_and_weighs_classes():
    maps = torch.zeros(1, 2, 7, 7)
    maps[0, 0, 0, 0], maps[0, 1, 3, 6] = 7.0, 14.0
    weights = torch.tensor([2.0, 0.5])
    assert attention_consistency(maps, maps.flip(-1), weights).item() == 0
    # squares 49 and 196, each at two of 49 places
    assert attention_consistency(maps, maps, weights).item() == pytest.approx(2 * 2 + 0.5 * 8)


@pytest.mark.parametrize("joined", [False, True])
def test_a_model_that_follows_the_mirror_is_consistent_and_one_that_does_not_is_punished(joined):
    model = Columns()
    losses = LNSULoss(INFO, joined=joined)(model, BATCH, NOW)
    assert model.calls == ([8] if joined else [4, 4])
    assert losses["consistency"].item() == 0
    assert losses["logits"].shape == (4, 3)
    assert losses["loss"].item() == losses["smooth_labels"].item()

    model.forward = lambda images: {
        "logits": torch.zeros(len(images), 3),
        "maps": torch.rand(len(images), 3, 7, 7),
    }
    losses = LNSULoss(INFO, consistency=2.0, joined=joined)(model, BATCH, NOW)
    assert losses["consistency"] > 0
    assert losses["loss"].item() == pytest.approx((losses["smooth_labels"] + 2 * losses["consistency"]).item())


def test_without_smoothing_it_is_cross_entropy():
    losses = LNSULoss(INFO, smoothing=0.0)(Columns(), BATCH, NOW)
    expected = nn.functional.cross_entropy(losses["logits"], BATCH["label"])
    assert losses["smooth_labels"].item() == pytest.approx(expected.item())


def test_there_is_no_state_to_save():
    assert not LNSULoss(INFO).state_dict()


@pytest.mark.parametrize("counts", [(), (3, 4)])
def test_unknown_counts_are_refused(counts):
    with pytest.raises(FerError, match=r"pass class_counts"):
        LNSULoss(TaskInfo(("a", "b", "c"), counts))


def test_a_class_without_samples_is_named():
    with pytest.raises(FerError, match="b has none"):
        LNSULoss(TaskInfo(("a", "b", "c"), (3, 0, 4)))


def test_options_out_of_range_and_models_without_maps_are_refused():
    with pytest.raises(FerError, match=r"loss\.smoothing is 1"):
        LNSULoss(INFO, smoothing=1)
    with pytest.raises(FerError, match=r"loss\.consistency is -1"):
        LNSULoss(INFO, consistency=-1)
    with pytest.raises(FerError, match=r"maps \[N, 3, h, w\]"):
        LNSULoss(INFO)(Columns(classes=4), BATCH, NOW)
    model = Columns()
    model.forward = lambda images: {"logits": torch.zeros(4, 3)}
    with pytest.raises(FerError, match="this one returns logits:"):
        LNSULoss(INFO)(model, BATCH, NOW)

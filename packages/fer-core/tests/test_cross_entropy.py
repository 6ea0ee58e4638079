"""Cross-entropy against labels, distributions, and any of several labels."""

import math

import pytest
import torch
from fer_core.components import build
from fer_core.errors import FerError
from fer_core.losses import CrossEntropy
from fer_core.types import Progress, TaskInfo
from torch import nn

INFO = TaskInfo(("a", "b", "c", "d"))
PROGRESS = Progress(0, 1, 0, 1)
P = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.97, 0.01, 0.01, 0.01]])
VOTES = torch.tensor([[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]])


class Fixed(nn.Module):
    def forward(self, images):
        return {"logits": P.log() + 3}


def compute(batch, **options):
    return CrossEntropy(INFO, **options)(Fixed(), {"image": torch.zeros(2, 3, 1, 1), **batch}, PROGRESS)[
        "loss"
    ].item()


def test_targets():
    batch = {"label": torch.tensor([3, 0]), "distribution": VOTES}
    assert compute(batch) == pytest.approx(-(math.log(0.4) + math.log(0.97)) / 2, rel=1e-5)
    spread = -(math.log(0.1) + math.log(0.2)) / 2
    assert compute(batch, target="distribution") == pytest.approx((spread - math.log(0.01)) / 2, rel=1e-5)
    assert compute(batch, target="any") == pytest.approx(-(math.log(0.2) + math.log(0.01)) / 2, rel=1e-5)


def test_any_has_a_floor_where_the_wanted_classes_are_hopeless():
    # With the others at 0.001 the loss saturates: 0.001 * 0.99999 beats a wanted class of 1e-6.
    class Sure(nn.Module):
        def forward(self, images):
            return {"logits": torch.tensor([[14.0, 0.0, 0.0, 0.0]])}

    batch = {"image": torch.zeros(1, 3, 1, 1), "distribution": torch.tensor([[0.0, 1.0, 0.0, 0.0]])}
    loss = CrossEntropy(INFO, target="any")(Sure(), batch, PROGRESS)["loss"].item()
    assert loss == pytest.approx(-math.log(0.001), abs=1e-4)


@pytest.mark.parametrize("target", ["distribution", "any"])
def test_a_dataset_without_votes_is_refused(target):
    with pytest.raises(FerError, match=f"target is {target}, but this dataset has no votes"):
        compute({"label": torch.tensor([3, 0])}, target=target)


def test_options():
    with pytest.raises(FerError, match=r"loss\.target is votes, .*: expected label or distribution or any"):
        build("losses", "cross_entropy", {"target": "votes"}, INFO)
    with pytest.raises(FerError, match="no smoothed form"):
        CrossEntropy(INFO, target="any", label_smoothing=0.1)

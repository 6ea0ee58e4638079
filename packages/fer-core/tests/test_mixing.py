"""Mixup and CutMix: the formula, the targets of heads, and the same bytes after resuming and on two processes."""

from __future__ import annotations

from types import SimpleNamespace

import fer_core
import numpy as np
import pytest
import torch
from fer_core import FerError
from fer_core.losses import CrossEntropy, MultiHead, SampleBuffer
from fer_core.losses.multi_head import target_term
from fer_core.testing import check_resume
from fer_core.training.mixing import Mixing, cut_and_paste
from fer_core.types import Progress, TaskInfo
from torch import nn
from torch.nn import functional as F

INFO = TaskInfo(("a", "b", "c"), targets={"mood": ("calm", "tense"), "age": ()})
PROGRESS = Progress(0, 1, 0, 10)
MIX = {"name": "mix", "mixup": 0.4, "cutmix": 1.0, "probability": 0.8}


class Heads(nn.Module):
    """The image itself, in parts, so that outputs are known."""

    def forward(self, images):
        flat = images.flatten(1)
        return {"logits": flat[:, :3], "head_mood": flat[:, 3:5], "head_age": flat[:, 5]}


class Twice(CrossEntropy):
    """A loss that calls the model itself."""

    def forward(self, model, batch, progress):
        return self.from_output(model(batch["image"]), batch, progress)


def trainer(loss: nn.Module, **options: float) -> Mixing:
    task = SimpleNamespace(model=Heads(), loss=loss, training_step=None)
    data = SimpleNamespace(split=SimpleNamespace(unlabelled=np.array([], int)))
    config = SimpleNamespace(loss=SimpleNamespace(name="some"))
    setup = SimpleNamespace(task=task, config=config, info=INFO, engine=SimpleNamespace(device=None), data=data)
    return Mixing(setup, **options)


def batch(count: int = 6) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    number = torch.arange(count)
    return {
        "image": torch.randn(count, 3, 4, 4),
        "label": number % 3,
        "index": number,
        "distribution": torch.rand(count, 3).softmax(1),
        "target_mood": number % 3 - 1,
        "target_age": torch.where(number % 2 == 0, number.float(), torch.nan),
    }


def test_mixup_adds_pixels_and_losses_by_the_same_share() -> None:
    mixing, given = trainer(CrossEntropy(INFO), mixup=1.0), batch()
    mixed = mixing.prepare(given, seed=5)
    share, partners = mixed["mix_share"], mixed["mix_index"]
    assert 0.5 <= share < 1
    assert sorted(partners.tolist()) == list(range(6))
    expected = share * given["image"] + (1 - share) * given["image"][partners]
    torch.testing.assert_close(mixed["image"], expected)
    losses = mixing.training_step(mixed, PROGRESS)
    one_hot = F.one_hot(given["label"], 3).float()
    soft = share * one_hot + (1 - share) * one_hot[partners]
    torch.testing.assert_close(losses["loss"], F.cross_entropy(expected.flatten(1)[:, :3], soft))
    assert losses["logits"].shape == (6, 3)


def test_votes_and_targets_of_heads_are_mixed_and_missing_ones_count_nothing() -> None:
    mixing, given = trainer(MultiHead(INFO, target="distribution"), mixup=1.0), batch()
    mixed = mixing.prepare(given, seed=5)
    losses, share, partners = mixing.training_step(mixed, PROGRESS), mixed["mix_share"], mixed["mix_index"]
    output = Heads()(mixed["image"])
    for name in ("mood", "age"):
        head, target = output[f"head_{name}"], given[f"target_{name}"]
        own, other = target_term(head, target), target_term(head, target[partners])
        torch.testing.assert_close(losses[f"head_{name}"], share * own + (1 - share) * other)
    soft = share * given["distribution"] + (1 - share) * given["distribution"][partners]
    label = F.cross_entropy(output["logits"], soft)
    torch.testing.assert_close(losses["loss"], label + losses["head_mood"] + losses["head_age"])


def test_a_loss_that_calls_the_model_is_mixed_alike() -> None:
    ours, theirs = (trainer(kind(INFO), mixup=1.0) for kind in (CrossEntropy, Twice))
    mixed = ours.prepare(batch(), seed=5)
    assert ours.training_step(mixed, PROGRESS)["loss"] == theirs.training_step(mixed, PROGRESS)["loss"]


def test_cutmix_replaces_a_rectangle_and_counts_its_pixels() -> None:
    own, other, random = torch.zeros(2, 3, 20, 30), torch.ones(2, 3, 20, 30), np.random.default_rng(0)
    shares = []
    for _ in range(200):
        mixed, share = cut_and_paste(own, other, 0.75, random)
        assert mixed.mean().item() == pytest.approx(1 - share, abs=1e-6)
        rows, columns = mixed[0, 0].any(dim=1).nonzero(), mixed[0, 0].any(dim=0).nonzero()
        assert mixed[0, 0].sum() == len(rows) * len(columns)  # one rectangle
        assert len(rows) <= 11
        assert len(columns) <= 16
        shares.append(share)
    assert min(shares) == pytest.approx(0.75, abs=0.05)
    assert max(shares) > 0.85  # cut off at the border
    assert not own.any()


def test_rectangles_of_cutmix_are_as_large_as_the_share_that_is_drawn() -> None:
    mixing = trainer(CrossEntropy(INFO), mixup=0.0, cutmix=1.0)
    given = batch() | {"image": torch.randn(6, 3, 32, 32)}
    shares = []
    for seed in range(400):
        mixed = mixing.prepare(given, seed)
        pasted = (mixed["image"] != given["image"]).any(dim=1).float().mean(dim=(1, 2))
        assert pasted.max() == pytest.approx(1 - mixed["mix_share"].item(), abs=1e-6)
        shares.append(mixed["mix_share"].item())
    # alpha 1: areas are uniform; with what the border cuts off, 0.179 of them cover more than half of an image.
    assert 0.12 < np.mean(np.less(shares, 0.5)) < 0.24


def test_a_seed_decides_and_a_share_of_batches_stays() -> None:
    mixing, given = trainer(CrossEntropy(INFO), mixup=0.2, cutmix=1.0, probability=0.5), batch()
    first, again = (mixing.prepare(given, seed=3) for _ in range(2))
    assert first.keys() == again.keys()
    assert all(torch.equal(first[key], again[key]) for key in ("image", "label"))
    kept = sum("mix_share" not in mixing.prepare(given, seed) for seed in range(400))
    assert 160 < kept < 240
    assert torch.equal(batch()["image"], given["image"])


def test_unusable_choices_are_refused() -> None:
    with pytest.raises(FerError, match="mixup and cutmix are both 0"):
        trainer(CrossEntropy(INFO), mixup=0.0)
    loss = CrossEntropy(INFO)
    loss.seen = SampleBuffer(5)
    with pytest.raises(FerError, match="the loss some keeps values of each sample"):
        trainer(loss)


@pytest.mark.parametrize("pipeline", ["batched", "per-image"])
def test_an_interrupted_run_ends_alike_also_under_two_passes_a_step(two_heads, quick, tmp_path, pipeline) -> None:
    quick["data"] |= {"pipeline": pipeline, "workers": 0}
    quick |= {"train": {"trainer": MIX, "accumulate": 2, "epochs": 2}, "loss": "multi_head"}
    quick |= {"optimizer": {"name": "sam", "base": "adamw", "lr": 0.01}}
    check_resume("two_heads", "faces", tmp_path, **quick)


def test_both_passes_of_an_optimizer_see_the_same_images(tiny, quick, monkeypatch) -> None:
    seen: list[torch.Tensor] = []
    step = Mixing.training_step

    def noting(self, batch, progress):
        seen.append(batch["image"].clone())
        return step(self, batch, progress)

    monkeypatch.setattr(Mixing, "training_step", noting)
    quick |= {"train": {"trainer": {"name": "mix"}, "steps": 2}, "optimizer": {"name": "sam", "lr": 0.01}}
    fer_core.train("tiny", "bars", device="cpu", **quick)
    assert torch.equal(seen[0], seen[1])
    assert torch.equal(seen[2], seen[3])
    assert not torch.equal(seen[0], seen[2])

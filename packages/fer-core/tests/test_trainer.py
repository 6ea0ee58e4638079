"""Trainers of plugins: what they override is called, saved and resumed."""

from __future__ import annotations

import copy
from pathlib import Path

import fer_core
import pytest
import torch
from fer_core import FerError, api
from fer_core.plugin import Loss, Trainer
from fer_core.plugins import Entry, Plugin, load_plugins
from fer_core.runs.state import read_state
from fer_core.training.loop import Loop
from fer_core.training.memory import smaller_batch
from fer_core.weights.checkpoint import load_weights
from torch import nn
from torch.nn import functional as F

SEMI = {"data": {"input_size": 16, "batch_size": 8, "fraction": 0.5}, "callbacks": []}


class Centres(Loss):
    """Cross-entropy, and a parameter of its own."""

    def __init__(self, info) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(info.num_classes))

    def from_output(self, output, batch, progress):
        return {"loss": F.cross_entropy(output["logits"] * self.scale, batch["label"]), "logits": output["logits"]}


class Everything(Trainer):
    """A teacher, unlabelled images, two optimizers and a number of its own."""

    def __init__(self, *given, decay: float = 0.9) -> None:
        super().__init__(*given)
        self.decay, self.total, self.seen = decay, 0.0, set()
        self.teacher = self.add_module("teacher", copy.deepcopy(self.model).requires_grad_(False))

    def extra_loaders(self):
        weak, strong = (self.make_loader(self.unlabelled, batch_size=4) for _ in range(2))
        return {"weak": weak, "strong": strong}

    def make_optimizers(self, parameters):
        own = {id(parameter) for parameter in self.loss.parameters()}
        others = [parameter for parameter in parameters if id(parameter) not in own]
        return [*super().make_optimizers(others), torch.optim.SGD(self.loss.parameters(), lr=0.5)]

    def training_step(self, batch, progress):
        losses = super().training_step(batch, progress)
        if batch["weak_image"].any():  # the probe of the memory has none
            assert torch.equal(batch["weak_index"], batch["strong_index"])
            assert not torch.equal(batch["weak_image"], batch["strong_image"])
        assert "weak_label" not in batch
        self.seen.update(batch["weak_index"].tolist())
        with torch.no_grad():
            target = self.teacher(batch["weak_image"])["logits"].softmax(1)
        consistency = F.mse_loss(self.model(batch["strong_image"])["logits"].softmax(1), target)
        return losses | {"loss": losses["loss"] + consistency, "consistency": consistency}

    def after_step(self, progress):
        self.total += progress.step
        for ours, theirs in zip(self.teacher.parameters(), self.model.parameters(), strict=True):
            ours.lerp_(theirs.detach(), 1 - self.decay)

    def product_model(self):
        return self.teacher

    def extra_state(self):
        return {"total": self.total}

    def load_extra_state(self, state):
        self.total = state["total"]


@pytest.fixture
def known(tiny, monkeypatch):
    """`known(trainer)` makes a trainer known as `ours`; the loss above is `centres`."""
    plugin, entries = Plugin("tests", "fer-tests", "0"), load_plugins().entries
    monkeypatch.setitem(entries["losses"], "centres", [Entry("centres", Centres, plugin)])
    return lambda trainer: monkeypatch.setitem(entries["trainers"], "ours", [Entry("ours", trainer, plugin)])


def train(folder: str, options: dict, **data: float) -> api.Run:
    section = {"trainer": {"name": "ours", **options}, "save_every": 2, "epochs": 3}
    sections = SEMI | {"data": SEMI["data"] | data, "train": section, "run": {"dir": folder}}
    return fer_core.train("tiny", "bars", loss="centres", device="cpu", **sections)


class Killed(BaseException):
    """Nothing in the code under test catches it."""


def test_all_that_a_trainer_overrides_is_used_and_a_killed_run_resumes_to_the_same_bytes(
    known, monkeypatch
) -> None:
    known(Everything)
    loops, step = [], Loop.step

    def watched(loop, batch) -> None:
        loops.append(loop)
        if len(loops) == 7:
            raise Killed
        step(loop, batch)

    monkeypatch.setattr(Loop, "step", watched)
    with pytest.raises(Killed):
        train("runs/killed", {"decay": 0.8})
    done = train("runs/whole", {"decay": 0.8})
    api.resume("runs/killed")
    whole, killed = (read_state(Path(f"runs/{name}/last.state.pt")) for name in ("whole", "killed"))
    for name in ("best.safetensors", "last.safetensors", "metrics.jsonl", "predictions-test.csv"):
        assert Path("runs/whole", name).read_bytes() == Path("runs/killed", name).read_bytes(), name
    assert all(torch.equal(value, killed.task[name]) for name, value in whole.task.items())
    assert whole.extra == killed.extra == {"total": sum(range(whole.envelope.position.step))}

    loop = loops[7]
    used = loop.trainer
    assert used.decay == 0.8
    assert sorted(used.seen) == list(range(27))  # what data.fraction leaves out, numbered
    assert "consistency" in loop.history[-1].train
    assert [optimizer.param_groups[0]["lr"] for optimizer in used.optimizers] == [1e-4, 0.5]
    assert not torch.equal(whole.task["loss.scale"], torch.ones(3))
    saved, _ = load_weights(done.folder / "last.safetensors")
    assert torch.equal(saved["head.weight"], whole.task["extra.teacher.head.weight"])
    assert not torch.equal(saved["head.weight"], whole.task["model.head.weight"])
    used.setup.task.train()
    assert "4 fit" in str(smaller_batch(used.setup, loop.progress(), tuple(used.loaders)))


class Twin(Trainer):
    def __init__(self, *given, again: bool = False) -> None:
        super().__init__(*given)
        self.second = self.add_model("second")
        if again:
            self.add_model("second")

    def after_step(self, progress):
        assert not torch.equal(self.second.head.weight, self.model.head.weight)
        self.add_module("late", nn.Linear(1, 1))


class Greedy(Trainer):
    def extra_loaders(self):
        return {"more": self.make_loader(self.unlabelled)}


@pytest.mark.parametrize(
    ("made", "options", "says"),
    [
        (Twin, {"again": True}, "Twin cannot add the module second, since there is one: add it in __init__"),
        (Twin, {}, "Twin cannot add the module late, since training has begun: add it in __init__"),
        (Greedy, {}, "Greedy has no further images to load: leave some without labels with data.fraction=0.1"),
        (Greedy, {"weight": 3}, "train.trainer.weight: unknown option of ours"),
        (
            lambda setup: nn.Identity(),
            {},
            "trainer 'ours' of fer-tests 0 returned Identity() without training_step, make_optimizers, "
            "extra_loaders, product_model, expected a Trainer: correct or update fer-tests",
        ),
    ],
)
def test_a_trainer_that_is_wrong_is_told_so_and_leaves_no_folder(known, made, options, says) -> None:
    known(made)
    with pytest.raises(FerError) as error:
        train("runs/a", options, fraction=1.0)
    assert says in str(error.value)
    assert not Path("runs/a").exists()

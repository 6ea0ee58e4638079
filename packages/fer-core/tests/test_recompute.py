"""Activations computed twice: the same training, with less kept between the passes."""

from __future__ import annotations

import fer_core
import pytest
import torch
from fer_core import FerError
from fer_core.engine.recompute import find_blocks, recompute_blocks
from fer_core.plugins import Entry, Plugin, load_plugins
from fer_core.types import ModelSpec, TaskInfo
from torch import nn


class Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels)
        self.conv2, self.norm2 = nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels)
        self.drop = nn.Dropout(0.2)

    def forward(self, x):
        y = self.drop(torch.relu(self.norm1(self.conv1(x))))
        return torch.relu(x + self.norm2(self.conv2(y)))


class Stage(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Residual(channels) for _ in range(2))

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return x


class Net(nn.Module):
    def __init__(self, info) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU())
        self.stages = nn.Sequential(Stage(8), Stage(8))
        self.head = nn.Linear(8, len(info.classes))

    def forward(self, images):
        return {"logits": self.head(self.stages(self.stem(images)).mean((2, 3)))}


@pytest.fixture
def blocky(tiny, quick, monkeypatch):
    """Overrides for a short run of a model that has blocks."""
    spec = ModelSpec(name="blocky", factory=Net, recipes={}, summary="", paper="", licence="", upstream="")
    entry = Entry("blocky", spec, Plugin("tests", "fer-tests", "0"))
    monkeypatch.setitem(load_plugins().entries["models"], "blocky", [entry])
    return quick


def test_blocks_are_the_innermost_run_of_equal_modules() -> None:
    found = find_blocks(Net(TaskInfo(("a", "b"))))
    assert [type(block) for block in found] == [Residual] * 4


@pytest.mark.parametrize(
    ("optimizer", "train"),
    [("adamw", {"precision": "fp32"}), ("sam", {"precision": "bf16", "accumulate": 2})],
    ids=["adamw", "sam"],
)
def test_a_run_that_recomputes_ends_as_one_that_does_not(blocky, optimizer, train) -> None:
    """Dropout and running statistics among it, to the last bit."""
    states = []
    for recompute in (False, True):
        overrides = blocky | {"run": {"dir": f"run-{recompute}"}, "optimizer": {"name": optimizer, "lr": 0.01}}
        overrides["train"] = {"epochs": 1, "recompute": recompute, **train}
        run = fer_core.train("blocky", "bars", device="cpu", **overrides)
        states.append(torch.load(run.folder / "last.state.pt", weights_only=True)["task"])
    assert states[0]["model.stem.1.num_batches_tracked"] > 0
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name


def test_less_is_kept_for_the_backward_pass() -> None:
    def kept(recompute: bool) -> int:
        model, sizes = Net(TaskInfo(("a", "b"))), {}
        if recompute:
            recompute_blocks(model)

        def note(tensor):
            sizes[tensor.data_ptr()] = tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            logits = model(torch.zeros(4, 3, 33, 33))["logits"]
        assert logits.requires_grad
        return sum(sizes.values())

    assert kept(True) < 0.5 * kept(False)


def test_what_cannot_be_done_is_told_before_training(tiny, blocky) -> None:
    options = {"device": "cpu", **blocky}
    with pytest.raises(FerError, match=r"no block for activation checkpointing in \w+, since"):
        fer_core.train("tiny", "bars", **options | {"train": {"recompute": True}})
    with pytest.raises(FerError, match="exclude each other"):
        fer_core.train("blocky", "bars", **options | {"train": {"recompute": True, "compile": "default"}})

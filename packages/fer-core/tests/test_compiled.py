"""Compiled runs: equal to uncompiled ones, resumed to the same bytes, and not compiled again in every epoch."""

from __future__ import annotations

import shutil
import sysconfig
from pathlib import Path

import fer_core
import pytest
import torch
from fer_core import api
from fer_core.engine.compiling import in_words
from fer_core.plugin import Loss
from fer_core.plugins import Entry, Plugin, load_plugins
from fer_core.runs.records import Environment
from fer_core.testing import check_resume
from fer_core.weights import checkpoint
from torch.nn import functional as F

PLUGIN = Plugin("tests", "fer-tests", "0")
TOLERANCE = 1e-4
"""Largest difference between weights of a compiled run and one that is not."""
compiles = pytest.mark.skipif(
    not shutil.which("g++") or not Path(sysconfig.get_path("include"), "Python.h").exists(),
    reason="no C++ compiler, or no headers of Python: compilation on a CPU is not tested",
)


class Rising(Loss):
    """Cross-entropy, and a term that counts more from epoch to epoch."""

    def __init__(self, info):
        super().__init__()
        self.register_buffer("prior", torch.zeros(info.num_classes))

    def from_output(self, output, batch, progress):
        logits = output["logits"]
        weight = torch.as_tensor((progress.epoch + 1) / progress.epochs + progress.step / progress.steps)
        mean = logits.softmax(1).mean(0)
        self.prior.lerp_(mean.detach(), 0.1)
        even = weight * ((mean - self.prior) ** 2).sum()
        return {"loss": F.cross_entropy(logits, batch["label"]) + even, "even": even, "logits": logits}


class Settling(Loss):
    """Cross-entropy of logits that are scaled by a number of Python's, another one in each epoch."""

    def __init__(self, info):
        super().__init__()
        self.scale = "1.0"

    def from_output(self, output, batch, progress):
        logits = output["logits"] * float(self.scale)
        return {"loss": F.cross_entropy(logits, batch["label"]), "logits": logits}

    def after_epoch(self, scan, progress):
        self.scale = str(float(self.scale) + 0.5)


@pytest.fixture
def quick(tiny, monkeypatch):
    """Three epochs of three batches and an odd one."""
    losses = load_plugins().entries["losses"]
    monkeypatch.setitem(losses, "rising", [Entry("rising", Rising, PLUGIN)])
    monkeypatch.setitem(losses, "settling", [Entry("settling", Settling, PLUGIN)])
    torch._dynamo.reset()
    return {
        "data": {"batch_size": 16, "input_size": 16, "options": {"samples": 90}},
        "model": {"dropout": 0.0},  # compiled layers draw their noise in another way
        "optimizer": {"name": "sgd", "lr": 0.1},  # Adam would make rounding a step where the gradient is 0
        "loss": {"name": "rising"},
        "train": {"epochs": 3, "precision": "fp32", "select": "last"},
    }


def run(sections, **train):
    return fer_core.train("tiny", "bars", device="cpu", **{**sections, "train": sections["train"] | train})


def environment(folder):
    return Environment.read(folder / "env.json", "")


@compiles
@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["sgd", "sam"])
def test_a_compiled_run_is_the_uncompiled_one_and_is_compiled_once_for_all_epochs(quick, optimizer, lines):
    if optimizer == "sam":
        quick["optimizer"] = {"name": "sam", "base": "sgd", "lr": 0.1}
    plain, compiled = run(quick), run(quick, compile="default")
    weights = [checkpoint.load_weights(each.folder / "last.safetensors")[0] for each in (plain, compiled)]
    assert list(weights[0]) == list(weights[1])
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, rtol=0, atol=TOLERANCE)
    assert [environment(each.folder).compile for each in (plain, compiled)] == [False, "default"]
    assert environment(compiled.folder).recompilations == ()
    assert "device   cpu, fp32, deterministic true, compiled (default)" in lines


@compiles
@pytest.mark.slow
def test_a_compiled_run_is_resumed_to_the_same_bytes(quick, tmp_path, monkeypatch):
    """The process that resumes has compiled nothing, and begins in the middle of an epoch."""
    resume = api.resume

    def in_a_new_process(folder):
        torch._dynamo.reset()
        return resume(folder)

    monkeypatch.setattr(api, "resume", in_a_new_process)
    quick["model"] = {"dropout": 0.2}
    quick["train"] |= {"compile": "default"}
    check_resume("tiny", "bars", tmp_path, **quick)
    assert environment(tmp_path / "interrupted").compile == "default"


@compiles
@pytest.mark.slow
def test_what_is_compiled_again_is_told_and_recorded(quick, lines):
    quick["loss"] = {"name": "settling"}
    again = environment(run(quick, compile="default").folder).recompilations
    assert len(again) == 2  # epochs
    assert all("a value that its code depends on has changed" in each and "scale" in each for each in again)
    assert sum(line.startswith("compile  ") and " again, " in line for line in lines) == len(set(again))


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (
            "0/0: tensor 'batch['image']' size mismatch at index 0. expected 16, actual 6",
            "forward: a tensor had 6 rows instead of 16",
        ),
        (
            "2/1: tensor 'x' size mismatch at index 3. expected 112, actual 224",
            "forward: a tensor had 224 instead of 112 elements along dimension 3",
        ),
        ("1/0: GLOBAL_STATE changed: grad_mode ", "forward: gradients were switched on or off"),
        ("1/0: self.training  # line", "forward: the model was switched between training and evaluation"),
        (
            "1/0: self.scale == 1.0\n1/1: another",
            "forward: a value that its code depends on has changed: self.scale == 1.0",
        ),
    ],
)
def test_reasons_are_told_in_words(reason, words):
    assert in_words("forward", reason) == words


def test_who_does_not_compile_asks_nothing_of_the_compiler(quick, monkeypatch):
    monkeypatch.setattr("fer_core.workflows.train.recompilations", pytest.fail)
    monkeypatch.setattr("torch.compiler.set_stance", pytest.fail)
    assert environment(run(quick).folder).recompilations == ()

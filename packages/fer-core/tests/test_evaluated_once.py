"""Validation and the evaluation at the end measure the inference form, and every part of the same weights once."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import fer_core
import pytest
import torch
from fer_core import api, registry
from fer_core.engine import Engine
from fer_core.errors import FerError
from fer_core.evaluation import evaluate as evaluation
from fer_core.inference.fuse import LiveForm
from fer_core.inference.network import Network
from fer_core.metrics import Metrics
from fer_core.nn import fold_batch_norm
from fer_core.plugin import TaskInfo
from fer_core.plugins import load_plugins
from fer_core.runs.state import read_state
from fer_core.training import loop
from fer_core.workflows import train as whole_run
from torch import nn

PRODUCTS = ("best.safetensors", "last.safetensors", "result.json", "metrics.jsonl", "predictions-val.csv")
INFO = TaskInfo(classes=("a", "b"), input_size=16)


class Folded(nn.Module):
    """`TinyNet` without its batch normalisation; `shift` is an error of the form."""

    shift = 0.0

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        conv, norm = model.body[0], model.body[1]
        self.conv, self.head = fold_batch_norm(conv, norm), copy.deepcopy(model.head)

    def forward(self, images):
        maps = nn.functional.adaptive_avg_pool2d(self.conv(images).relu(), 4)
        return {"logits": self.head(maps.flatten(1)) + self.shift}


@pytest.fixture
def folded(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`tiny` has an inference form."""
    give_form("tiny", monkeypatch)


def give_form(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (entry,) = load_plugins().entries["models"][name]
    formed = replace(entry, value=replace(entry.value, inference=Folded))
    monkeypatch.setitem(load_plugins().entries["models"], name, [formed])


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[str, str]]:
    """How often a class of model predicted a part of `bars`, told by the first of its rows."""
    count: Counter[tuple[str, str]] = Counter()

    def counted(original: Callable) -> Callable:
        def predict(model, loader, *arguments):
            part = {54: "val", 72: "test"}[int(loader.rows[0])]
            count[type(model).__name__, part] += 1
            return original(model, loader, *arguments)

        return predict

    for module in (loop, evaluation):
        monkeypatch.setattr(module, "predict", counted(module.predict))
    return count


def run(folder: str, quick: dict, **train) -> api.Run:
    return fer_core.train(
        "tiny", "bars", device="cpu", **quick | {"train": {"epochs": 3, **train}}, run={"dir": folder}
    )


def validated(folder: Path, step: int) -> dict[str, float]:
    """What `metrics.jsonl` says of the validation after a step."""
    (row,) = [row for line in (folder / "metrics.jsonl").open() if (row := json.loads(line))["step"] == step]
    return {name: row["val"][name] for name in loop.SCALARS}


def values(metrics: Metrics) -> dict[str, float]:
    return {name: metrics.value(name) for name in loop.SCALARS}


def test_every_part_of_the_same_weights_is_measured_once(folded, quick, measured) -> None:
    done = run("runs/last", quick, select="last")
    assert done.result.last.step == done.result.best.step
    assert measured == {("Folded", "val"): 3, ("Folded", "test"): 1}
    measured.clear()
    done = run("runs/first", quick | {"optimizer": {"name": "sgd", "lr": 1e-9}})  # the last is not better
    assert done.result.best.step < done.result.last.step
    assert measured == {("Folded", "val"): 3, ("Folded", "test"): 2}
    for weights in (done.result.best, done.result.last):
        assert validated(done.folder, weights.step) == values(weights.metrics["val"])


@pytest.mark.parametrize("train", [{}, {"ema": 0.9}], ids=["plain", "ema"])
def test_validation_says_what_the_weights_score_afterwards(folded, quick, train) -> None:
    done = run("runs/a", quick, precision="fp32", **train)
    for name in ("best.safetensors", "last.safetensors"):
        again = fer_core.evaluate(done.folder / name, split="val", device="cpu", precision="fp32", batch_size=16)
        weights = getattr(done.result, name.removesuffix(".safetensors"))
        assert validated(done.folder, weights.step) == values(again.metrics) == values(weights.metrics["val"])
    full = Network.load(done.folder / "best.safetensors", Engine.start("cpu", "fp32"))
    form = Network.load(full.checkpoint, full.engine, fast=True)
    assert (type(full.model).__name__, type(form.model)) == ("TinyNet", Folded)


@pytest.mark.parametrize("epochs", [1, 3])
def test_a_run_killed_before_its_result_measures_again_what_it_lost(folded, quick, measured, monkeypatch, epochs):
    whole = run("runs/whole", quick, epochs=epochs)
    with monkeypatch.context() as patch:
        patch.setattr(whole_run, "_evaluate_run", lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run("runs/killed", quick, epochs=epochs)
    assert read_state(Path("runs/killed/last.state.pt")).envelope.position.epoch == epochs
    measured.clear()
    killed = api.resume("runs/killed")
    assert measured["Folded", "val"] == measured["Folded", "test"]  # once for each of the weights
    assert [(killed.folder / name).read_bytes() for name in PRODUCTS] == [
        (whole.folder / name).read_bytes() for name in PRODUCTS
    ]


def test_a_form_that_is_wrong_ends_the_run_at_its_first_validation(folded, quick, monkeypatch) -> None:
    monkeypatch.setattr(Folded, "shift", 1.0)
    with pytest.raises(FerError, match="the inference form") as raised:
        run("runs/a", quick)
    assert "fer-tests" in str(raised.value)


def test_a_model_with_further_heads_is_measured_as_it_is(two_heads, measured, monkeypatch) -> None:
    give_form("two_heads", monkeypatch)
    options = {"data": {"input_size": 16, "batch_size": 16}, "loss": "multi_head", "callbacks": []}
    done = fer_core.train("two_heads", "faces", device="cpu", train={"epochs": 1}, **options)
    assert set(done.result.metrics["test"].heads) == {"mood", "tension", "age"}
    assert measured == {("TwoHeads", "val"): 1, ("TwoHeads", "test"): 1}


def test_the_form_follows_the_weights_and_leaves_the_model_alone(folded) -> None:
    model, engine = registry.find("models", "tiny").factory(INFO), Engine.start("cpu", "fp32")
    live = LiveForm(model, "tiny", 16, engine, heads=False)
    images = torch.rand(2, 3, 16, 16)
    for _ in range(2):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(1.5)
        model.train()
        before = {name: value.clone() for name, value in model.state_dict().items()}
        form = live.of(model)
        assert model.training
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
        with torch.inference_mode():
            torch.testing.assert_close(form(images)["logits"], model.eval()(images)["logits"])
    assert LiveForm(model, "tiny", 16, replace(engine, compile="default"), heads=False).of(model) is model

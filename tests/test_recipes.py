"""Recipes are whole, and two of the authors' train as their specification says, step for step."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from types import SimpleNamespace

import fer_core
import numpy as np
import pandas as pd
import pytest
import torch
from fer_core import registry
from fer_core.config import resolve_config
from fer_core.data.table import make_fingerprint
from fer_core.plugins import Entry, Plugin, load_plugins
from fer_core.training.loop import Loop
from fer_core.types import FERDataset
from torch import nn

RECIPES = [
    (model, dataset) for model in registry.names("models") for dataset in registry.find("models", model).recipes
]
SAID = (
    *("data.batch_size", "data.sampler.name", "data.train_transforms", "data.eval_transforms"),
    *("data.mean", "data.std", "data.color", "loss.name", "optimizer.name", "optimizer.lr"),
    *("optimizer.weight_decay", "scheduler.name", "scheduler.per", "train.select", "train.metric"),
)
"""What every recipe says."""
SAID_BY_AUTHORS = (
    *("data.input_size", "data.drop_last", "data.split"),
    *("train.precision", "train.clip_norm", "train.ema"),
)
"""What a recipe says that follows a published script."""
OURS = ("default", "synthetic")
BY_ANSWER = [("dan", "sfew")]
"""Recipes for which the authors published an answer to a question, and no script."""


@pytest.mark.parametrize(("model", "dataset"), RECIPES)
def test_a_recipe_is_whole(model, dataset):
    data = replace(registry.find("datasets", "synthetic"), name=dataset)
    resolved = resolve_config(registry.find("models", model), data)
    origin = resolved.origin
    recipe = f"recipe {model}/{dataset}"
    assert set(origin.values()) <= {"defaults", "command line", recipe}
    said = SAID if dataset in OURS or (model, dataset) in BY_ANSWER else SAID + SAID_BY_AUTHORS
    assert [key for key in said if origin.get(key) != recipe] == []
    if said is not SAID:  # no published script changes torch's default
        assert resolved.config.train.precision == "tf32"
    assert recipe in (origin["train.epochs"], origin["train.steps"])


def test_a_dataset_without_a_recipe_gets_the_default():
    origin = resolve_config(registry.find("models", "mfer"), registry.find("datasets", "ckplus")).origin
    assert origin["train.clip_norm"] == "recipe mfer/default"


COUNTS = (20, 9, 15, 22, 14, 7, 9)
"""Training faces of each class: three batches of 32."""


class Noise(FERDataset):
    """Random pictures of 100 x 100 pixels, as many of each class as `COUNTS` says; one more in each other part."""

    name = "rafdb"
    classes = registry.find("datasets", "rafdb").classes

    def __init__(self, root, *, train):
        labels = np.random.default_rng(0).permutation(np.repeat(np.arange(7), COUNTS))[:train]
        label = np.concatenate([labels, np.arange(7), np.arange(7)])
        ids = [f"noise-{row:04d}" for row in range(len(label))]
        split = np.repeat(["train", "val", "test"], [train, 7, 7])
        self.table = pd.DataFrame({"id": ids, "label": label, "split": split, "source": ids})

    def read(self, row):
        return np.random.default_rng(row).integers(0, 256, (100, 100, 3), dtype=np.uint8)

    def fingerprint(self):
        return make_fingerprint(self.table["id"], self.table["label"], self.table["id"])


class Small(nn.Module):
    """Stands for both networks: class maps [N, 7, 4, 4] and three heads on features [N, 1024].

    Its weights are small and its answers large: changes of 1e-7 keep ten digits, and clipping at 5 shows.
    """

    def __init__(self, info, **options):
        super().__init__()
        torch.manual_seed(0)
        self.maps = nn.Conv2d(3, 7, 1)
        self.features = nn.Linear(48, 1024)
        self.heads = nn.Linear(1024, 21)
        for parameter in self.parameters():
            parameter.data = torch.randn_like(parameter, dtype=torch.float64) * 1e-3

    def forward(self, images):
        pooled = 1e3 * nn.functional.adaptive_avg_pool2d(images.double(), 4)
        maps = self.maps(pooled)
        features = self.features(pooled.flatten(1)).tanh()
        stages = 1e2 * self.heads(features).unflatten(1, (3, 7))
        return {"logits": maps.mean((2, 3)), "maps": maps, "features": features, "stage_logits": stages}


@pytest.fixture
def three_steps(monkeypatch, tmp_path):
    """`three_steps(model, train)`: what the model's recipe for RAF-DB does in its first three steps."""
    seen, loss = SimpleNamespace(batches=[], rates=[], losses=[]), None

    step = Loop.step

    def watching(training, batch):
        if not seen.batches:
            seen.before, seen.model = copy.deepcopy(training.trainer.model), training.trainer.model
        seen.batches.append({key: value.clone() for key, value in batch.items()})
        before = float(training.sums.get("loss", 0))
        step(training, batch)
        seen.rates.append(training.learning_rate)
        seen.losses.append(float(training.sums["loss"] - before) / len(batch["label"]))
        if training.position.step == 3:
            training.stop = "three steps are done"

    def make_loss(info, **options):  # constants such as the weights of the classes, in double precision, too
        torch.set_default_dtype(torch.float64)
        try:
            return loss(info, **options)
        finally:
            torch.set_default_dtype(torch.float32)

    def run(model, train):
        nonlocal loss
        loss = registry.find("losses", model)
        entries, plugin = load_plugins().entries, Plugin("tests", "fer-tests", "0")
        spec = replace(registry.find("models", model), factory=Small, inference=None)
        data = replace(
            registry.find("datasets", "rafdb"),
            factory=Noise,
            splits={"train": "train", "val": "val", "test": "test"},
            expected_counts={},
            options={"train": train},
            needs_root=False,
        )
        monkeypatch.setitem(entries["models"], model, [Entry(model, spec, plugin)])
        monkeypatch.setitem(entries["losses"], model, [Entry(model, make_loss, plugin)])
        monkeypatch.setitem(entries["datasets"], "rafdb", [Entry("rafdb", data, plugin)])
        monkeypatch.setattr(Loop, "step", watching)
        fer_core.train(
            model,
            "rafdb",
            data={"options": {"train": train}},
            callbacks=[],
            device="cpu",
        )
        return seen

    monkeypatch.setenv("FER_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    yield run
    torch.use_deterministic_algorithms(False)


def adamw(parameters, gradients, moments, step, rate, decay):
    """One step of AdamW with its published constants; `step` counts from 1."""
    for place, (parameter, gradient) in enumerate(zip(parameters, gradients, strict=True)):
        first, second = moments.get(place, (torch.zeros_like(gradient), torch.zeros_like(gradient)))
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        moments[place] = first, second
        mean, spread = first / (1 - 0.9**step), (second / (1 - 0.999**step)).sqrt()
        parameter.data = parameter.data - rate * decay * parameter.data - rate * mean / (spread + 1e-8)


def assert_the_same(seen, model, losses, rates):
    assert seen.rates == pytest.approx(rates, rel=1e-12)
    assert seen.losses == pytest.approx(losses, rel=1e-9)
    for start, found, expected in zip(*(m.parameters() for m in (seen.before, seen.model, model)), strict=True):
        change = (expected - start).abs().max()
        assert (found - expected).abs().max() <= 1e-9 * change


def log_softmax(logits):
    return logits - logits.exp().sum(-1, keepdim=True).log()


def test_mfer_trains_as_its_script(three_steps):
    """AdamW with 1e-3 and 0.01 on every parameter, 0.95 after each epoch (of one batch here), nothing clipped."""
    seen = three_steps("mfer", 32)
    model, moments, losses, rates, norms = copy.deepcopy(seen.before), {}, [], [], []
    for epoch, batch in enumerate(seen.batches):
        chances = log_softmax(model(batch["image"])["stage_logits"])
        own = chances[torch.arange(32), :, batch["label"]]
        loss = -(0.9 * own + 0.1 * chances.mean(2)).mean(0).sum()
        parameters = [model.features.weight, model.features.bias, model.heads.weight, model.heads.bias]
        gradients = torch.autograd.grad(loss, parameters)
        norms.append(math.sqrt(sum(gradient.square().sum().item() for gradient in gradients)))
        rates.append(1e-3 * 0.95**epoch)
        losses.append(loss.item())
        adamw(parameters, gradients, moments, epoch + 1, rates[-1], 0.01)
    assert min(norms) > 5
    assert_the_same(seen, model, losses, rates)


def test_lnsu_trains_as_its_script(three_steps):
    """Smooth labels and attention consistency, the gradient clipped at 5, AdamW with rates a step late."""
    seen = three_steps("lnsu", sum(COUNTS))
    weights = sum(COUNTS) / (10 * torch.tensor(COUNTS, dtype=torch.float64))
    targets = torch.zeros(7, 7, dtype=torch.float64)
    for label in range(7):
        others = [c for c in range(7) if c != label]
        targets[label, others] = 0.3 * weights[others] / weights[others].sum()
        targets[label, label] = 0.7
    model, moments, losses, norms = copy.deepcopy(seen.before), {}, [], []
    rates = [3.125e-8, 3.125e-8, 3.125e-8 + (3.125e-5 - 3.125e-8) / 2000]
    for step, batch in enumerate(seen.batches):
        output, mirrored = model(batch["image"]), model(batch["image"].flip(3))
        smooth = -(targets[batch["label"]] * log_softmax(output["logits"])).sum(1).mean()
        difference = (output["maps"] - mirrored["maps"].flip(3)).square().mean((2, 3))
        loss = smooth + 0.1 * (difference * weights).sum(1).mean()
        parameters = [model.maps.weight, model.maps.bias]
        gradients = torch.autograd.grad(loss, parameters)
        norms.append(math.sqrt(sum(gradient.square().sum().item() for gradient in gradients)))
        clipped = [gradient * min(1, 5 / (norms[-1] + 1e-6)) for gradient in gradients]
        losses.append(loss.item())
        adamw(parameters, clipped, moments, step + 1, rates[step], 0.05)
    assert min(norms) > 5
    assert_the_same(seen, model, losses, rates)

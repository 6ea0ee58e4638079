"""What a step and a batch of every network ask of a GPU, counted on fake tensors: no figure may rise."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from fake_cuda import FakeCuda, Trace, storage
from fer_core import registry
from fer_core.config import Component, resolve_config
from fer_core.config.schema import Optimizer, Scheduler
from fer_core.data import loader as loader_module
from fer_core.data.prepare import make_loader, prepare_data
from fer_core.data.table import make_fingerprint
from fer_core.data.transforms import RandAugment
from fer_core.data.transforms.rounds import Draw
from fer_core.engine import Engine
from fer_core.plugins import Entry, Plugin, load_plugins
from fer_core.training import guard, passes
from fer_core.training.loop import Loop
from fer_core.training.setup import build_setup
from fer_core.training.trainer import build_trainer
from fer_core.types import FERDataset, ModelSpec
from torch import nn

CALLS = {
    "adadf/rafdb": 410,
    "dan/affectnet": 460,
    "dan/rafdb": 460,
    "ddamfn/rafdb": 2580,
    "ddamfn_pp/rafdb": 5170,
    "gsdnet/rafdb": 820,
    "lnsu/rafdb": 1770,
    "mfer/rafdb": 1110,
    "poster/rafdb": 7600,
    "poster_pp/rafdb": 2120,
    "timm/default": 200,
}
"""Recipe -> calls of operators in a step, at most."""
RECORDED = 60
"""Calls of operators in a step that is recorded, at most, whatever the network."""
BATCHES = {
    "adadf/affectnet": 110,
    "adadf/rafdb": 110,
    "adadf/sfew": 180,
    "dan/affectnet": 40,
    "dan/rafdb": 50,
    "dan/sfew": 40,
    "ddamfn/affectnet": 40,
    "ddamfn/ferplus": 50,
    "ddamfn/rafdb": 50,
    "ddamfn_pp/affectnet": 40,
    "ddamfn_pp/rafdb": 50,
    "gsdnet/rafdb": 50,
    "lnsu/rafdb": 80,
    "mfer/rafdb": 10,
    "poster/affectnet": 30,
    "poster/rafdb": 30,
    "poster_pp/affectnet": 10,
    "poster_pp/caers": 10,
    "poster_pp/rafdb": 10,
    "timm/default": 40,
}
"""Recipe -> calls of operators for a training batch, at most, whatever its transforms draw."""
FAST = ("adadf/rafdb", "dan/rafdb", "poster_pp/rafdb", "timm/default")
"""Recipes whose steps have few calls; those of all take minutes."""
QUICK = ("adadf/rafdb", "dan/affectnet", "lnsu/rafdb", "poster/rafdb")
"""Recipes that have all transforms between them."""
PLUGIN = Plugin("tests", "fer-tests", "0")


class Noise(FERDataset):
    """Images of 100 x 100 pixels of noise, one of each class in the parts that are evaluated."""

    name = "noise"

    def __init__(self, root, *, classes, samples):
        self.classes = tuple(classes)
        parts = [samples, len(classes), len(classes)]
        label = np.arange(sum(parts)) % len(classes)
        ids = [f"noise-{row:04d}" for row in range(len(label))]
        part = np.repeat(["train", "val", "test"], parts)
        self.table = pd.DataFrame({"id": ids, "label": label, "split": part, "source": ids})

    def read(self, row):
        return np.random.default_rng(row).integers(0, 256, (100, 100, 3), dtype=np.uint8)

    def fingerprint(self):
        return make_fingerprint(self.table["id"], self.table["label"], self.table["id"])


class Inline:
    """Does at once what a thread would do."""

    def __init__(self, *given, **named):
        self.closed = False

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.closed = True

    def submit(self, work, *given):
        future = Future()
        future.set_result(work(*given))
        return future


@pytest.fixture
def gpu(monkeypatch, tmp_path):
    monkeypatch.setattr(loader_module, "ThreadPoolExecutor", Inline)
    monkeypatch.setattr(loader_module, "AHEAD", 0)
    monkeypatch.setattr(guard, "BEHIND", 2)
    monkeypatch.setenv("FER_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    yield FakeCuda()
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def configure(monkeypatch):
    """`configure(recipe, batch)`: the recipe, on noise, with `batch` images in a batch (None: its own)."""

    def make(recipe, batch=2, **sections):
        model, dataset = recipe.split("/")
        known = registry.find("datasets", "rafdb" if dataset == "default" else dataset)
        data = replace(known, name=dataset, factory=Noise, needs_root=False, expected_counts={})
        data = replace(data, splits={"train": "train", "val": "val", "test": "test"})
        config = resolve_config(registry.find("models", model), data).config
        size = batch or config.data.batch_size
        options = {"classes": list(known.classes), "samples": size * max(4, -(-len(known.classes) // size))}
        data = replace(data, options=options)
        entry = Entry(dataset, data, PLUGIN)
        monkeypatch.setitem(load_plugins().entries["datasets"], dataset, [entry])
        changes = {"batch_size": size, "pipeline": "batched", "split": "official", "options": options}
        changes |= {"classes": None, "sampler": Component(name="shuffle")}
        return config.model_copy(
            update={"data": config.data.model_copy(update=changes), "callbacks": []} | sections
        )

    return make


def three_steps(gpu, config, folder):
    """Traces of the second and the third step, and of their batches."""
    data = prepare_data(config)
    engine = Engine(gpu, "fp32", False, False, gpu.channels_last, gpu.scaler("fp32"))
    steps = []
    with gpu.pretending():
        setup = build_setup(config, data, engine)
        loop = Loop(build_trainer(setup), folder)
        batches = setup.train_loader.epoch(0)
        for _ in range(3):
            batch = engine.place(next(batches))
            with gpu.traced() as trace:
                loop.step(batch)
            trace.reads -= {storage(column) for column in batch.values()}
            steps.append(trace)
    return steps[1:]


def assert_captured(second: Trace, third: Trace) -> None:
    """A CUDA graph of the one step could be replayed as the other: no wait, the same work in the same memory."""
    assert (third.waits, third.uploads) == ([], 0)
    assert third.operators == second.operators
    assert third.reads == second.reads


@pytest.mark.parametrize(
    "recipe", [pytest.param(each, marks=() if each in FAST else pytest.mark.slow) for each in CALLS]
)
def test_a_step_of_every_network_waits_for_nothing_and_could_be_captured(gpu, configure, tmp_path, recipe):
    second, third = three_steps(gpu, configure(recipe), tmp_path)
    assert_captured(second, third)
    assert third.calls.total() <= CALLS[recipe], third.calls.most_common(20)


@pytest.mark.parametrize(
    "recipe", [pytest.param(each, marks=() if each in FAST else pytest.mark.slow) for each in CALLS]
)
def test_a_recorded_step_of_every_network_is_few_calls(gpu, configure, monkeypatch, tmp_path, recipe):
    """A replay, beside it the batch's copy, the sums of terms, the optimizer's work and the average of weights."""
    monkeypatch.setattr(passes, "WARM_UP", 0)
    config = configure(recipe)
    config = config.model_copy(update={"train": config.train.model_copy(update={"graph": True})})
    second, third = three_steps(gpu, config, tmp_path)
    assert_captured(second, third)
    assert third.calls["replay"] == (2 if config.optimizer.name == "sam" else 1)
    assert third.calls.total() <= RECORDED, third.calls.most_common(20)


class Small(nn.Module):
    """Few layers, so that what is counted is the work of the loop and of the optimizer."""

    def __init__(self, info):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3, 4), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.head = nn.Linear(4, info.num_classes)

    def forward(self, images):
        return {"logits": self.head(self.body(images).flatten(1))}


SMALL = ModelSpec(name="small", factory=Small, recipes={}, summary="", paper="", licence="", upstream="")
PLAIN = {"sgd": {"lr": 0.1, "momentum": 0.9, "nesterov": True}, "adam": {"lr": 1e-3}, "adamw": {"lr": 1e-3}}
OPTIMIZERS = [
    *({"name": name, **options} for name, options in PLAIN.items()),
    *({"name": "sam", "base": name, **options} for name, options in PLAIN.items()),
    {"name": "sam", "base": "sgd", "lr": 0.1, "adaptive": True},
    {"name": "adamw", "lr": 1e-3, "decay_vectors": False},
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda given: "-".join(map(str, given.values())))
@pytest.mark.parametrize(
    "train",
    [
        pytest.param({}, marks=pytest.mark.slow),
        {"clip_norm": 1.0, "ema": 0.99, "accumulate": 2},
        {"graph": True, "clip_norm": 1.0, "ema": 0.99, "accumulate": 2},
    ],
    ids=["plain", "all", "recorded"],
)
def test_a_step_of_every_optimizer_waits_for_nothing_and_could_be_captured(
    gpu, configure, tmp_path, monkeypatch, optimizer, train
):
    monkeypatch.setitem(load_plugins().entries["models"], "small", [Entry("small", SMALL, PLUGIN)])
    monkeypatch.setattr(passes, "WARM_UP", 0)
    config = configure("small/rafdb", 4)
    sections = {"optimizer": Optimizer(**optimizer), "train": config.train.model_copy(update=train)}
    sections["scheduler"] = Scheduler(name="cosine", per="step")
    assert_captured(*three_steps(gpu, config.model_copy(update=sections), tmp_path))


def dearest_draws(augment, rng, size):
    """Operations of which every step has all kinds, in so many orders that no draw calls more operators."""
    kinds = np.random.default_rng(0).choice(["rotate", "contrast", "equalize"], (augment.num_ops, len(rng)))
    styles = [augment.styles[0]] * len(rng)
    return [Draw(names, torch.zeros(len(rng)), styles) for names in kinds.tolist()]


@pytest.mark.parametrize(
    "recipe", [pytest.param(each, marks=() if each in QUICK else pytest.mark.slow) for each in BATCHES]
)
@pytest.mark.parametrize("free", [0, 1 << 40], ids=["copied", "held"])
def test_a_batch_of_every_recipe_waits_for_nothing_and_is_three_copies(gpu, configure, monkeypatch, recipe, free):
    config, gpu.free = configure(recipe, None), free
    data = prepare_data(config)
    monkeypatch.setattr(RandAugment, "draws", dearest_draws)
    with gpu.pretending():
        loader = make_loader(data, data.split.train, config, gpu, training=True)
        together, batches = loader.together, loader.epoch(0)
        for _ in range(together):
            next(batches)
        with gpu.traced() as trace:
            for _ in range(together):
                next(batches)
    assert (trace.waits, trace.uploads) == ([], 3)  # pixels or their rows, what was drawn, labels
    assert trace.calls.total() / together - bool(free) <= BATCHES[recipe], trace.calls.most_common(20)

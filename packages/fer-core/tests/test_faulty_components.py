"""Components with one fault each, in a training that would work without them.

Every one ends in one line that names component and distribution, and says what came back in the place of what.
Faults that show when plugins are loaded are in `test_faulty_plugins.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import fer_core
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from fer_core import registry
from fer_core.cli.main import main
from fer_core.components import build
from fer_core.data.transforms.base import Transform
from fer_core.faces import Detection
from fer_core.losses import CrossEntropy
from fer_core.plugins import Entry, Plugin, load_plugins, singular
from fer_core.returned import find_faces
from fer_core.training.callbacks import Callback
from fer_core.types import MetricSpec
from torch import nn

PLUGIN = Plugin("bad", "bad-plugin", "1.0")
OVERRIDES = {
    "losses": "loss=bad",
    "optimizers": "optimizer=bad",
    "schedulers": "scheduler={name: bad, per: step}",
    "samplers": "data.sampler=bad",
    "transforms": "data.train_transforms=[resize, bad, normalize]",
    "callbacks": "callbacks=[bad]",
    "trainers": "train.trainer=bad",
    "metrics": "metrics=[bad]",
}


class End(BaseException):
    """Neither an Exception nor an exit."""


def loss(change: Callable[[dict[str, Any], torch.Tensor], Any]) -> type:
    """A loss that returns what `change` makes of the terms of cross-entropy and of the labels."""

    class Loss(CrossEntropy):
        def from_output(self, output, batch, progress):
            return change(super().from_output(output, batch, progress), batch["label"])

    return Loss


def raising(error: BaseException) -> Callable[..., Any]:
    def function(self: Any = None, *given: Any, **named: Any) -> Any:
        raise error

    return function


def model(output: Callable[[torch.Tensor], Any]) -> type:
    """A model that returns what `output` makes of its logits."""

    class Model(nn.Module):
        def __init__(self, info):
            super().__init__()
            self.head = nn.Linear(3, info.num_classes)

        def forward(self, images):
            return output(self.head(images.mean((2, 3))))

    return Model


def optimizer(step: Callable[..., Any]) -> type:
    class Optimizer(torch.optim.SGD):
        def __init__(self, params):
            super().__init__(params, lr=0.01)

        def step(self, closure=None):
            return step(super().step, closure)

    return Optimizer


def sampler(order: Callable[[int, int], Any]) -> Callable[..., Any]:
    class Sampler:
        def __init__(self, labels, seed):
            self.count = len(labels)

        def order(self, epoch):
            return order(self.count, epoch)

    return Sampler


def transform(batch: Callable[[torch.Tensor], Any]) -> type:
    class Bad(Transform):
        def __init__(self, preprocessing): ...

        def batch(self, images, rng):
            return batch(images)

    return Bad


def callback(**methods: Callable[..., Any]) -> type:
    return type("Bad", (Callback,), methods)


class Shrinking(torch.optim.lr_scheduler.LRScheduler):
    def __init__(self, optimizer, *, total, per_epoch):
        super().__init__(optimizer)

    def get_lr(self):
        return [float("nan")]


def stopping(reason: Any) -> type:
    """A callback that sets `training.stop`."""
    return callback(on_evaluation=lambda self, training, row: setattr(training, "stop", reason))


def dataset(**changes: Any) -> Callable[..., Any]:
    """The dataset `bars` with other attributes or methods."""

    def make(root):
        bars = registry.factory("datasets", "bars")(root)
        changed = type("Bad", (type(bars),), {k: v for k, v in changes.items() if callable(v)})(root)
        for name, value in changes.items():
            if not callable(value):
                setattr(changed, name, value)
        return changed

    return make


MAPPING = "expected a mapping with a scalar tensor 'loss' that requires grad: correct or update bad-plugin"
OUTPUT = "expected a mapping with 'logits', float [16, 3]: correct or update bad-plugin"
FAULTS: dict[str, tuple[str, Any, str]] = {
    # --- losses
    "loss: a list": ("losses", loss(lambda terms, _: [terms]), f"the loss returned list, {MAPPING}"),
    "loss: nothing": ("losses", loss(lambda terms, _: None), f"the loss returned None, {MAPPING}"),
    "loss: no loss": (
        "losses",
        loss(lambda terms, _: {"total": terms["loss"]}),
        f"with the keys total, {MAPPING}",
    ),
    "loss: one for each": (
        "losses",
        loss(lambda terms, _: {"loss": terms["loss"].expand(16)}),
        f"the loss returned float32 [16] as 'loss', {MAPPING}",
    ),
    "loss: a number": (
        "losses",
        loss(lambda terms, _: {"loss": 1.0}),
        f"the loss returned 1.0 as 'loss', {MAPPING}",
    ),
    "loss: detached": (
        "losses",
        loss(lambda terms, _: {"loss": terms["loss"].detach()}),
        "a 'loss' without a gradi",
    ),
    "loss: odd term": ("losses", loss(lambda terms, _: terms | {"extra": "big"}), "returned 'big' as 'extra'"),
    "loss: odd logits": (
        "losses",
        loss(lambda terms, y: terms | {"logits": y[:2, None]}),
        "logits [2, 1], expected [16",
    ),
    "loss: nan": (
        "losses",
        loss(lambda terms, _: {"loss": terms["loss"] * float("nan")}),
        "the loss is nan at step 0",
    ),
    "loss: raises": (
        "losses",
        loss(raising(KeyError("votes"))),
        "KeyError: 'votes': a bug in loss 'bad' of bad-plugin",
    ),
    "loss: exits": ("losses", loss(raising(SystemExit(0))), "SystemExit: 0: a bug in loss 'bad'"),
    "loss: ends": ("losses", loss(raising(End("now"))), "End: now: a bug in loss 'bad' of bad-plugin 1.0"),
    "loss: a function": ("losses", lambda info: len, "expected a Loss: correct or update bad-plugin"),
    "loss: cannot be made": (
        "losses",
        raising(ValueError("no")),
        "ValueError: no: a bug in loss 'bad' of bad-plugin",
    ),
    "loss: not made for classes": ("losses", lambda: None, "its factory cannot be called with (info)"),
    # --- models
    "model: a tensor": ("models", model(lambda logits: logits), f"forward returned float32 [16, 3], {OUTPUT}"),
    "model: no logits": ("models", model(lambda logits: {"out": logits}), f"with the keys out, {OUTPUT}"),
    "model: classes": ("models", model(lambda logits: {"logits": logits[:, :2]}), f"float32 [16, 2], {OUTPUT}"),
    "model: faces": ("models", model(lambda logits: {"logits": logits[:3]}), f"float32 [3, 3], {OUTPUT}"),
    "model: integers": ("models", model(lambda logits: {"logits": logits.long()}), f"int64 [16, 3], {OUTPUT}"),
    "model: head": (
        "models",
        model(lambda logits: {"logits": logits, "head_age": [1]}),
        "forward returned list as head_age, expected float [16]: correct or update bad-plugin",
    ),
    "model: faces of a head": (
        "models",
        model(lambda logits: {"logits": logits, "head_age": logits[:3, 0]}),
        "forward returned float32 [3] as head_age, expected float [16]",
    ),
    "model: raises": (
        "models",
        model(raising(RuntimeError("shapes"))),
        "RuntimeError: shapes: a bug in model 'bad'",
    ),
    "model: nothing": ("models", lambda info: None, "returned None without forward, parameters"),
    # --- optimizers and schedules
    "optimizer: no result": ("optimizers", optimizer(lambda step, closure: None), "step(closure) returned None"),
    "optimizer: a number": (
        "optimizers",
        optimizer(lambda step, closure: 0.5),
        "step(closure) returned 0.5, expected",
    ),
    "optimizer: raises": (
        "optimizers",
        optimizer(raising(OSError("gone"))),
        "OSError: gone: a bug in optimizer 'bad'",
    ),
    "optimizer: a class": (
        "optimizers",
        lambda params: torch.optim.SGD,
        "returned a class, expected a torch.optim.Opt",
    ),
    "schedule: nan": ("schedulers", Shrinking, "step returned the learning rate nan, expected a finite number"),
    "schedule: nothing": ("schedulers", lambda optimizer, *, total, per_epoch: None, "expected an LRScheduler"),
    # --- samplers
    "sampler: a list": (
        "samplers",
        sampler(lambda n, epoch: list(range(n))),
        "order returned list, expected whole num",
    ),
    "sampler: fractions": (
        "samplers",
        sampler(lambda n, epoch: np.arange(n) / 1),
        "order returned float64 [54], expec",
    ),
    "sampler: empty": ("samplers", sampler(lambda n, epoch: np.arange(0)), "order returned int64 [0], expected"),
    "sampler: outside": (
        "samplers",
        sampler(lambda n, epoch: np.arange(n) + 1),
        "positions from 1 to 54, expected",
    ),
    "sampler: another size": (
        "samplers",
        sampler(lambda n, e: np.arange(n - e)),
        "as many as for the first epoch",
    ),
    # --- transforms
    "transform: nothing": (
        "transforms",
        transform(lambda images: None),
        "batch returned None, expected float32 or u",
    ),
    "transform: fewer": (
        "transforms",
        transform(lambda images: images[1:]),
        "batch returned float32 [15, 3, 16, 16]",
    ),
    "transform: type": (
        "transforms",
        transform(lambda images: images.double()),
        "batch returned float64 [16, 3, 16",
    ),
    "transform: raises": (
        "transforms",
        transform(raising(TypeError("no"))),
        "TypeError: no: a bug in transform 'bad'",
    ),
    # --- callbacks and trainers
    "callback: nothing": ("callbacks", lambda: None, "returned None without on_start, on_step"),
    "callback: raises": ("callbacks", callback(on_step=raising(ValueError("x"))), "ValueError: x: a bug in"),
    "callback: state": (
        "callbacks",
        callback(state_dict=lambda self: {"at": {1}}),
        "state_dict returned {'at': {1}}, expected a dict",
    ),
    "callback: stops by a number": (
        "callbacks",
        stopping(5),
        "on_evaluation returned 5 as training.stop, expected a reason in one line of text",
    ),
    "callback: stops in two lines": ("callbacks", stopping("a\nb"), "as training.stop, expected a reason in one"),
    "trainer: nothing": (
        "trainers",
        lambda setup: 5,
        "returned 5 without training_step, make_optimizers, add_module, extra_loaders, product_model, "
        "expected a Trainer",
    ),
    # --- metrics
    "metric: nan": ("metrics", lambda labels, scores: np.nan, "the function returned nan for the label, expected"),
    "metric: text": ("metrics", lambda labels, scores: "0.5", "returned '0.5' for the label, expected a finite"),
    "metric: each": ("metrics", lambda labels, scores: labels == 0, "returned bool [18] for the label, expected"),
    "metric: yes": ("metrics", lambda labels, scores: True, "returned True for the label, expected a finite"),
    "metric: raises": (
        "metrics",
        raising(ZeroDivisionError("no faces")),
        "failed on the label (ZeroDivisionError: no faces): correct the plugin",
    ),
    "metric: exits": ("metrics", raising(SystemExit(1)), "failed on the label (SystemExit: 1): correct the plu"),
    "metric: no function": ("metrics", "json:__name__", "failed on the label (TypeError: 'str' object is not c"),
    # --- datasets
    "dataset: table": ("datasets", dataset(table=[1, 2]), "a table that is list, expected a pandas DataFrame"),
    "dataset: pixels": (
        "datasets",
        dataset(read=lambda self, row: [[0]]),
        "read(0) returned list, expected an array uint8",
    ),
    "dataset: fingerprint": (
        "datasets",
        dataset(fingerprint=lambda self: "abc"),
        "fingerprint returned 'abc', expected a",
    ),
    "dataset: raises": (
        "datasets",
        dataset(read=raising(LookupError("lost"))),
        "LookupError: lost: a bug in dataset",
    ),
}


@pytest.fixture
def put(tiny, monkeypatch) -> Iterator[Callable[[str, Any], None]]:
    """`put(kind, factory)`: the name `bad` of `bad-plugin`."""
    entries = load_plugins().entries

    def add(kind: str, factory: Any) -> None:
        own = {"models": "tiny", "datasets": "bars"}.get(kind)
        value = (
            replace(registry.find(kind, own), name="bad", factory=factory, options={})
            if kind == "datasets"
            else (replace(registry.find(kind, own), name="bad", factory=factory) if own else factory)
        )
        if kind == "metrics":
            value = MetricSpec(name="bad", measures="classes", function=factory)
        monkeypatch.setitem(entries[kind], "bad", [Entry("bad", value, PLUGIN)])

    return add


def train(*overrides: str, model: str = "tiny", dataset: str = "bars") -> Any:
    quick = ["data.input_size=16", "data.batch_size=16", "train.epochs=2", "callbacks=[]", "train.precision=fp32"]
    quick += ["data.train_transforms=[resize, normalize]", "run.dir=run", *overrides]
    words = [word for override in quick for word in ("-o", override)]
    return CliRunner().invoke(main, ["train", model, dataset, *words])


@pytest.mark.parametrize("name", FAULTS)
def test_the_fault_is_told_in_one_line(put, name):
    kind, factory, expected = FAULTS[name]
    put(kind, factory)
    done = train(OVERRIDES[kind]) if kind in OVERRIDES else train(**{singular(kind): "bad"})
    assert done.exit_code in (2, 70)
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert expected in line
    assert f"{singular(kind)} 'bad' of bad-plugin 1.0" in line


def test_a_component_of_a_worker_process_is_named(put):
    put("transforms", transform(raising(SystemExit(1))))
    done = train(OVERRIDES["transforms"], "data.pipeline=per-image", "data.workers=1")
    assert (
        "Error: transform 'bad' of bad-plugin 1.0 raised SystemExit: 1: correct or update bad-plugin"
        in done.stderr
    )


def test_a_reason_between_evaluations_ends_the_run_at_the_next_one(put, tiny):
    put("callbacks", callback(on_step=lambda self, training: setattr(training, "stop", "enough")))
    done = train(OVERRIDES["callbacks"], "train.save_every=1")
    assert done.exit_code == 0, done.stderr
    assert "stopped: enough" in done.stderr
    assert len((tiny / "run" / "metrics.jsonl").read_text().splitlines()) == 1


BOX = (0.0, 0.0, 4.0, 5.0)
DETECTED: dict[str, tuple[Callable[[int], Any], str]] = {
    "an array": (lambda n: np.zeros((n, 4)), "detect returned float64 [2, 4], expected 2 lists of Detection"),
    "arrays": (lambda n: [np.zeros((1, 4))] * n, "detect returned list, expected 2 lists of Detection"),
    "for one image": (lambda n: [[Detection(box=BOX, score=1)]], "detect returned 1 lists, expected 2 lists"),
    "boxes": (lambda n: [[BOX]] * n, "detect returned tuple as a face, expected 2 lists of Detection"),
    "out of order": (
        lambda n: [[Detection(box=BOX, score=0.25), Detection(box=BOX, score=0.75)]] * n,
        "detect returned scores [0.25, 0.75], expected 2 lists of Detection, the highest score first",
    ),
}


@pytest.mark.parametrize("name", DETECTED)
def test_what_a_detector_returns_is_checked(put, name):
    found, expected = DETECTED[name]
    put("detectors", lambda: type("Bad", (), {"detect": lambda self, images: found(len(images))})())
    with pytest.raises(fer_core.FerError) as caught:
        find_faces(build("detectors", "bad", {}), [np.zeros((9, 9, 3), np.uint8)] * 2)
    assert f"detector 'bad' of bad-plugin 1.0: {expected}" in str(caught.value)


def test_an_inference_form_with_other_logits_is_refused(put, tiny):
    put("models", model(lambda logits: {"logits": logits}))
    done = train(model="bad")
    assert done.exit_code == 0, done.stderr
    entries = load_plugins().entries["models"]["bad"]
    twice = replace(entries[0].value, inference=lambda module: Twice(module))
    entries[0] = Entry("bad", twice, PLUGIN)
    with pytest.raises(
        fer_core.FerError, match=r"model 'bad' of bad-plugin 1.0: the inference form returned logits t"
    ):
        fer_core.Predictor("run/best.safetensors", device="cpu")


class Twice(nn.Module):
    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, images):
        return {"logits": 2 * self.module(images)["logits"] + 1}


def test_a_program_finds_the_component_in_the_notes_of_the_exception(put, quick):
    put("losses", loss(raising(KeyError("votes"))))
    with pytest.raises(KeyError) as found:
        fer_core.train("tiny", "bars", loss={"name": "bad"}, data={"input_size": 16})
    assert found.value.__notes__ == ["raised by loss 'bad' of bad-plugin 1.0"]

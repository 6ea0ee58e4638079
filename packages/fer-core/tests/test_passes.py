"""Passes that a device records and replays train as those that are computed each time."""

from __future__ import annotations

import fer_core
import pytest
import torch
from fer_core.engine.devices import Device
from fer_core.plugin import Loss, Trainer
from fer_core.plugins import Entry, Plugin, load_plugins
from fer_core.training import passes
from safetensors.torch import load_file
from torch.nn import functional as F

PLUGIN = Plugin("tests", "fer-tests", "0")


class Recorder(Device):
    """Does again what was recorded, in the memory where it was: what a CUDA graph does."""

    torch_name = "cpu"
    on_host = True
    records = True
    recorded = 0

    def record(self, work):
        type(self).recorded += 1
        parameters = list(self.task.parameters())
        begins = all(parameter.grad is None for parameter in parameters)
        done = work()
        first = True

        def replay():
            nonlocal first
            if first:  # a graph is only recorded, and this has done the work
                first = False
                return
            places = [parameter.grad for parameter in parameters]
            if begins:
                for parameter in parameters:
                    parameter.grad = None
            for name, value in work().items():
                done[name].copy_(value)
            for parameter, place in zip(parameters, places, strict=True):
                if place is not None:
                    place.copy_(parameter.grad)
                parameter.grad = place

        return replay, done


class Drifting(Loss):
    """Cross-entropy with a term of the epoch, and buffers: one is written each step, one replaced each epoch."""

    def __init__(self, info):
        super().__init__()
        self.register_buffer("prior", torch.zeros(info.num_classes))
        self.register_buffer("scale", torch.ones(()))

    def from_output(self, output, batch, progress):
        logits = output["logits"] * self.scale
        mean = logits.softmax(1).mean(0)
        self.prior.lerp_(mean.detach(), 0.1)
        even = (progress.epoch + 1) * ((mean - self.prior) ** 2).sum()
        return {"loss": F.cross_entropy(logits, batch["label"]) + even, "even": even, "logits": logits}

    def after_epoch(self, scan, progress):
        self.scale = self.scale * 1.1


class Replacing(Drifting):
    def from_output(self, output, batch, progress):
        self.scale = self.scale * 0.99
        return super().from_output(output, batch, progress)


@pytest.fixture
def quick(tiny, monkeypatch):
    """Three epochs of three batches and an odd one, on a device that records."""
    entries, made = load_plugins().entries, passes.Recorded.__init__

    def known(recorded, device, task, *given):
        device.task = task
        made(recorded, device, task, *given)

    monkeypatch.setattr(passes.Recorded, "__init__", known)
    monkeypatch.setattr(Recorder, "recorded", 0)
    monkeypatch.setitem(entries["devices"], "recorder", [Entry("recorder", Recorder, PLUGIN)])
    for name, loss in (("drifting", Drifting), ("replacing", Replacing)):
        monkeypatch.setitem(entries["losses"], name, [Entry(name, loss, PLUGIN)])
    return {
        "data": {"batch_size": 16, "input_size": 16, "options": {"samples": 90}},
        "loss": {"name": "drifting"},
        "optimizer": {"name": "sgd", "lr": 0.1},
    }


def run(sections, **train):
    train = {"epochs": 3, "precision": "fp32", "select": "last", "deterministic": True, **train}
    return fer_core.train("tiny", "bars", device="recorder", **{**sections, "train": train})


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("base", [{}, {"name": "sam", "base": "sgd", "rho": 0.1}])
def test_a_recorded_run_ends_with_the_bytes_of_one_that_is_not(quick, base, accumulate):
    quick["optimizer"] |= base
    plain = run(quick, accumulate=accumulate, clip_norm=1.0)
    assert Recorder.recorded == 0
    recorded = run(quick, accumulate=accumulate, clip_norm=1.0, graph=True)
    assert Recorder.recorded == accumulate * (3 if base else 2)  # once an epoch after the warm-up
    files = [load_file(each.folder / "last.safetensors") for each in (plain, recorded)]
    assert all(value.equal(files[1][name]) for name, value in files[0].items())
    assert (plain.folder / "metrics.jsonl").read_text() == (recorded.folder / "metrics.jsonl").read_text()


class Further(Trainer):
    """A term of further images, of which a trainer has fewer in some steps."""

    def training_step(self, batch, progress):
        losses = super().training_step(batch, progress)
        further = self.model(batch["more_image"])["logits"].square().mean()
        return losses | {"loss": losses["loss"] + 0.1 * further, "further": further}

    def extra_loaders(self):
        return {"more": self.make_loader(self.unlabelled, batch_size=12)}


@pytest.mark.parametrize("accumulate", [1, 3])
def test_a_batch_of_other_shapes_is_computed_as_usual(quick, monkeypatch, accumulate):
    monkeypatch.setitem(load_plugins().entries["trainers"], "further", [Entry("further", Further, PLUGIN)])
    quick["data"] |= {"fraction": 0.6, "batch_size": 8, "options": {"samples": 150}}
    options = {"trainer": {"name": "further"}, "accumulate": accumulate, "epochs": 2}
    plain, recorded = (run(quick, **options, graph=graph) for graph in (False, True))
    assert Recorder.recorded
    files = [load_file(each.folder / "last.safetensors") for each in (plain, recorded)]
    assert all(value.equal(files[1][name]) for name, value in files[0].items())


def test_a_loss_that_replaces_a_buffer_in_every_step_is_refused(quick):
    quick["loss"] = {"name": "replacing"}
    with pytest.raises(fer_core.FerError, match=r"^train.graph: every step replaces the buffer loss.scale, but"):
        run(quick, graph=True)


def test_a_pass_that_cannot_be_recorded_is_one_line(quick, monkeypatch):
    def fails(device, work):
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nand more")

    monkeypatch.setattr(Recorder, "record", fails)
    with pytest.raises(
        fer_core.FerError, match=r"^train.graph: the pass cannot be recorded .*not permitted"
    ) as told:
        run(quick, graph=True)
    assert "\n" not in str(told.value)


def test_passes_are_recorded_by_devices_that_can(quick, monkeypatch):
    with pytest.raises(fer_core.FerError, match=r"^train.graph and train.compile=reduce-overhead both record"):
        run(quick, graph=True, compile="reduce-overhead")
    monkeypatch.setattr(Recorder, "records", False)
    with pytest.raises(
        fer_core.FerError, match=r"^train.graph is asked for on recorder, which cannot record work"
    ):
        run(quick, graph=True)

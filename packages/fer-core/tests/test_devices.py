"""Devices of plugins: what they decide, how they are chosen, and runs that are resumed on them."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from pathlib import Path

import fer_core
import numpy as np
import pytest
import torch
from fer_core import FerError, api, distributed
from fer_core.data.loader import Loader
from fer_core.data.transforms import build_pipeline
from fer_core.engine import Device, Engine, choose
from fer_core.engine.devices import Cpu, Cuda
from fer_core.plugins import Entry, Plugin, load_plugins
from fer_core.testing import make_preprocessing

PRODUCTS = ("best.safetensors", "last.safetensors", "result.json", "predictions-test.csv", "metrics.jsonl")
HOME = Plugin("alias", "fer-device-alias", "1.2")


class Killed(BaseException):
    """Stands for a SIGKILL."""


class Alias(Device):
    """The CPU under another name, with a rule of its own for autocast."""

    torch_name = "cpu"
    on_host = True
    deterministic = True
    calls = 0
    killed_at = -1
    absent: str | None = None

    def missing(self) -> str | None:
        return self.absent

    def autocast(self, precision):
        Alias.calls += 1
        if Alias.calls == Alias.killed_at:
            raise Killed
        return torch.autocast("cpu", dtype=torch.bfloat16)  # in every precision


@pytest.fixture
def alias(monkeypatch):
    """`alias` is the name of a device that a plugin brings."""
    monkeypatch.setitem(load_plugins().entries["devices"], "alias", [Entry("alias", Alias, HOME)])
    for name, value in {"calls": 0, "killed_at": -1, "absent": None}.items():
        monkeypatch.setattr(Alias, name, value)


def products(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in PRODUCTS}


@pytest.fixture
def interrupted(tiny, quick, alias, monkeypatch) -> Path:
    """A run on `alias` that was killed in its third epoch."""
    quick["train"]["precision"] = "fp32"
    monkeypatch.setattr(Alias, "killed_at", 14)
    with pytest.raises(Killed):
        fer_core.train("tiny", "bars", device="alias", **quick, run={"dir": "runs/killed"})
    return Path("runs/killed")


def test_a_run_is_resumed_on_the_device_of_a_plugin_to_the_same_bytes(interrupted, quick, lines) -> None:
    assert json.loads((interrupted / "env.json").read_text())["device"] == "alias"
    lines.clear()
    resumed = api.resume(interrupted).folder
    assert any("resumed after 2 epochs" in line for line in lines)
    assert not any("bit-identical" in line for line in lines)
    whole = fer_core.train("tiny", "bars", device="Alias", **quick, run={"dir": "runs/whole"}).folder
    assert products(resumed) == products(whole)
    cpu = fer_core.train("tiny", "bars", device="cpu", **quick, run={"dir": "runs/cpu"}).folder
    assert products(cpu)["last.safetensors"] != products(whole)["last.safetensors"]


@pytest.mark.parametrize("gone", ["plugin", "hardware"])
def test_a_run_whose_device_is_missing_takes_no_other_one(interrupted, monkeypatch, lines, gone: str) -> None:
    if gone == "plugin":
        monkeypatch.delitem(load_plugins().entries["devices"], "alias")
    else:
        monkeypatch.setattr(Alias, "absent", "nobody is at home")
    with pytest.raises(FerError) as raised:
        api.resume(interrupted)
    text = str(raised.value)
    assert text.startswith(
        "runs/killed/env.json: the run was trained on device alias, which cannot be used here ("
    )
    assert {"plugin": "comes with fer-device-alias", "hardware": "nobody is at home"}[gone] in text
    assert "or choose another with --device" in text
    assert "\n" not in text
    lines.clear()
    api.resume(interrupted, device="cpu")
    assert "warning  device was alias, is cpu: results will not be bit-identical" in lines


def test_the_weights_of_a_run_do_not_depend_on_where_it_ran(tiny, quick, alias) -> None:
    run = fer_core.train("tiny", "bars", device="alias", **quick, run={"dir": "runs/a"})
    components = json.loads((run.folder / "env.json").read_text())["components"]
    assert {"kind": "devices", "name": "alias", "distribution": HOME.distribution, "version": "1.2"} in components
    assert all(of.kind != "devices" for of in run.result.components)


def test_auto_takes_the_available_device_with_the_highest_priority(alias, monkeypatch, lines) -> None:
    monkeypatch.setattr(Cuda, "missing", lambda self: "no driver")
    assert str(choose.choose_device("auto")) != "alias"  # without a priority only by its name
    monkeypatch.setattr(Alias, "priority", 99)
    assert str(choose.choose_device("auto")) == "alias"
    monkeypatch.setattr(Alias, "absent", "nobody is at home")
    assert str(choose.choose_device("auto")) != "alias"
    broken = Entry("broken", "no_such_module:device", HOME)
    monkeypatch.setitem(load_plugins().entries["devices"], "broken", [broken])
    choose.choose_device("auto")
    (line,) = lines
    assert line.startswith("warning  --device auto leaves a device out: device 'broken' of fer-device-alias 1.2")


@pytest.mark.parametrize("value", [Cpu(), "torch.nn:Module", 3])
def test_what_is_no_device_is_told_with_its_distribution(monkeypatch, value) -> None:
    monkeypatch.setitem(load_plugins().entries["devices"], "odd", [Entry("odd", value, HOME)])
    with pytest.raises(FerError, match=r"^device 'odd' of fer-device-alias 1\.2 is .*a subclass of .*Device"):
        Engine.start("odd")


def test_a_broken_driver_is_one_line(alias, monkeypatch) -> None:
    def fail(self):
        raise OSError("libdriver.so is missing")

    monkeypatch.setattr(Alias, "missing", fail)
    with pytest.raises(FerError, match=r"device alias is not available: OSError: libdriver\.so is missing"):
        Engine.start("alias")


def test_a_device_decides_precision_determinism_and_backend(alias, monkeypatch) -> None:
    started = []
    monkeypatch.setattr(distributed, "start", started.append)
    monkeypatch.setattr(Alias, "native_precisions", lambda self: ("fp16", "fp32"))
    monkeypatch.setattr(Alias, "deterministic", False)
    monkeypatch.setattr(Alias, "backend", "cpu:gloo,cpu:own")
    engine = Engine.start("alias")
    assert (engine.precision, engine.deterministic, started) == ("fp16", False, ["cpu:gloo,cpu:own"])
    assert engine.scaler.is_enabled()
    monkeypatch.setattr(Alias, "precisions", ("fp32", "bf16"))
    with pytest.raises(FerError, match="precision fp16 is not supported on alias: use fp32 or bf16"):
        Engine.start("alias", "fp16")


def test_each_process_takes_a_device_of_its_own_and_records_the_kind(alias, monkeypatch) -> None:
    chosen = []
    monkeypatch.setattr(Alias, "on_host", False)
    monkeypatch.setattr(Alias, "count", lambda self: 2)
    monkeypatch.setattr(Alias, "select", lambda self: chosen.append(self.index))
    monkeypatch.setattr(distributed, "start", lambda backend: None)
    assert str(Engine.start("alias:1").describe().device) == "alias:1"
    with pytest.raises(FerError, match="alias has indices 0 to 1"):
        Engine.start("alias:2")
    monkeypatch.setattr(distributed, "size", lambda: 2)
    for name, value in {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    engine = Engine.start("alias")
    assert (str(engine.device), engine.describe().device, chosen) == ("alias:1", "alias", [1, 1])
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(FerError, match=r"more processes than this machine has devices of alias \(2\)"):
        Engine.start("alias")


class Queued(Device):
    """Notes in which order a loader uses its stream."""

    torch_name = "cpu"

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[object] = []
        self.inside = False

    def stream(self) -> str:
        return "side"

    @contextmanager
    def within(self, stream):
        assert threading.current_thread().name.startswith("fer-loader")
        self.inside = True
        yield
        self.inside = False

    def place(self, tensor):
        assert self.inside
        return super().place(tensor)

    def event(self) -> int:
        assert self.inside
        self.notes.append("event")
        return self.notes.count("event")

    def wait(self, event, tensors) -> None:
        assert threading.current_thread() is threading.main_thread()
        self.notes.append((event, len(list(tensors))))


class Memory:
    """Ten images."""

    def __len__(self) -> int:
        return 10

    def images(self, rows):
        return np.stack([np.full((8, 8, 3), row, dtype=np.uint8) for row in rows])

    def whole(self):
        """They lie in no one array."""


def test_batches_are_made_in_a_stream_that_each_use_waits_for() -> None:
    def load(device: Device) -> list[dict[str, torch.Tensor]]:
        pipeline = build_pipeline(make_preprocessing(8), ["resize", "normalize"])
        labels, rows = np.zeros(10, dtype=np.int64), np.arange(10)
        options = {"batch_size": 2, "sampler": None, "seed": 0, "workers": 0, "device": device}
        return list(Loader(Memory(), rows, labels, pipeline=pipeline, **options).epoch(0))

    queued = Queued()
    here, there = load(Cpu()), load(queued)
    assert [note for note in queued.notes if note != "event"] == [(number, 3) for number in range(1, 6)]
    assert queued.notes.index("event") == 0
    for mine, other in zip(here, there, strict=True):
        assert all(torch.equal(mine[key], other[key]) for key in mine)


def test_bf16_is_native_to_gpus_from_ampere_on(monkeypatch) -> None:
    found = {}
    for generation in (7, 8):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda generation=generation: (generation, 0))
        found[generation] = Cuda().native_precisions()[0]
    assert found == {7: "fp16", 8: "bf16"}


def test_only_devices_that_can_synchronise_batch_norm_do(alias) -> None:
    with pytest.raises(FerError, match=r"train\.sync_batch_norm is asked for on alias"):
        Engine.start("alias").wrap(torch.nn.Linear(2, 2), sync_batch_norm=True)


def test_tensors_are_placed_by_one_copy_and_keep_shape_type_and_bytes() -> None:
    class Beside(Device):
        torch_name = "cpu"
        copies = 0

        def place(self, tensor):
            self.copies += 1
            return super().place(tensor)

    device = Beside()
    given = [
        torch.arange(3),
        torch.zeros(0, 2),
        torch.tensor([[True, False, True]]),
        torch.rand(4, 5, dtype=torch.float64)[:, 1:3],
        torch.tensor(2.5),
    ]
    for there, tensor in zip(device.place_all(given), given, strict=True):
        assert there.dtype == tensor.dtype
        assert torch.equal(there, tensor)
    assert device.copies == 1
    assert device.place_all([]) == []
    assert all(a is b for a, b in zip(Cpu().place_all(given), given, strict=True))

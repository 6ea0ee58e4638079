"""What breaks a run for real: signals, kills, folders that turn read-only, losses that are no number, overflow."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import random
import signal
import subprocess
import sys
import time
from importlib.metadata import entry_points
from pathlib import Path

import fer_core
import numpy as np
import pytest
import torch
from fer_core.engine import Device
from fer_core.plugin import Loss
from fer_core.plugins import Entry, Plugin, load_plugins
from fer_core.runs.state import read_state
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy

PLUGIN = """
import time
import numpy as np
import pandas as pd
import torch
from fer_core.data.table import make_fingerprint
from fer_core.training.loop import Loop
from fer_core.types import FERDataset
from torch import nn

CLASSES = ("happiness", "sadness", "neutral")

class Net(nn.Module):
    def __init__(self, info):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.1))
        self.head = nn.Linear(8 * 49, len(info.classes))

    def forward(self, images):
        return {"logits": self.head(self.body(images).flatten(1))}

class Bars(FERDataset):
    name, classes = "bars", CLASSES

    def __init__(self, root, *, samples=96, pause=0.0):
        label = np.arange(samples) % 3
        part = np.repeat(["train", "val", "test"], [samples - 2 * (samples // 4), samples // 4, samples // 4])
        ids = [f"bar-{i:04d}" for i in range(samples)]
        self.table = pd.DataFrame({"id": ids, "label": label, "split": part, "source": ids})
        self.pause = pause

    def read(self, row):
        time.sleep(self.pause)
        image = np.random.default_rng(row).integers(0, 200, (16, 16, 3), dtype=np.uint8)
        at = 1 + 5 * int(self.table["label"].iloc[row])
        image[at : at + 4] += 50
        return image

    def fingerprint(self):
        return make_fingerprint(self.table["id"], self.table["label"], self.table["id"])

evaluate = Loop._evaluate

def marking(self):
    mark = self.folder.parent / "evaluating"
    mark.touch()
    evaluate(self)
    mark.unlink()

Loop._evaluate = marking

@hookimpl
def fer_models():
    return [ModelSpec(name="net", factory=Net, recipes={}, summary="", paper="", licence="", upstream="")]

@hookimpl
def fer_datasets():
    return [DatasetSpec(name="bars", factory=Bars, classes=CLASSES, layouts={}, expected_counts={}, summary="",
        splits={"train": "train", "val": "val", "test": "test"}, licence="", homepage="",
        options={"samples": 96, "pause": 0.0}, needs_root=False)]
"""
TRAIN = ["train", "net", "bars", "--device", "cpu", "-o", "callbacks=[]", "-o", "data.input_size=16"]
TRAIN += ["-o", "data.batch_size=8", "-o", "optimizer={name: adamw, lr: 0.01}", "-o", "train.save_every=1"]
LONG = ["-o", "train.epochs=2000", "-o", "run.dir=run"]
PER_IMAGE = ["-o", "data.pipeline=per-image", "-o", "data.workers=1"]
PRODUCTS = ("best.safetensors", "last.safetensors", "result.json", "predictions-test.csv", "metrics.jsonl")
PR_CAPBSET_DROP, CAP_DAC_OVERRIDE = 24, 1


@pytest.fixture
def environment(site, tmp_path) -> dict[str, str]:
    """Of processes that see the plugin above and no other."""
    site.install("net-plugin", PLUGIN)
    own = {dist.name for dist in site.distributions()}
    others = {point.dist.name for point in entry_points(group="fer_core")} - own
    cache = str(tmp_path / "cache")
    paths = {"PYTHONPATH": str(site.root), "FER_DISABLE_PLUGINS": ",".join(others), "FER_CACHE": cache}
    return {**os.environ, **paths, "OMP_NUM_THREADS": "1"}


@pytest.fixture
def launch(environment, tmp_path):
    """`launch(*arguments)` starts `fer-run` in a process group of its own, under the rules of file permissions."""

    def obey() -> None:
        # The superuser writes where nobody may, unless this capability is taken away.
        ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0)

    def start(*arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "fer_core", *arguments],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=obey if sys.platform == "linux" else None,
        )

    return start


def end(process: subprocess.Popen[str]) -> str:
    text, _ = process.communicate(timeout=300)
    assert "Traceback" not in text, text
    return text


@pytest.mark.parametrize("pipeline", [[], PER_IMAGE], ids=["batched", "per-image"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_a_signal_to_the_whole_group_saves_and_says_how_to_go_on(
    launch, wait_for, shorten, tmp_path, number, pipeline
) -> None:
    """A terminal and a scheduler signal every process, those that read images among them."""
    process = launch(*TRAIN, *LONG, *pipeline)
    wait_for((tmp_path / "run/last.state.pt").exists, process)
    os.killpg(process.pid, number)
    text = end(process)
    assert process.returncode == 128 + number, text
    assert "fer-run train --resume run" in text
    shorten(tmp_path / "run")
    again = launch("train", "--resume", "run")
    assert "written " in end(again)


@pytest.mark.skipif(sys.platform != "linux", reason="finds the worker in /proc")
def test_a_killed_worker_is_named_and_the_run_goes_on(launch, wait_for, shorten, tmp_path) -> None:
    process = launch(*TRAIN, *LONG, *PER_IMAGE)
    wait_for((tmp_path / "run/last.state.pt").exists, process)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGKILL)
    text = end(process)
    assert process.returncode == 2, text
    assert "a worker process that reads images was killed" in text
    assert "--resume run" in text
    shorten(tmp_path / "run")
    assert "written " in end(launch("train", "--resume", "run"))


@pytest.mark.skipif(sys.platform != "linux", reason="takes a capability away")
def test_a_folder_that_turns_read_only_is_told_and_keeps_its_state(launch, wait_for, shorten, tmp_path) -> None:
    process = launch(*TRAIN, *LONG)
    folder, state = tmp_path / "run", tmp_path / "run/last.state.pt"
    wait_for(state.exists, process)
    folder.chmod(0o555)
    try:
        text = end(process)
    finally:
        folder.chmod(0o755)
    assert process.returncode == 2, text
    assert "Permission denied" in text
    assert "an earlier file is untouched" in text
    assert read_state(state).envelope.position.step > 0
    shorten(folder)
    assert "written " in end(launch("train", "--resume", "run"))


class Logarithm(Loss):
    """Takes the logarithm of a negative number in one step, and scales the loss."""

    def __init__(self, info, *, at: int = -1, factor: float = 1.0) -> None:
        super().__init__()
        self.at, self.factor = at, factor

    def forward(self, model, batch, progress):
        output = model(batch["image"])
        loss = cross_entropy(output["logits"].float(), batch["label"]) * self.factor
        if progress.step == self.at:
            loss = loss + (output["logits"].mean().abs() - 1e6).log()
        return {"loss": loss, "logits": output["logits"]}


@pytest.fixture
def breaking(tiny, quick, monkeypatch):
    """Overrides for a run of the tiny model with the loss above."""
    losses = load_plugins().entries["losses"]
    monkeypatch.setitem(losses, "log", [Entry("log", Logarithm, Plugin("tests", "fer-tests", "0"))])
    return {**quick, "run": {"dir": "run"}, "loss": {"name": "log", "at": 6}}


def test_a_loss_that_is_no_number_ends_the_run_with_its_faces_named(breaking) -> None:
    with pytest.raises(fer_core.FerError, match=r"the loss is nan at step 6, .*nonfinite\.json"):
        fer_core.train("tiny", "bars", device="cpu", **breaking)
    found = json.loads(Path("run/nonfinite.json").read_text())
    assert (found["step"], found["loss"], len(found["ids"])) == (6, "nan", 16)
    state = read_state(Path("run/last.state.pt"))
    assert state.envelope.position.step <= 6
    assert all(value.isfinite().all() for value in state.task.values())


class Queue(Device):
    """A device beside the host that computes as it does, so that losses are looked at some steps late."""

    torch_name = "cpu"


@pytest.mark.parametrize("every", [1, 3, "epoch"])
def test_a_loss_that_is_looked_at_late_reaches_no_file(breaking, monkeypatch, every) -> None:
    plugin = Plugin("tests", "fer-tests", "0")
    monkeypatch.setitem(load_plugins().entries["devices"], "queue", [Entry("queue", Queue, plugin)])
    breaking["train"] = {"epochs": 4, "save_every": every, "eval_every": every, "ema": 0.5}
    with pytest.raises(fer_core.FerError, match="the loss is nan at step 6, "):
        fer_core.train("tiny", "bars", device="queue", **breaking)
    assert json.loads(Path("run/nonfinite.json").read_text())["step"] == 6
    state = read_state(Path("run/last.state.pt"))
    assert state.envelope.position.step == {1: 6, 3: 6, "epoch": 4}[every]
    saved = [*state.task.values(), *state.ema["average"].values(), *state.sums.values()]
    saved += load_file("run/best.safetensors").values()
    assert all(value.isfinite().all() for value in saved)


class Remark(Loss):
    """Cross-entropy with a term for the log that is never a number."""

    def __init__(self, info) -> None:
        super().__init__()

    def from_output(self, output, batch, progress):
        loss = torch.nn.functional.cross_entropy(output["logits"], batch["label"])
        return {"loss": loss, "remark": torch.full_like(loss, torch.nan), "logits": output["logits"]}


def test_a_term_that_is_no_number_is_left_out_and_said(tiny, quick, monkeypatch, lines) -> None:
    losses = load_plugins().entries["losses"]
    monkeypatch.setitem(losses, "remark", [Entry("remark", Remark, Plugin("tests", "fer-tests", "0"))])
    quick["train"] = {"epochs": 2}
    fer_core.train("tiny", "bars", device="cpu", **quick, run={"dir": "run"}, loss={"name": "remark"})
    assert sum("remark: not finite at step" in line for line in lines) == 2
    rows = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert [set(row["train"]) for row in rows] == [{"accuracy", "loss"}] * 2


@pytest.mark.parametrize("optimizer", ["adamw", "sam"])
def test_a_step_without_a_number_is_left_out_when_asked(breaking, optimizer) -> None:
    breaking["train"] = {"epochs": 4, "on_nonfinite": "skip"}
    breaking["optimizer"] = {"name": optimizer, "lr": 0.01}
    run = fer_core.train("tiny", "bars", device="cpu", **breaking)
    rows = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["train"].get("skipped_steps", 0) for row in rows] == [0, 1, 0, 0]
    assert all(np.isfinite(row["train"]["loss"]) for row in rows)
    assert run.result.metrics["test"].accuracy > 0.5


@pytest.mark.parametrize("optimizer", [{"name": "sgd", "lr": 1e-4}, {"name": "sam", "base": "sgd", "lr": 1e-4}])
def test_fp16_overflow_halves_the_scale_and_training_goes_on(breaking, optimizer) -> None:
    """The loss is so large that its gradients overflow under the first scale."""
    breaking |= {"optimizer": optimizer, "loss": {"name": "log", "factor": 300.0}}
    breaking["train"] = {"epochs": 10, "precision": "fp16"}
    run = fer_core.train("tiny", "bars", device="cpu", **breaking)
    state = read_state(run.folder / "last.state.pt")
    rows = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    skipped = sum(row["train"].get("skipped_steps", 0) for row in rows)
    assert 0 < skipped < 12
    assert state.scaler["scale"] == 65536 / 2**skipped
    assert all(value.isfinite().all() for value in state.task.values())
    assert run.result.metrics["test"].accuracy > 0.5


def test_a_loss_that_is_no_number_ends_fp16_training_too(breaking) -> None:
    """No scale helps there, so halving it until the end would hide it."""
    breaking["train"] = {"epochs": 4, "precision": "fp16"}
    with pytest.raises(fer_core.FerError, match="the loss is nan at step 6"):
        fer_core.train("tiny", "bars", device="cpu", **breaking)


SERIES = """
import os, sys
from pathlib import Path
import torch, pandas, sklearn.metrics, matplotlib.figure, torchvision
from fer_core.cli import main
import fer_core.api, fer_core.workflows.train, fer_core.data.packs.open
from fer_core.registry import find
find("models", "net")
torch.set_num_threads(1)

# One line in: a folder, then arguments. A child does the work; its number, then its status are written.
for line in sys.stdin:
    folder, *arguments = line.rstrip("\\n").split("\\t")
    child = os.fork()
    if child == 0:
        os.chdir(folder)
        os.environ["FER_CACHE"] = "cache"
        log = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1), os.dup2(log, 2)
        try:
            main(arguments)
        except SystemExit as error:
            os._exit(error.code if isinstance(error.code, int) else 0 if error.code is None else 1)
        os._exit(70)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""
EVENTS = ("packing", "state", "evaluating", "anywhere")
KILLS = 30


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_thirty_kills_leave_no_trace_in_the_result(environment, tmp_path) -> None:
    """While packing, while a checkpoint is written, while evaluating, and at any moment of a run at all.

    A run that is killed is taken up, and killed again, until it ends.
    """
    options = [
        "-o",
        "train.epochs=2",
        "-o",
        "train.eval_every=3",
        "-o",
        "run.dir=run",
    ]
    command = [*TRAIN, *options, "-o", "data.options.pause=0.002"]
    server = subprocess.Popen(
        [sys.executable, "-c", SERIES], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def begin(folder: Path, *arguments: str) -> int:
        server.stdin.write("\t".join([str(folder), *arguments]) + "\n")
        server.stdin.flush()
        return int(server.stdout.readline())

    def status() -> int:
        return int(server.stdout.readline())

    whole = tmp_path / "whole"
    whole.mkdir()
    begin(whole, *command)
    assert status() == 0, (whole / "log").read_text()
    began = time.monotonic()
    (tmp_path / "second").mkdir()
    begin(tmp_path / "second", *command)
    assert status() == 0
    length = time.monotonic() - began
    draw = random.Random(5)
    killed, resumed, fresh, number = 0, 0, 0, 0
    while killed < KILLS:
        folder = tmp_path / f"run-{number}"
        folder.mkdir()
        ended = False
        event = EVENTS[number % len(EVENTS)]
        number += 1
        while not ended:
            again = (folder / "run").exists()
            resumed, fresh = resumed + again, fresh + (not again)
            child = begin(folder, *(["train", "--resume", "run"] if again else command))
            if killed < KILLS:
                _wait_for(event, folder, child, draw.uniform(0, length))
                with contextlib.suppress(ProcessLookupError):  # it was done before
                    os.kill(child, signal.SIGKILL)
            code = status()
            ended = code == 0
            killed += code == signal.SIGKILL
            assert code in (0, signal.SIGKILL), (folder / "log").read_text()
            event = "anywhere" if draw.random() < 0.5 else EVENTS[draw.randrange(len(EVENTS))]
        for name in PRODUCTS:
            assert (folder / "run" / name).read_bytes() == (whole / "run" / name).read_bytes(), (number, name)
        assert not list((folder / "run").glob(".*")), "a half-written file stays"
    server.stdin.close()
    server.wait(timeout=60)
    print("RESUMED", resumed, fresh, number)
    assert resumed > 10
    assert fresh > 3


def _wait_for(event: str, folder: Path, child: int, seconds: float) -> None:
    """Until `event` is seen, or the child has ended, or the time for it is up."""
    stop = time.monotonic() + seconds
    signs = {
        "packing": lambda: any((folder / "cache/packs").glob(".*")),
        "state": lambda: (folder / "run/.last.state.pt.partial").exists(),
        "evaluating": lambda: (folder / "evaluating").exists(),
        "anywhere": lambda: False,
    }
    while time.monotonic() < stop:
        if signs[event]():
            return
        time.sleep(0.0005)

"""Several processes on one machine: the same training, the same predictions, one writer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import torch
from fer_core.runs.state import read_state

PLUGIN = """
import atexit
import contextlib
import os
import signal
import time
from pathlib import Path
import numpy as np
import pandas as pd
import torch
from fer_core import distributed
from fer_core.plugin import Loss
from fer_core.data.table import make_fingerprint
from fer_core.losses import SampleBuffer
from fer_core.training.trainer import Trainer
from fer_core.types import FERDataset
from torch import nn

CLASSES = ("happiness", "sadness", "neutral")

class Net(nn.Module):
    def __init__(self, info, *, norm: bool = False, dropout: float = 0.1, heads: bool = False, spare: bool = True):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2),
            nn.BatchNorm2d(8) if norm else nn.Identity(),
            nn.ReLU(),
            nn.Dropout(dropout),
        )
        self.head = nn.Linear(8 * 49, len(info.classes))
        self.unused = nn.Linear(4, 4) if spare else None
        self.mood, self.age = (nn.Linear(8 * 49, 2), nn.Linear(8 * 49, 1)) if heads else (None, None)

    def forward(self, images):
        maps = self.body(images).flatten(1)
        heads = {"head_mood": self.mood(maps), "head_age": self.age(maps)[:, 0]} if self.mood else {}
        return {"logits": self.head(maps), **heads}

class Bars(FERDataset):
    name, classes = "bars", CLASSES

    def __init__(self, root, *, samples=98):
        label = np.arange(samples) % 3
        part = np.repeat(["train", "val", "test"], [samples - 2 * (samples // 5), samples // 5, samples // 5])
        ids = [f"bar-{i:04d}" for i in range(samples)]
        mood = pd.Categorical.from_codes(np.arange(samples) % 5 % 3 - 1, ["calm", "tense"])
        age = np.where(np.arange(samples) % 4, label + 1.0, np.nan)
        columns = {"id": ids, "label": label, "split": part, "source": ids, "target_mood": mood, "target_age": age}
        self.table = pd.DataFrame(columns)

    def read(self, row):
        image = np.random.default_rng(row).integers(0, 200, (16, 16, 3), dtype=np.uint8)
        at = 1 + 5 * int(self.table["label"].iloc[row])
        image[at : at + 4] += 50
        return image

    def fingerprint(self):
        return make_fingerprint(self.table["id"], self.table["label"], self.table["id"])

class Remembering(Loss):
    # Weighs samples by their loss of the epoch before; one process notes labels after each epoch.
    def __init__(self, info):
        super().__init__()
        self.before = SampleBuffer(info.samples, fill=1.0)
        self.visits = SampleBuffer(info.samples, dtype=torch.int64)
        self.labels = SampleBuffer(info.samples, (2,), dtype=torch.bool)

    def from_output(self, output, batch, progress):
        index = batch["index"]
        each = nn.functional.cross_entropy(output["logits"], batch["label"], reduction="none")
        loss = (each * self.before[index]).mean()
        self.before[index] = each
        self.visits[index] = self.visits[index] + 1
        return {"loss": loss, "logits": output["logits"]}

    def after_epoch(self, scan, progress):
        for batch, _ in scan():
            if distributed.is_main():  # only one of the processes writes
                self.labels[batch["index"]] = torch.stack([batch["label"] == 1, batch["label"] == 2], 1)

class Varying(Loss):
    # Uses its parameter in the first two steps only.
    def __init__(self, info, *, declared: bool):
        super().__init__()
        self.scale, self.parameters_vary = nn.Parameter(torch.ones(())), declared

    def from_output(self, output, batch, progress):
        loss = nn.functional.cross_entropy(output["logits"], batch["label"])
        return {"loss": loss * self.scale if progress.step < 2 else loss}

class Dumping(Trainer):
    def after_step(self, progress):
        if progress.step + 1 == int(os.environ["SIGTERM_AT"]):
            os.kill(os.getpid(), signal.SIGTERM)
        if progress.step == 0:
            atexit.register(count_threads, Path(self.config.run.dir, f"threads{distributed.rank()}.txt"))

    def extra_state(self):
        torch.save(self.setup.task.state_dict(), Path(self.config.run.dir, f"rank{distributed.rank()}.pt"))
        looks = getattr(self.wrapped, "find_unused_parameters", None)
        Path(self.config.run.dir, f"looks{distributed.rank()}.txt").write_text(str(looks))
        return {}

def count_threads(file):
    names = ["pt_gloo_runloop"]
    until = time.monotonic() + 10  # one that was waited for may be listed for a moment
    while "pt_gloo_runloop" in names and time.monotonic() < until:
        names = []
        for thread in Path("/proc/self/task").glob("*/comm"):
            with contextlib.suppress(OSError):
                names.append(thread.read_text().strip())
    file.write_text(str(names.count("pt_gloo_runloop")))

@hookimpl
def fer_models():
    return [ModelSpec(name="net", factory=Net, recipes={}, summary="", paper="", licence="", upstream="")]

@hookimpl
def fer_losses():
    return {"remembering": Remembering, "varying": Varying}

@hookimpl
def fer_datasets():
    return [DatasetSpec(name="bars", factory=Bars, classes=CLASSES, layouts={}, expected_counts={}, summary="",
        splits={"train": "train", "val": "val", "test": "test"}, licence="", homepage="",
        options={"samples": 98}, needs_root=False)]

@hookimpl
def fer_trainers():
    return {"dumping": Dumping}
"""
COMMON = ["train", "net", "bars", "--device", "cpu", "-o", "train.trainer=dumping", "-o", "callbacks=[]"]
COMMON += ["-o", "data.input_size=16", "-o", "data.batch_size=16", "-o", "train.epochs=2"]
METHODS = {
    "sgd": ["-o", "optimizer={name: sgd, lr: 0.1, momentum: 0.9}", "-o", "train.clip_norm=1.0"],
    "heads": ["-o", "model.heads=true", "-o", "loss=multi_head", "-o", "optimizer={name: sgd, lr: 0.1}"],
    "whole": ["-o", "optimizer={name: sgd, lr: 0.1, momentum: 0.9}", "-o", "model.spare=false"],
    "sam": ["-o", "optimizer={name: sam, base: sgd, lr: 0.1, rho: 0.5}"],
    "norm": ["-o", "model.norm=true", "-o", "optimizer={name: adamw, lr: 0.01}"],
}


@pytest.fixture
def launch(site, tmp_path):
    """`launch(processes, *arguments)` starts `fer-run`, under torchrun where there are several processes.

    With `script` it is this instead of the command line. After the step `sigterm_at` a process signals itself.
    """
    site.install("net-plugin", PLUGIN)
    own = {dist.name for dist in site.distributions()}
    others = {point.dist.name for point in entry_points(group="fer_core")} - own
    environment = {
        **os.environ,
        "PYTHONPATH": str(site.root),
        "FER_DISABLE_PLUGINS": ",".join(others),
        "FER_CACHE": str(tmp_path / "cache"),
        "OMP_NUM_THREADS": "1",
    }

    def start(
        processes: int, *arguments: str, script: Path | None = None, sigterm_at: int = -1
    ) -> subprocess.Popen[str]:
        torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
        program = [str(script)] if script else ["-m", "fer_core"]
        command = [sys.executable, *(torchrun if processes > 1 else []), *program, *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(command, cwd=tmp_path, env={**environment, "SIGTERM_AT": str(sigterm_at)}, **pipes)

    return start


def finish(process: subprocess.Popen[str]) -> str:
    text, _ = process.communicate(timeout=300)
    assert process.returncode == 0, text
    return text


def weights(folder: Path, rank: int = 0) -> dict[str, torch.Tensor]:
    return torch.load(folder / f"rank{rank}.pt", weights_only=True)


@pytest.mark.parametrize(
    "method",
    [pytest.param(name, marks=() if name in ("whole", "heads") else pytest.mark.slow) for name in METHODS],
)
def test_two_processes_train_as_one_that_takes_their_parts_in_turn(launch, tmp_path, method) -> None:
    shared = launch(2, *COMMON, *METHODS[method], "-o", "run.dir=two")
    alone = launch(1, *COMMON, *METHODS[method], "-o", "run.dir=one", "-o", "train.accumulate=2")
    printed = finish(shared)
    finish(alone)
    assert printed.count("written ") == 1  # one process prints and writes
    first, second = weights(tmp_path / "two", 0), weights(tmp_path / "two", 1)
    reference = weights(tmp_path / "one")
    parameters = [name for name in reference if "running" not in name and "tracked" not in name]
    for name in parameters:
        assert torch.equal(first[name], second[name]), name
        torch.testing.assert_close(first[name], reference[name], rtol=0, atol=1e-5)
    looks = [(tmp_path / "two" / f"looks{rank}.txt").read_text() for rank in (0, 1)]
    assert looks == [str(method != "whole")] * 2  # for parameters without a gradient, if the first step had some
    if method != "norm":  # without batch statistics the results agree, too: every face once, none twice
        mine, other = (json.loads((tmp_path / run / "result.json").read_text()) for run in ("two", "one"))
        assert mine["best"]["metrics"]["test"]["confusion"] == other["best"]["metrics"]["test"]["confusion"]
        ids = [(tmp_path / run / "predictions-test.csv").read_text().splitlines() for run in ("two", "one")]
        assert [line.split(",")[0] for line in ids[0]] == [line.split(",")[0] for line in ids[1]]
        heads = [result["best"]["metrics"]["test"].get("heads", {}) for result in (mine, other)]
        assert set(heads[0]) == ({"age", "mood"} if method == "heads" else set())
        for name, head in heads[0].items():
            assert head["count"] == heads[1][name]["count"]
            assert head["figures"] == pytest.approx(heads[1][name]["figures"], abs=1e-4)


def test_what_is_known_of_samples_is_the_same_on_one_and_on_two_processes(launch, tmp_path) -> None:
    options = [*COMMON, *METHODS["sgd"], "-o", "loss=remembering", "-o", "train.save_every=3"]
    options += ["-o", "train.precision=fp32", "-o", "model.dropout=0.0", "-o", "train.epochs=3"]
    alone = launch(1, *options, "-o", "run.dir=one")
    finish(launch(2, *options, "-o", "run.dir=two"))
    finish(alone)
    first, second = weights(tmp_path / "two", 0), weights(tmp_path / "two", 1)
    reference = weights(tmp_path / "one")
    labels, visits, before = (f"loss.{name}._extra_state" for name in ("labels", "visits", "before"))
    assert all(torch.equal(first[name], second[name]) for name in (labels, visits, before))
    assert first[visits].tolist() == reference[visits].tolist() == [3] * 60
    torch.testing.assert_close(first[before], reference[before], rtol=0, atol=1e-5)
    # the main process knows the labels of its shares
    assert 0 < first[labels].sum() < reference[labels].sum() == 40


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts threads by Linux's means")
def test_the_threads_of_the_last_exchange_have_ended_before_python_does(launch, tmp_path) -> None:
    """One that gives back a tensor while Python shuts down ends a finished run with SIGABRT."""
    finish(launch(2, *COMMON, *METHODS["sgd"], "-o", "run.dir=two"))
    assert [(tmp_path / f"two/threads{rank}.txt").read_text() for rank in (0, 1)] == ["0", "0"]


def test_every_process_of_a_script_gets_the_result(launch, tmp_path) -> None:
    script = tmp_path / "script.py"
    script.write_text("""
import logging
from pathlib import Path
import fer_core
from fer_core import distributed

logging.basicConfig(level=logging.INFO)
run = fer_core.train("net", "bars", data={"input_size": 16}, train={"epochs": 1}, callbacks=[], device="cpu")
Path(f"accuracy{distributed.rank()}").write_text(str(run.result.metrics["test"].accuracy))
distributed.stop()
""")
    printed = finish(launch(2, script=script))
    assert printed.count("written ") == 1  # of several processes the main one logs
    (result,) = tmp_path.rglob("result.json")
    accuracy = str(json.loads(result.read_text())["best"]["metrics"]["test"]["accuracy"])
    assert [(tmp_path / f"accuracy{rank}").read_text() for rank in (0, 1)] == [accuracy, accuracy]


def test_without_batch_statistics_it_equals_the_undivided_batch(launch, tmp_path) -> None:
    """Layer noise is drawn for each part, so it is left out here; bf16 would round a part unlike the whole."""
    options = [
        *COMMON,
        *METHODS["sgd"],
        "-o",
        "train.precision=fp32",
        "-o",
        "model.dropout=0.0",
        "-o",
        "data.options={samples: 80}",
    ]
    shared, alone = launch(2, *options, "-o", "run.dir=two"), launch(1, *options, "-o", "run.dir=one")
    finish(shared), finish(alone)
    for name, value in weights(tmp_path / "one").items():
        torch.testing.assert_close(weights(tmp_path / "two")[name], value, rtol=0, atol=1e-5)


def test_a_killed_process_ends_the_run_which_goes_on_with_another_number(
    launch, wait_for, shorten, tmp_path
) -> None:
    options = [
        *COMMON,
        *METHODS["sgd"],
        "-o",
        "run.dir=run",
        "-o",
        "train.epochs=4000",
        "-o",
        "train.save_every=5",
    ]
    process = launch(2, *options)
    state = tmp_path / "run/last.state.pt"
    wait_for(state.exists, process)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[1]), signal.SIGKILL)
    began = time.monotonic()
    text, _ = process.communicate(timeout=300)
    assert time.monotonic() - began < 60
    assert process.returncode != 0
    assert "lost another one" in text
    assert "--resume run" in text
    assert not (tmp_path / "run/result.json").exists()
    done = read_state(state).envelope.position
    shorten(tmp_path / "run")
    printed = finish(launch(1, "train", "--resume", "run"))
    assert "processes was 2, is 1" in printed
    result = json.loads((tmp_path / "run/result.json").read_text())
    assert result["last"]["step"] > done.step


@pytest.mark.parametrize("declared", [True, False])
def test_a_loss_that_leaves_parameters_out_later_has_to_say_so(launch, tmp_path, declared) -> None:
    options = [*COMMON, *METHODS["sgd"], "-o", "model.spare=false", "-o", "run.dir=run"]
    process = launch(2, *options, "-o", f"loss={{name: varying, declared: {str(declared).lower()}}}")
    text, _ = process.communicate(timeout=300)
    assert (process.returncode == 0) is declared, text
    expected = "left parameters out in step 3 that it used in the first one, which several processes have to know"
    assert (expected in text) is not declared, text


def test_sigterm_saves_and_says_how_to_go_on(launch, tmp_path) -> None:
    options = [*COMMON, *METHODS["sgd"], "-o", "train.epochs=3"]
    whole = launch(1, *options, "-o", "run.dir=whole")
    process = launch(1, *options, "-o", "run.dir=run", sigterm_at=2)
    text, _ = process.communicate(timeout=300)
    assert process.returncode == 128 + signal.SIGTERM, text
    assert "fer-run train --resume run" in text
    assert "Traceback" not in text
    finish(launch(1, "train", "--resume", "run"))
    finish(whole)
    for product in ("best.safetensors", "predictions-test.csv", "metrics.jsonl"):
        assert (tmp_path / "run" / product).read_bytes() == (tmp_path / "whole" / product).read_bytes()


def test_synchronised_batch_norm_is_refused_on_a_cpu(launch, tmp_path) -> None:
    process = launch(1, *COMMON, "-o", "train.sync_batch_norm=true")
    text, _ = process.communicate(timeout=300)
    assert process.returncode == 2
    assert "torch cannot synchronise BatchNorm" in text
    assert not (tmp_path / "runs").exists()

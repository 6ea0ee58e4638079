"""Experiments: what is planned, what is refused before anything starts, and what survives being killed."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from fer_core.cli import main
from fer_core.config import config_hash, load_config
from fer_core.errors import FerError
from fer_core.experiments.execute import deal_out
from fer_core.experiments.outcome import skip
from fer_core.experiments.plan import make_plan, parse_grid, take_shard
from fer_core.experiments.schema import check_experiment, number_range, read_experiment
from fer_core.experiments.splits import expand_split
from fer_core.runs.reading import find_files

SMALL = ("-o", "data.input_size=16", "-o", "train.epochs=1", "-o", "callbacks=[]", "--device", "cpu")
PRODUCTS = ("best.safetensors", "last.safetensors", "result.json", "predictions-test.csv", "metrics.jsonl")


def fer_run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["experiment", *arguments])


def refused(*arguments: str) -> str:
    result = fer_run(*arguments)
    assert result.exit_code == 2, result.output
    assert not Path("runs").exists()
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    return line


def plan(**values):
    base = {"models": ["tiny"], "datasets": ["bars"]}
    return make_plan(check_experiment({**base, **values}, "test"), "test")


@pytest.mark.parametrize(
    ("text", "protocols"),
    [
        ("official", ["official"]),
        ("kfold:3:*", ["kfold:3:0", "kfold:3:1", "kfold:3:2"]),
        ("kfold:10:8-9:sorted+holdout", ["kfold:10:8:sorted+holdout", "kfold:10:9:sorted+holdout"]),
        ("stratified-shuffle:2", ["stratified-shuffle:2"]),
        ("seed-shuffle:*", [f"seed-shuffle:{k}" for k in range(10)]),
        ("seed-shuffle:0-1:*", ["seed-shuffle:0:0", "seed-shuffle:1:1"]),
        ("file:parts/a:b.csv", ["file:parts/a:b.csv"]),
    ],
)
def test_a_split_may_stand_for_several(text, protocols) -> None:
    assert [choice.protocol for choice in expand_split(text)] == protocols


def test_numbers() -> None:
    assert number_range("0-3") == [0, 1, 2, 3]
    for wrong in ("3-1", "a", "", "-1", "1-"):
        with pytest.raises(ValueError, match="number"):
            number_range(wrong)
    assert parse_grid(["optimizer.lr=1e-3,1e-4"]) == {"optimizer.lr": [1e-3, 1e-4]}


def test_every_combination_is_a_run_with_a_folder_of_its_own(tiny) -> None:
    runs = plan(splits="kfold:3:*", seeds="0-1", grid={"optimizer.lr": [0.1, 0.01]}, recipe="paper,shared",
                shared={"train": {"epochs": 2}})  # fmt: skip
    assert len({run.folder for run in runs}) == len(runs) == 3 * 2 * 2 * 2
    run = runs[-1]
    assert run.folder.parent == Path("runs/experiment/tiny-bars")
    assert run.folder.name == f"kfold-3-2-s1-{config_hash(run.config)[:8]}"
    assert (run.config.train.epochs, run.config.optimizer.options["lr"]) == (2, 0.01)
    assert [r.config.train.epochs for r in runs if r.recipe == "paper"] == [40] * 12


def test_layers_stand_in_their_order(tiny) -> None:
    (run,) = plan(
        recipe="shared",
        shared={"data": {"batch_size": 1}, "train": {"epochs": 1}},
        config={"data": {"batch_size": 2, "input_size": 2}},
        when=[{"models": ["TINY"], "config": {"data": {"input_size": 3}}}, {"models": [], "config": {}}][:1],
        overrides=["train.epochs=4"],
    )
    assert (run.config.data.batch_size, run.config.data.input_size, run.config.train.epochs) == (2, 3, 4)


def test_the_seed_may_be_the_number_of_the_split(tiny) -> None:
    runs = plan(splits="stratified-shuffle:3-4", seeds="per-split")
    assert [(run.split.number, run.config.train.seed) for run in runs] == [(3, 3), (4, 4)]


def test_a_damaged_result_is_the_failure_of_its_run_alone(tiny) -> None:
    (run,) = plan()
    run.folder.mkdir(parents=True)
    (run.folder / "result.json").write_text("{}")
    outcome = skip(run)
    assert outcome.status == "failed"
    assert "result.json: format is missing: delete that folder to make the run again" in outcome.line


def test_shards_share_the_runs_out(tiny) -> None:
    runs = plan(splits="kfold:5:*", seeds="0-3")
    parts = [take_shard(runs, f"{i}/3") for i in (1, 2, 3)]
    assert sorted(run.name for part in parts for run in part) == sorted(run.name for run in runs)
    assert {len(part) for part in parts} == {6, 7}


def test_mistakes_are_refused_before_anything_starts(tiny) -> None:
    both = ("--models", "tiny", "--datasets", "bars", *SMALL)
    line = refused("--models", "tinny,tiny", "--datasets", "barz", *SMALL)
    assert "did you mean tiny" in line
    assert "did you mean bars" in line
    assert "two runs have the name tiny-bars/official-s0-" in refused("--models", "tiny,Tiny", *both[2:])
    assert "kfold:200:0" in refused(*both, "--splits", "kfold:200:0")
    assert "weekly" in refused(*both, "--splits", "official,weekly")
    assert "use splits" in refused(*both, "-o", "data.split=official")
    assert "use seeds" in refused(*both, "--grid", "train.seed=1,2")
    assert "the grid and in -o" in refused(*both, "--grid", "train.epochs=1,2")
    assert "did you mean data.batch_size" in refused(*both, "-o", "data.batchsize=2")
    assert "did you mean momentum" in refused(*both, "-o", "optimizer={name: sgd, lr: 1, momentom: 1}")
    assert "shared" in refused(*both, "--recipe", "shared")
    assert "paper, shared" in refused(*both, "--recipe", "both")
    assert "0-9" in refused(*both, "--seeds", "few")
    assert "no number" in refused(*both, "--seeds", "per-split")
    assert "--shard 3/2" in refused(*both, "--shard", "3/2")
    assert "--jobs is 0" in refused(*both, "--jobs", "0")
    assert "executor.jobs: unknown option of ray" in refused(*both, "--jobs", "2", "--on", "ray")
    assert "there is no executor 'rey': did you mean ray?" in refused(*both, "--on", "rey")
    assert "did you mean fer-models" in refused("fer-model")
    assert "needs a FILE" in refused("--models", "tiny")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("models: [tiny]", "datasets is missing"),
        ("models: [tiny]\ndatasets: [bars]\nsed: 0", "sed: unknown key, did you mean seeds"),
        ("models: [tiny]\ndatasets: [bars]\nwhen: [{model: [a], config: {data: {}}}]", "did you mean models?"),
        ("models: [tiny]\ndatasets: [bars]\nwhen: [{models: [a], config: {data: {}}}]", "when[0]"),
        ("models: [tiny]\ndatasets: [bars]\nseeds: -1", "seeds"),
        ("models: [tiny]\ndatasets: [bars]\nrecipe: mine", "recipe is mine"),
        ("models: [tiny]\ndatasets: [bars]\nconfig: {run: {dir: x}}", "run.dir"),
        ("[]", "mapping"),
        ("models: [tinny]\ndatasets: [bars]", "did you mean tiny"),
        ("models: [tiny]\ndatasets: [barz]", "did you mean bars"),
        ("models: [tiny]\ndatasets: [bars]\nsplits: ['kfold:200:0']", "kfold:200:0"),
        ("models: [tiny]\ndatasets: [bars]\nsplits: [weekly]", "weekly"),
        ("models: [tiny, Tiny]\ndatasets: [bars]", "two runs have the name tiny-bars/official-s0-"),
        ("models: [tiny]\ndatasets: [bars]\nseeds: [3, 3]", "two runs have the name tiny-bars/official-s3-"),
    ],
)
def test_mistakes_in_a_file(tiny, text, expected) -> None:
    Path("mine.yaml").write_text(text)
    assert expected in refused("mine.yaml")


NIGHTLY = """
@hookimpl
def fer_experiments():
    return [ExperimentSpec(name="nightly", file="nightly_files:nightly.yaml", summary="Every night")]
"""


def test_an_experiment_of_a_plugin_is_named_on_the_command_line(site) -> None:
    site.install("night-plugin", NIGHTLY)
    (site.root / "nightly_files").mkdir()
    (site.root / "nightly_files" / "nightly.yaml").write_text("models: [m]\ndatasets: [d]\nseeds: 0-2\n")
    assert read_experiment("nightly") == {"name": "nightly", "models": ["m"], "datasets": ["d"], "seeds": "0-2"}
    assert read_experiment("nightly@night-plugin")["name"] == "nightly"
    done = site.fer_run("list", "experiments")
    assert done.stdout.split() == ["nightly", "night-plugin", "Every", "night"]


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("fer-crossval", "comes with fer-datasets, which is not installed: pip install fer-datasets"),
        ("nightlie", "there is no experiment 'nightlie': did you mean nightly?"),
        ("nightly.yaml", "nightly.yaml is not a file: correct the path, or give a name of"),
        ("mine/nightly", "mine/nightly is not a file"),
    ],
)
def test_an_experiment_that_is_not_there_says_what_brings_it(site, place, message) -> None:
    site.install("night-plugin", NIGHTLY)
    with pytest.raises(FerError, match=re.escape(message)):
        read_experiment(place)


def test_devices_are_dealt_out(monkeypatch) -> None:
    import torch
    from fer_core.engine.devices import Cuda

    monkeypatch.setattr(Cuda, "missing", lambda self: None)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    assert [slot["CUDA_VISIBLE_DEVICES"] for slot in deal_out(3, "auto")] == ["4", "7", "4"]
    for one in ("cpu", "cuda:1"):
        assert [slot["CUDA_VISIBLE_DEVICES"] for slot in deal_out(2, one)] == ["4,7", "4,7"]
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert [slot["OMP_NUM_THREADS"] for slot in deal_out(4, "cpu")] == ["2"] * 4
    with pytest.raises(FerError, match="--jobs is 0"):
        deal_out(0, "cpu")


PLUGIN = """
import os
import time
import numpy as np
import pandas as pd
from fer_core.data.table import make_fingerprint
from fer_core.types import FERDataset

class Bars(FERDataset):
    name, classes = "bars", ("happiness", "sadness")
    def __init__(self, root):
        ids = [f"bar-{i:03d}" for i in range(40)]
        self.table = pd.DataFrame({"id": ids, "label": np.arange(40) % 2, "split": "", "source": ids})
    def read(self, row):
        return np.full((8, 8, 3), 40 + 120 * (row % 2) + row, dtype=np.uint8)
    def fingerprint(self):
        return make_fingerprint(self.table["id"], self.table["label"], self.table["id"])

def make(info, width: int = 4):
    from torch import nn
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            layers = nn.Linear(192, width), nn.ReLU(), nn.Linear(width, info.num_classes)
            self.net = nn.Sequential(nn.Flatten(), *layers)
        def forward(self, images):
            time.sleep(float(os.environ.get("SLOW", 0)))
            return {"logits": self.net(images)}
    return Net()

@hookimpl
def fer_models():
    yield ModelSpec(name="tiny", factory=make, recipes={}, summary="", paper="", licence="", upstream="")

@hookimpl
def fer_datasets():
    yield DatasetSpec(name="bars", factory=Bars, classes=Bars.classes, splits={}, layouts={}, expected_counts={},
                      summary="", licence="", homepage="", needs_root=False)
"""
COMMAND = ["experiment", "--models", "tiny", "--datasets", "bars", "--seeds", "0-1", "--device", "cpu"]
for _override in ("data.input_size=8", "data.batch_size=8", "train.epochs=2", "train.save_every=1"):
    COMMAND += ["-o", _override]


def start(site, cwd: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    own = {dist.name for dist in site.distributions()}
    others = {point.dist.name for point in entry_points(group="fer_core")} - own
    env = {
        **os.environ,
        "PYTHONPATH": str(site.root),
        "FER_DISABLE_PLUGINS": ",".join(others),
        "FER_CACHE": str(cwd / "cache"),
        "OMP_NUM_THREADS": "1",
        **environment,
    }
    command = [sys.executable, "-m", "fer_core", *arguments]
    return subprocess.Popen(
        command,
        cwd=cwd,
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def products(root: Path) -> dict[str, bytes]:
    found = [path for path in root.rglob("*") if path.name in PRODUCTS]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in found}


def test_failed_runs_are_listed_and_the_others_made(site, tmp_path) -> None:
    site.install("fer-tests", PLUGIN)
    grid = ("--grid", "optimizer.lr=1e-3,1e30", "-o", "train.epochs=1")
    process = start(site, tmp_path, *COMMAND[:5], "--device", "cpu", "-o", "data.input_size=8", *grid, "--json")
    output = process.communicate(timeout=300)[0]
    assert process.returncode == 1, output
    assert "1 of 2 runs failed; the same command retries them" in output
    assert "diverged" in output.split("retries them")[1]
    (done,) = tmp_path.rglob("result.json")
    assert json.loads(done.read_text())["config_sha256"][:8] == done.parent.name[-8:]
    assert json.loads((done.parent / "experiment.json").read_text())["grid"] == ["optimizer.lr=0.001"]


def test_runs_that_are_forked_give_the_bytes_of_runs_in_new_processes(site, tmp_path) -> None:
    site.install("fer-tests", PLUGIN)
    for root, jobs in (("forked", "1"), ("new", "2")):  # as many jobs as runs: there is nothing to save
        process = start(site, tmp_path, *COMMAND, "--root", root, "--jobs", jobs)
        output = process.communicate(timeout=300)[0]
        assert process.returncode == 0, output
    assert len(products(tmp_path / "forked")) == 2 * len(PRODUCTS)
    assert products(tmp_path / "forked") == products(tmp_path / "new")
    assert not list(tmp_path.rglob("*.png")) + list(tmp_path.rglob("*.html"))  # `fer-run report` draws them
    commands = [json.loads(path.read_text())["command"][1:] for path in sorted(tmp_path.rglob("env.json"))]
    assert [each.replace("new/", "forked/") for each in commands[2]] == commands[0]
    logs = [path.read_text() for path in sorted(tmp_path.rglob(".*.log"))]
    assert [text.replace("new/", "forked/") for text in logs[2:]] == logs[:2]


def test_a_crash_ends_its_run_alone(site, tmp_path) -> None:
    crash = "            width == 5 and os.kill(os.getpid(), 9)\n            time.sleep("
    site.install("fer-tests", PLUGIN.replace("            time.sleep(", crash))
    process = start(site, tmp_path, *COMMAND, "--seeds", "0", "--grid", "model.width=5,6,4")
    output = process.communicate(timeout=300)[0]
    assert process.returncode == 1, output
    assert "killed by SIGKILL; the same command resumes it" in output
    assert len(list(tmp_path.rglob("result.json"))) == 2


@pytest.mark.slow
@pytest.mark.long
def test_a_runner_killed_twice_ends_with_the_same_bytes(site, wait_for, tmp_path) -> None:
    site.install("fer-tests", PLUGIN)
    whole = start(site, tmp_path, *COMMAND, "--root", "whole")
    assert whole.wait(timeout=300) == 0, whole.communicate()[0]

    def states() -> int:
        return len(list(find_files(tmp_path / "killed", "last.state.pt")))

    process = start(site, tmp_path, *COMMAND, "--root", "killed", SLOW="2")
    wait_for(lambda: states() == 1, process)
    process.send_signal(signal.SIGTERM)
    output = process.communicate(timeout=300)[0]
    assert process.returncode == 128 + signal.SIGTERM, output
    assert "the same command resumes" in output
    assert not list((tmp_path / "killed").rglob("result.json"))

    process = start(site, tmp_path, *COMMAND, "--root", "killed", SLOW="0.2")
    wait_for(lambda: states() == 2, process)
    process.send_signal(signal.SIGKILL)  # its training goes on alone; the next runner waits for it
    process.wait(timeout=60)

    process = start(site, tmp_path, *COMMAND, "--root", "killed")
    output = process.communicate(timeout=300)[0]
    assert process.returncode == 0, output
    assert products(tmp_path / "killed") == products(tmp_path / "whole")
    assert load_config(next((tmp_path / "killed").rglob("config.yaml"))).model.name == "tiny"
    again = start(site, tmp_path, *COMMAND, "--root", "killed")
    output = again.communicate(timeout=300)[0]
    assert output.count("is finished already") == 2
    assert again.returncode == 0


NEEDS_RAY = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: fer-core[ray]")
NEEDS_PROC = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are told by /proc")


def processes(cwd: Path) -> dict[int, str]:
    """Process id -> arguments of all that `start` began in this folder, and what they began."""
    mark, found = f"FER_CACHE={cwd / 'cache'}".encode(), {}
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdecimal() and mark in (folder / "environ").read_bytes().split(b"\0"):
                words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
                if words:  # else it has ended, and its parent has not looked
                    found[int(folder.name)] = words
        except OSError:
            continue
    return found


def trainings(cwd: Path) -> list[int]:
    return [process for process, words in processes(cwd).items() if "-m fer_core train" in words]


def parent(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.fixture
def on_ray(site, tmp_path):
    """Starts the experiment on a Ray of its own, whose two workers share the machine's processors."""
    site.install("fer-tests", PLUGIN)
    share = (os.cpu_count() or 1) / 2
    executor = f"{{name: ray, cpus: {share}}}"
    (tmp_path / "two.yaml").write_text(f"models: [tiny]\ndatasets: [bars]\nseeds: 0-1\nexecutor: {executor}\n")
    settings = [word for word in COMMAND if "=" in word or word == "-o"]
    home = Path(tempfile.mkdtemp(prefix="ray"))  # short, for the names of sockets
    environment = {"HOME": str(home), "RAY_TMPDIR": str(home), "RAY_ADDRESS": ""}
    environment["RAY_USE_MULTIPROCESSING_CPU_COUNT"] = "1"  # else a quota of the container may be less

    def begin(root: str, *, place: str = "ray", **more: str) -> subprocess.Popen[str]:
        arguments = ("experiment", "two.yaml", *settings, "--device", "cpu", "--root", root, "--on", place)
        return start(site, tmp_path, *arguments, **environment, **more)

    yield begin
    for process in processes(tmp_path):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    shutil.rmtree(home)


def test_without_ray_or_a_cluster_it_is_said_in_one_line(tiny, monkeypatch) -> None:
    from fer_core.experiments.on_ray import _need

    both = ("--models", "tiny", "--datasets", "bars", *SMALL, "--on", "ray")
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "ray", None)
        assert "pip install 'fer-core[ray]'" in refused(*both)
    one, two = {"CPU": 4.0}, {"CPU": 2.0, "GPU": 1.0}
    assert _need([one, two], "auto", None, 2) == {"num_gpus": 1.0, "num_cpus": 2}
    assert _need([one, two], "cpu", None, 3) == {"num_gpus": 0.0, "num_cpus": 3}
    with pytest.raises(FerError, match=r"1 GPUs and 3 CPUs, which no machine .* has \(0 and 4, 1 and 2\)"):
        _need([one, two], "auto", None, 3)


@NEEDS_RAY
def test_a_cluster_that_does_not_answer_is_one_line(tiny, monkeypatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")
        line = refused("--models", "tiny", "--datasets", "bars", *SMALL, "--on", "ray")
    assert f"no Ray cluster answers at RAY_ADDRESS=127.0.0.1:{port}" in line


@pytest.mark.slow
@pytest.mark.long
@NEEDS_RAY
@NEEDS_PROC
def test_ray_gives_the_files_of_the_local_runner_whoever_is_killed(on_ray, wait_for, tmp_path) -> None:
    here = on_ray("here", place="local")
    assert here.wait(timeout=300) == 0, here.communicate()[0]
    expected = products(tmp_path / "here")

    process = on_ray("there", SLOW="2")
    wait_for(lambda: len(list(find_files(tmp_path / "there", "last.state.pt"))) == 2, process)
    dashboards = [words for words in processes(tmp_path).values() if "dashboard.py" in words]
    assert all("--disable-frontend" in words for words in dashboards)
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does
    output = process.communicate(timeout=300)[0]
    assert process.returncode == 128 + signal.SIGINT, output
    assert "the same command resumes" in output
    assert not processes(tmp_path)
    assert not list((tmp_path / "there").rglob("result.json"))

    process = on_ray("there", SLOW="0.5")
    wait_for(lambda: len(trainings(tmp_path)) == 2, process)
    one, other = trainings(tmp_path)
    assert len({parent(one), parent(other)}) == 2
    for victim in (parent(one), parent(other), other):
        os.kill(victim, signal.SIGKILL)
    output = process.communicate(timeout=300)[0]
    assert process.returncode == 0, output
    assert output.count("its worker died: another worker resumes it") == 2
    assert output.count("  finished: test accuracy") == 2
    assert len(output.splitlines()) == 7, output
    assert products(tmp_path / "there") == expected
    assert not processes(tmp_path)

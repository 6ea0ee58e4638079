"""A folder with a file of every kind that fer reads back, and the commands that read them."""

from __future__ import annotations

import io
import math
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import chdir, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import stored
from fer_core.config import Config, load_config
from fer_core.data.packs.cache import list_packs
from fer_core.data.packs.files import Building, Manifest
from fer_core.data.packs.open import find_pack
from fer_core.experiments.plan import make_plan
from fer_core.experiments.schema import Experiment, check_experiment, read_experiment
from fer_core.metrics import MetricsRow
from fer_core.records import Record
from fer_core.runs.diagnosis import DiagnosisRecord
from fer_core.runs.reading import read_run
from fer_core.runs.records import Environment, EvaluationRecord, Membership, Result
from fer_core.runs.state import Envelope, read_state
from fer_core.weights.checkpoint import build_from_checkpoint
from fer_core.weights.header import Header
from forked import PATIENCE, WORK, fault, fer_run, fork
from matplotlib.figure import Figure
from PIL import Image
from pydantic import BaseModel, Field, TypeAdapter

QUICK = ["data.input_size=16", "data.batch_size=16", "data.options={samples: 30}", "data.workers=0"]
QUICK += ["data.train_transforms=[resize, horizontal_flip, normalize]", "train.epochs=2", "callbacks=[]"]
BARS = ["tiny", "bars", "--device", "cpu", *(word for item in QUICK for word in ("-o", item))]
EXPERIMENT = """
name: e
root: null
models: [tiny]
datasets: [bars]
data: {}
splits: [official, "kfold:3:0"]
seeds: [0, 1]
recipe: [paper, shared]
shared: {train: {epochs: 1}}
config: {data: {input_size: 16}}
when: [{models: [tiny], datasets: [bars], recipe: paper, config: {train: {epochs: 3}}}]
grid: {optimizer.lr: [0.1, 0.01]}
overrides: ["train.ema=0.9"]
executor: {name: local}
"""
WEIGHTS, STOPPED, ONE = "runs/one/best.safetensors", "stopped", "runs/one"
COMMANDS = {
    "predict": ["predict", "face.png", "-m", WEIGHTS],
    "evaluate": ["evaluate", WEIGHTS, "bars"],
    "diagnose": ["diagnose", WEIGHTS, "bars", "--only", "mistakes,slices"],
    "resume": ["train", "--resume", STOPPED],
    "extend": ["train", "--extend", STOPPED, "--epochs", "3", "-o", "run.dir=longer"],
    "report": ["report", "runs"],
    "report-other": ["report", "other"],
    "leaderboard": ["leaderboard", "runs"],
    "diagnose-several": ["diagnose", "runs", "bars"],
    "train": ["train", *BARS, "-o", "run.dir=new"],
    "check": ["data", "check", "bars", "-o", "data.options.samples=30"],
    "list": ["data", "list"],
    "dry-run": ["experiment", "e.yaml", "--dry-run"],
}
RESUMING = ("resume", "extend")
SEVERAL = ("report", "leaderboard", "diagnose-several")


class WeightFile(BaseModel):
    """The tree of a weight file."""

    header: Header
    tensors: dict[str, Any]


class StateFile(BaseModel):
    """The tree of a state."""

    envelope: Envelope


class PackFiles(BaseModel):
    """The tree of a pack."""

    manifest: Manifest = Field(alias="pack.json")


class HalfFiles(BaseModel):
    """The tree of a pack that is not whole."""

    building: Building = Field(alias="building.json")


@dataclass(frozen=True)
class Kind:
    """A kind of file, or of a folder of files that is altered as one.

    Attributes:
        path: Where one lies.
        file: How it is read as a tree, and written.
        commands: What reads it.
        door: What reads it within the commands.
        holds: What its tree is.
        cyclic: Whether it could hold itself.
        cache: `FER_CACHE` of the commands.
    """

    path: str
    file: stored.File
    commands: tuple[str, ...]
    door: Callable[[Path], object]
    holds: Any = None
    cyclic: bool = False
    cache: str = "cache"

    @property
    def schema(self) -> Any:
        """JSON schema of what it holds."""
        return {} if self.holds is None else TypeAdapter(self.holds).json_schema()


def _of_run(name: str, file: stored.File, holds: Any, **more: Any) -> Kind:
    return Kind(f"{ONE}/{name}", file, SEVERAL, lambda path: read_run(path.parent), holds, **more)


def _beside_a_run(name: str, record: type[Record]) -> Kind:
    return Kind(f"other/run/{name}", stored.JSON, ("report-other",), _read(record), record)


def _read_experiment(path: Path) -> None:
    make_plan(check_experiment(read_experiment(str(path)), path.name), path.name)


def _read(record: type[Record]) -> Callable[[Path], object]:
    return lambda path: record.read(path, "do something")


KINDS = {
    "weights": Kind(
        WEIGHTS, stored.WEIGHTS, ("predict", "evaluate", "diagnose"), build_from_checkpoint, WeightFile
    ),
    "state": Kind(f"{STOPPED}/last.state.pt", stored.STATE, RESUMING, read_state, StateFile, cyclic=True),
    "config": Kind(f"{STOPPED}/config.yaml", stored.YAML, RESUMING, load_config, Config, cyclic=True),
    "environment": Kind(f"{STOPPED}/env.json", stored.JSON, RESUMING, _read(Environment), Environment),
    "result of a run": _of_run("result.json", stored.JSON, Result),
    "metrics of a run": _of_run("metrics.jsonl", stored.LINES, list[MetricsRow]),
    "predictions of a run": _of_run("predictions-test.csv", stored.TABLE, None),
    "config of a run": _of_run("config.yaml", stored.YAML, Config, cyclic=True),
    "environment of a run": _of_run("env.json", stored.JSON, Environment),
    "membership": _beside_a_run("experiment.json", Membership),
    "evaluation": _beside_a_run("bars/evaluation-test.json", EvaluationRecord),
    "diagnosis": _beside_a_run("diagnosis-bars-test/diagnosis.json", DiagnosisRecord),
    "pack": Kind("cache/packs/*", stored.PACK, ("train", "check", "list"), find_pack, PackFiles),
    "half a pack": Kind(
        "half/packs/.*-v*",
        stored.HALF_PACK,
        ("train", "list"),
        lambda path: list_packs(path.parents[1]),
        HalfFiles,
        cache="half",
    ),
    "experiment": Kind("e.yaml", stored.YAML, ("dry-run",), _read_experiment, Experiment, cyclic=True),
}


class Bench:
    """A folder with a file of every kind, which each case gets as a copy.

    Args:
        root: Where it lies.
        render_every: Charts are rendered in one case of so many. In the others they are only painted: rendering is
            most of the work of a report.
    """

    def __init__(self, root: Path, render_every: int) -> None:
        self.base, self.box = root / "base", root / "box"
        self.render_every, self.cases = render_every, 0
        self.base.mkdir()
        self.bounds: dict[tuple[str, str], int] = {}

    def prepare(self) -> None:
        """Make the files, and load on the way what the commands load."""
        Image.new("RGB", (16, 16), (90, 80, 70)).save(self.base / "face.png")
        (self.base / "e.yaml").write_text(EXPERIMENT)
        with chdir(self.base), redirect_stdout(io.StringIO()):
            assert fer_run("train", *BARS, "-o", f"run.dir={ONE}") == 0
            assert fer_run("train", *BARS, "-o", "run.dir=runs/two", "--seed", "1") == 0
            shutil.copytree(ONE, "other/run")
            assert fer_run("evaluate", "other/run/best.safetensors", "bars", "--out", "other/run/bars") == 0
            assert fer_run("diagnose", "other/run", "bars", "--only", "mistakes,slices") == 0
        assert fork(_killed_before_the_second_save, self.base).status == 0
        self._leave_half_a_pack()
        stored.JSON.write(self.base / "other/run/experiment.json", {"format": 2, "experiment": "e", "grid": []})
        for drawn in self.base.rglob("c*.png"):
            drawn.unlink()
        with chdir(shutil.copytree(self.base, self.box)), redirect_stdout(io.StringIO()):
            for command in COMMANDS.keys() - {"train", *RESUMING}:
                assert fer_run(*COMMANDS[command]) == 0, command

    def _leave_half_a_pack(self) -> None:
        (pack,) = (self.base / "cache/packs").iterdir()
        half = self.base / "half/packs" / f".{pack.name}"
        half.mkdir(parents=True)
        manifest = stored.JSON.read(pack / "pack.json")
        stored.JSON.write(half / "building.json", {key: manifest[key] for key in ("dataset", "images")})
        stored.NUMBERS.write(half / "shapes.bin", [16, 16, 3] * (manifest["images"] // 2))
        shutil.copy(pack / "pixels.bin", half)

    def tree(self, kind: Kind) -> Any:
        """What the file of a kind holds."""
        return kind.file.read(_only(self.base, kind))

    def fault(self, kind: Kind, command: str, alter: Callable[[Path], None]) -> str:
        """What is wrong with how a command ends on a file that `alter` changed; empty where nothing is."""
        self.cases += 1

        def work() -> int:
            os.environ["FER_CACHE"] = kind.cache
            if self.cases % self.render_every:
                Figure.savefig = _save_nothing
            return fer_run(*COMMANDS[command])

        path = self.copy(kind)
        if (kind.path, command) not in self.bounds:
            plain = fork(work, self.box, seconds=PATIENCE)
            self.bounds[kind.path, command] = max(WORK, math.ceil(4 * plain.seconds))
            path = self.copy(kind)
        try:
            alter(path)
        except UnicodeEncodeError:  # text that no file of this kind can hold
            return ""
        outcome = fork(work, self.box, self.bounds[kind.path, command])
        return fault(outcome, [path.name, str(path.parent.relative_to(self.box))])

    def copy(self, kind: Kind) -> Path:
        """The file of a kind, in a fresh copy of what its commands read."""
        needed = {kind.path.partition("/")[0], "cache", "face.png"}
        shutil.rmtree(self.box, ignore_errors=True)
        others = {path.name for path in self.base.iterdir()} - needed
        shutil.copytree(self.base, self.box, ignore=lambda folder, _: others if folder == str(self.base) else ())
        return _only(self.box, kind)


def _save_nothing(figure: Figure, content: io.BytesIO, *, format: str, **_: Any) -> None:
    content.write(b'<svg width="1pt" height="1pt" viewBox="0 0 1 1"></svg>')


def _only(folder: Path, kind: Kind) -> Path:
    (path,) = folder.glob(kind.path)
    return path


def _killed_before_the_second_save() -> int:
    saves = []

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "os.rename" and str(arguments[1]).endswith("last.state.pt"):
            saves.append(event)
            if len(saves) == 2:
                os._exit(0)

    sys.addaudithook(watch)
    return fer_run("train", *BARS, "-o", f"run.dir={STOPPED}")

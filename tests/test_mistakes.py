"""Twelve mistakes of a new user: each is answered with the next thing to type, which then works.

Each is made on the public surface. `TABLE` has the mistake, what the answer must say, and what is typed next, with
what the answer says in the place of `{}`.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import fer_core
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from fer_core import FerError
from fer_core.cli import main
from fer_core.plugins import load_plugins
from PIL import Image
from torch.utils.data import DataLoader

SMALL = {
    "data": {"input_size": 32, "batch_size": 16, "options": {"size": 32, "samples": 140}},
    "train": {"epochs": 1},
    "callbacks": [],
}

EIGHT = "-o data.options.classes=8 -o data.options.samples=160 -o data.options.size=32"


@dataclass(frozen=True)
class Mistake:
    """What is typed, what the answer has in it, and what is typed then (`{}` stands for what the answer says)."""

    typed: str
    answer: str
    then: str


TABLE = {
    "a misspelt dataset": Mistake("train dan sinthetic", r"did you mean (synthetic)\?", "train dan {} --dry-run"),
    "model and dataset swapped": Mistake(
        "train synthetic dan",
        r"synthetic is a dataset and dan a model: write fer-run (train dan synthetic)",
        "{} --dry-run",
    ),
    "photographs in place of weights": Mistake(
        "evaluate photos", r"photos holds images, not weights: .* such as (runs/latest)", "evaluate {}"
    ),
    "no data at the root": Mistake(
        "data check folder",
        r"data/folder does not exist; .* give its folder with (--data) DIR",
        "data check folder {} photos",
    ),
    "no epochs": Mistake(
        "train dan synthetic --epochs 0",
        r"train.epochs is 0 \(-o\): expected a whole number of at least (1)",
        "train dan synthetic --epochs {} --dry-run",
    ),
    "an unknown option": Mistake(
        "train dan synthetic -o train.epoch=3",
        r"train.epoch: unknown key, did you mean (train.epochs)\?",
        "train dan synthetic -o {}=3 --dry-run",
    ),
    "evaluating a run that is not finished": Mistake(
        "evaluate stopped", r"stopped is not finished: resume it with fer-run (train --resume stopped)", "{}"
    ),
    "other classes": Mistake(
        f"evaluate runs/latest synthetic {EIGHT}",
        r"contempt, which .* was not trained on .* with (--classes shared)",
        f"evaluate runs/latest synthetic {EIGHT} {{}}",
    ),
    "corrupt weights": Mistake(
        "evaluate cut.safetensors",
        r"cut.safetensors is not a complete safetensors file .* (copy it again)",
        "evaluate copy.safetensors",
    ),
    "no weights to predict with": Mistake(
        "predict photos",
        r"none are installed: .* name yours with -m, such as (-m runs/latest)",
        "predict photos {}",
    ),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run, one that was stopped, photographs, and weights that were cut off."""
    folder = tmp_path_factory.mktemp("mistakes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FER_CACHE", str(folder / "cache"))
        patch.chdir(folder)
        run = fer_core.train("dan", "synthetic", device="cpu", **SMALL)
        shutil.copytree(run.folder, "stopped")
        Path("stopped/result.json").unlink()
        shutil.copytree("stopped", "unfinished")
        for label in ("happiness", "sadness"):
            for number in range(3):
                noise = np.random.default_rng(number).integers(0, 256, (40, 40, 3), dtype=np.uint8)
                (folder / "photos" / label).mkdir(parents=True, exist_ok=True)
                Image.fromarray(noise).save(folder / "photos" / label / f"{number}.png")
        Path("cut.safetensors").write_bytes(run.checkpoint.read_bytes()[:1_000_000])
        shutil.copy(run.checkpoint, "copy.safetensors")
    torch.use_deterministic_algorithms(False)
    return folder


@pytest.fixture
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FER_CACHE", str(place / "cache"))
    monkeypatch.delenv("FER_DATA", raising=False)
    monkeypatch.chdir(place)
    return place


@pytest.mark.parametrize("mistake", TABLE.values(), ids=TABLE)
def test_a_mistake_is_answered_with_what_to_type(
    here: Path, mistake: Mistake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(load_plugins().entries, "weights", {})  # of a user who has installed none
    first = CliRunner().invoke(main, shlex.split(mistake.typed))
    assert first.exit_code == 2, first.output
    line = first.stderr.splitlines()[0] if "Layout" in first.stderr else first.stderr.splitlines()[-1]
    found = re.search(mistake.answer, line)
    assert found, line
    second = CliRunner().invoke(main, shlex.split(mistake.then.format(found[1])))
    assert second.exit_code == 0, second.output


def test_resuming_a_finished_run_says_how_to_train_longer(here: Path) -> None:
    (run,) = Path("runs/dan-synthetic").iterdir()
    done = CliRunner().invoke(main, ["train", "--resume", "runs/latest"])
    assert done.exit_code == 0
    form = r"is finished already: .* train longer with fer-run (train --extend \S+ --epochs 2)"
    found = re.search(form, done.stderr)
    assert found, done.stderr
    assert str(run) in found[1]
    longer = CliRunner().invoke(main, [*shlex.split(found[1]), "-o", "run.dir=longer"])
    assert longer.exit_code == 0, longer.output


def test_a_plugin_that_is_missing_is_named(here: Path) -> None:
    def fer_run(environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "fer_core", "train", "dan", "synthetic", "--dry-run"]
        return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=120)

    off = fer_run({"FER_DISABLE_PLUGINS": "fer-models-dan"})
    assert off.returncode == 2
    assert "which FER_DISABLE_PLUGINS switches off: take it out of that list" in off.stderr
    assert fer_run({"FER_DISABLE_PLUGINS": ""}).returncode == 0


def test_a_loader_over_an_opened_dataset_says_what_to_write(here: Path) -> None:
    dataset = fer_core.open_dataset("synthetic", size=32, samples=140)
    code = answer(lambda: next(iter(DataLoader(dataset)))).partition("write ")[2]
    images, labels = next(iter(eval(code, {"DataLoader": DataLoader, "dataset": dataset})))
    assert images.shape == (1, 3, 224, 224)
    assert labels.shape == (1,)


PYTHON = {
    "a misspelt dataset": (lambda: fer_core.open_dataset("sinthetic"), "did you mean synthetic?"),
    "model and dataset swapped": (lambda: fer_core.train("synthetic", "dan"), "dan synthetic"),
    "photographs in place of weights": (lambda: fer_core.load_model("photos"), "such as runs/latest"),
    "no data at the root": (lambda: fer_core.open_dataset("rafdb"), "data/rafdb does not exist"),
    "no epochs": (
        lambda: fer_core.train("dan", "synthetic", train={"epochs": 0}),
        "train.epochs is 0 (argument): expected a whole number of at least 1",
    ),
    "an unknown option": (lambda: fer_core.create_model("dan", num_head=2), "did you mean num_heads?"),
    "evaluating a run that is not finished": (lambda: fer_core.evaluate("unfinished"), "--resume unfinished"),
    "other classes": (
        lambda: fer_core.evaluate("runs/latest", "synthetic", options={"classes": 8, "size": 32, "samples": 160}),
        "--classes shared",
    ),
    "corrupt weights": (lambda: fer_core.Predictor("cut.safetensors"), "copy it again"),
    "images that were normalised": (
        lambda: fer_core.Predictor("runs/latest", "cpu")(torch.randn(3, 40, 40)),
        "give floats in 0..1 (not normalised",
    ),
}


@pytest.mark.parametrize(("call", "said"), PYTHON.values(), ids=PYTHON)
def test_the_same_mistakes_in_a_program(here: Path, call: Callable[[], object], said: str) -> None:
    assert said in answer(call)


def answer(call: Callable[[], object]) -> str:
    with pytest.raises(FerError) as caught:
        call()
    return str(caught.value)

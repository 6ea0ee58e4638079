"""The example of every hook in `docs/reference/hooks.md`, installed as a plugin and used."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fer_core
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from fer_core.cli import main
from fer_core.components import build, find_value
from fer_core.data.splits import make_split
from fer_core.experiments.schema import read_experiment
from fer_core.hookspecs import device, loss, registry, trainer
from fer_core.metrics.apply import apply_metrics
from fer_core.plugins import load_plugins
from fer_core.registry import factory
from fer_core.returned import find_faces
from fer_core.testing import check_plugin, make_preprocessing
from fer_core.training.task import Task
from fer_core.types import Progress, TaskInfo
from PIL import Image

EXAMPLES = Path(__file__).parents[3] / "docs" / "hooks"
INFO = TaskInfo(("neutral", "happiness"), (2, 1))
HOOKS = {name for module in (registry, trainer, loss, device) for name in vars(module) if name.startswith("fer_")}


def model(folder: Path) -> None:
    made = fer_core.create_model("tiny", num_classes=3)
    assert made(torch.zeros(2, 3, 32, 32))["logits"].shape == (2, 3)


def dataset(folder: Path) -> None:
    for row, label in enumerate(("neutral", "happiness")):
        (folder / "train" / label).mkdir(parents=True)
        Image.new("RGB", (4, 6), (row, 0, 0)).save(folder / "train" / label / "a.png")
    opened = fer_core.open_dataset("office", folder)
    assert list(opened.table["label"]) == [1, 0]
    assert opened.read(0).tolist() == np.full((6, 4, 3), (1, 0, 0)).tolist()
    with pytest.raises(fer_core.FerError, match="is not laid out as office"):
        fer_core.open_dataset("office", folder / "train")


def split(folder: Path) -> None:
    table = {"id": list("abcd"), "label": [0, 1, 0, 1], "split": "", "group": list("xxxy")}
    films = SimpleNamespace(name="films", classes=INFO.classes, table=frame(table), refused={})
    made = make_split(films, {}, "leave-group-out:y", holdout=0.1, seed=0, select="last")
    assert (made.train.tolist(), made.val.tolist(), made.test.tolist()) == ([0, 1, 2], [], [3])
    with pytest.raises(fer_core.FerError, match="films has no group 'z'"):
        make_split(films, {}, "leave-group-out:z", holdout=0.1, seed=0, select="last")


SBATCH = """
import subprocess, sys
*options, wrapped = sys.argv[1:]
assert options[:2] == ["--wait", "--partition=long"], options
sys.exit(subprocess.run(wrapped.removeprefix("--wrap="), shell=True, capture_output=True).returncode)
"""


def frame(columns: dict[str, Any]) -> Any:
    import pandas as pd

    return pd.DataFrame(columns)


def transform(folder: Path) -> None:
    whole = fer_core.create_transform([{"invert": {"p": 1.0}}, "resize"], preprocessing=make_preprocessing(8))
    assert torch.equal(whole(Image.new("RGB", (8, 8))), torch.ones(3, 8, 8))


def detector(folder: Path) -> None:
    images = [np.zeros((40, 80, 3), np.uint8)]
    ((found,),) = find_faces(build("detectors", "centred", {}), images)
    assert found.box == (20, 10, 60, 30)
    assert find_faces(build("detectors", "centred", {"threshold": 0.95}), images) == [[]]
    Image.fromarray(images[0]).save(folder / "a.png")
    arguments = ["--out", str(folder / "faces"), "--detect", "centred", "--margin", "0"]
    result = CliRunner().invoke(main, ["data", "crop", str(folder / "a.png"), *arguments])
    assert result.exit_code == 0, result.output
    assert Image.open(folder / "faces" / "a.png").size == (40, 40)


def template(folder: Path) -> None:
    assert factory("templates", "passport").size == 200


def experiment(folder: Path) -> None:
    assert read_experiment("ten-seeds")["models"] == ["dan", "poster_pp"]


def executor(folder: Path) -> None:
    """`sbatch` is a script here, which does what it is asked for at once."""
    (folder / "sbatch").write_text(f"#!{sys.executable}\n{SBATCH}")
    (folder / "sbatch").chmod(0o755)
    runs = [
        SimpleNamespace(name=name, command=lambda device, name=name: ["list", name]) for name in ("losses", "x")
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        ended = list(build("executors", "slurm", {"partition": "long"}).execute(runs, "cpu"))
    assert ended == [(runs[0], ""), (runs[1], "its job ended with status 2")]


def command(folder: Path) -> None:
    assert CliRunner().invoke(main, ["greet", "Ada"]).stdout == "Hello Ada\n"


def fetch(folder: Path) -> None:
    assert load_plugins().fetch("drawer://x", folder) is None
    with pytest.raises(fer_core.FerError, match="shelf://x is not on the shelf"):
        load_plugins().fetch("shelf://x", folder)


def optimizer(folder: Path) -> None:
    assert build("optimizers", "rmsprop", {"lr": 0.5}, [torch.zeros(1)]).defaults["lr"] == 0.5


def scheduler(folder: Path) -> None:
    sgd = build("optimizers", "sgd", {"lr": 1.0}, [torch.nn.Parameter(torch.zeros(1))])
    schedule = build("schedulers", "linear", {"end": 0.5}, sgd, 2, 1)
    sgd.step(lambda: torch.zeros(()))
    schedule.step()
    assert schedule.get_last_lr() == [0.75]


def sampler(folder: Path) -> None:
    made = build("samplers", "rare_first", {}, np.array([0, 0, 1, 0]), 7)
    assert made.order(0)[0] == 2
    assert sorted(made.order(1)) == [0, 1, 2, 3]


def callback(folder: Path) -> None:
    training = SimpleNamespace(stop=None)
    made = build("callbacks", "give_up", {"epochs": 2})
    for epoch in (1, 2):
        assert training.stop is None
        made.on_evaluation(training, SimpleNamespace(epoch=epoch, train={"accuracy": 0.2}))
    assert training.stop == "training accuracy below 30% after 2 epochs"


def accelerator(folder: Path) -> None:
    assert find_value("devices", "xpu")().missing() in (None, "torch sees no Intel GPU")
    assert "xpu" in json.loads(CliRunner().invoke(main, ["doctor", "--json"]).stdout)["devices"]


def method(folder: Path) -> None:
    model = torch.nn.Linear(2, 2)
    task = Task(model, build("losses", "cross_entropy", {}, INFO))
    engine = SimpleNamespace(device=None, prepare=lambda module: None)
    data = SimpleNamespace(split=SimpleNamespace(unlabelled=None))
    setup = SimpleNamespace(task=task, config=None, info=INFO, engine=engine, data=data)
    made = build("trainers", "mean_teacher", {"decay": 0.75}, setup)
    before = model.weight.detach().clone()
    with torch.no_grad():
        model.weight += 4
    made.after_step(Progress(0, 1, 0, 1))
    assert torch.allclose(made.product_model().weight, before + 1)
    assert torch.equal(task.state_dict()["extra.teacher.weight"], made.product_model().weight)


def objective(folder: Path) -> None:
    focal = fer_core.create_loss("focal", classes=INFO.classes, gamma=0.0)
    logits, batch = torch.tensor([[0.0, 3.0]]), {"label": torch.tensor([1])}
    found = focal.from_output({"logits": logits}, batch, Progress(0, 1, 0, 1))
    assert torch.equal(found["loss"], torch.nn.functional.cross_entropy(logits, batch["label"]))


def metric(folder: Path) -> None:
    labels, scores = np.array([0, 0, 1, 1]), np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [0.4, 0.6]])
    assert apply_metrics(["kappa"], "classes", "the label", labels, scores) == {"kappa": 0.5}


def ready_weights(folder: Path) -> None:
    facts = json.loads(CliRunner().invoke(main, ["info", "dan-office", "--json"]).stdout)["weights"]
    assert (facts["model"], facts["card"]["figures"][1]["of_class"]) == ("dan", "fear")


USES: dict[str, Callable[[Path], None]] = {
    "fer_models": model,
    "fer_weights": ready_weights,
    "fer_datasets": dataset,
    "fer_splits": split,
    "fer_transforms": transform,
    "fer_detectors": detector,
    "fer_templates": template,
    "fer_experiments": experiment,
    "fer_executors": executor,
    "fer_commands": command,
    "fer_fetch": fetch,
    "fer_optimizers": optimizer,
    "fer_schedulers": scheduler,
    "fer_samplers": sampler,
    "fer_callbacks": callback,
    "fer_losses": objective,
    "fer_metrics": metric,
    "fer_devices": accelerator,
    "fer_trainers": method,
}


def test_every_hook_has_an_example() -> None:
    assert {folder.name for folder in EXAMPLES.iterdir()} == set(USES) == HOOKS


@pytest.mark.parametrize("hook", USES)
def test_the_example_works(hook: str, site, tmp_path) -> None:
    shutil.copytree(EXAMPLES / hook, site.root / "my_plugin", ignore=shutil.ignore_patterns("__pycache__"))
    site.install("my-plugin", None, module="my_plugin")
    check_examples = hook != "fer_experiments"  # it names models and datasets that other packages bring
    (plugin,) = check_plugin("my-plugin") if check_examples else load_plugins().loaded[1:]
    assert hook == "fer_fetch" or list(plugin.names) == [hook.removeprefix("fer_")]
    folder = tmp_path / "folder"
    folder.mkdir()
    USES[hook](folder)

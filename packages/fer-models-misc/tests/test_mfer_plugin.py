"""What MFER declares, and the recipes it names."""

from __future__ import annotations

import subprocess
import sys
from importlib.resources import files

import pytest
import torch
import yaml
from fer_core.config import resolve_config
from fer_core.registry import find
from fer_core.types import DatasetSpec
from fer_models_misc.mfer.spec import SPEC


def recipe(name):
    package, _, file = SPEC.recipes[name].partition(":")
    return yaml.safe_load(files(package).joinpath(file).read_text())


def test_declaring_it_loads_no_torch():
    code = "import sys, fer_models_misc.mfer.spec; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_it_is_found_by_its_name():
    assert find("models", "MFER") is SPEC
    assert find("losses", "mfer").__name__ == "MFERLoss"


@pytest.mark.parametrize(("name", "epochs"), [("anything", 40), ("rafdb", 100), ("synthetic", 2)])
def test_the_core_resolves_each_recipe(name, epochs):
    dataset = DatasetSpec(
        **dict.fromkeys(("factory", "summary", "licence", "homepage"), ""),
        **{key: {} for key in ("splits", "layouts", "expected_counts")},
        name=name,
        classes=tuple("abcdefg"),
        options={"samples": 0},
    )
    config = resolve_config(SPEC, dataset).config
    assert config.train.select == "best:val"
    assert config.train.epochs == epochs
    assert config.loss.name == "mfer"
    assert config.loss.options == {"smoothing": 0.1, "center": 0.0}
    assert config.data.input_size == (48 if name == "synthetic" else 224)
    optimizer = find("optimizers", config.optimizer.name)
    optimizer = optimizer([torch.nn.Parameter(torch.zeros(1))], **config.optimizer.options)
    find("schedulers", config.scheduler.name)(optimizer, total=4, per_epoch=2, **config.scheduler.options)


def test_the_rafdb_recipe_is_that_of_the_authors_script():
    found = recipe("rafdb")
    assert found["model"] == {"drop_path_rate": 0.25}
    adamw = {
        "name": "adamw",
        "lr": 1e-3,
        "betas": [0.9, 0.999],
        "eps": 1e-8,
        "weight_decay": 0.01,
        "decay_vectors": True,
    }
    assert found["optimizer"] == adamw
    assert found["train"]["clip_norm"] is None
    assert found["scheduler"] == {"name": "exponential", "per": "epoch", "gamma": 0.95}
    assert found["train"]["epochs"] == 100
    assert found["train"]["precision"] == "tf32"
    data = found["data"]
    assert (data["batch_size"], data["input_size"], data["sampler"]) == (32, 224, "shuffle")
    assert data["train_transforms"] == data["eval_transforms"] == ["resize", "normalize"]  # nothing random
    assert (data["mean"], data["std"]) == ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])

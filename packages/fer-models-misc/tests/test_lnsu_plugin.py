"""What LNSU-Net declares, and the recipes it names."""

from __future__ import annotations

import subprocess
import sys
from importlib.resources import files

import pytest
import torch
import yaml
from fer_core.config import resolve_config
from fer_core.data.random import SampleRandom
from fer_core.data.transforms import build_pipeline
from fer_core.preprocessing import Preprocessing
from fer_core.registry import find
from fer_core.types import DatasetSpec
from fer_models_misc.lnsu.spec import SPEC


def recipe(name):
    package, _, file = SPEC.recipes[name].partition(":")
    return yaml.safe_load(files(package).joinpath(file).read_text())


def test_declaring_it_loads_no_torch():
    code = "import sys, fer_models_misc.lnsu.spec; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", ["lnsu", "LNSU-Net", "lnsunet", "MEK"])
def test_it_is_found_by_its_names(name):
    assert find("models", name) is SPEC
    assert find("losses", "lnsu").__name__ == "LNSULoss"


@pytest.mark.parametrize("name", ["anything", "rafdb", "synthetic"])
def test_the_core_resolves_each_recipe(name):
    dataset = DatasetSpec(
        **dict.fromkeys(("factory", "summary", "licence", "homepage"), ""),
        **{key: {} for key in ("splits", "layouts", "expected_counts")},
        name=name,
        classes=tuple("abcdefg"),
        options={"samples": 0},
    )
    config = resolve_config(SPEC, dataset).config
    assert config.data.input_size == 112
    assert config.train.select == "best:val"
    assert config.train.clip_norm == 5
    assert config.loss.name == "lnsu"
    assert tuple(config.data.mean) == tuple(config.data.std) == (0.5, 0.5, 0.5)
    assert config.train.steps == (60_000 if name == "rafdb" else None)
    preprocessing = Preprocessing.from_config(config.data)
    pictures = torch.randint(256, (2, 3, 100, 100), dtype=torch.uint8)
    for items in (config.data.train_transforms, config.data.eval_transforms):
        batch = build_pipeline(preprocessing, items).batch(pictures, SampleRandom(0, 0, torch.arange(2)))
        assert batch.shape == (2, 3, 112, 112)


def test_the_rafdb_recipe_has_the_authors_values():
    found = recipe("rafdb")
    adamw = {
        "name": "adamw",
        "lr": 3.125e-5,
        "betas": [0.9, 0.999],
        "eps": 1e-8,
        "weight_decay": 0.05,
        "decay_vectors": True,
    }
    assert found["optimizer"] == adamw
    assert found["loss"] == {"name": "lnsu", "smoothing": 0.3, "consistency": 0.1, "joined": False}
    assert (found["data"]["batch_size"], found["data"]["eval_batch_size"]) == (32, 64)
    erasing = {"p": 0.25, "scale": [0.02, 1 / 3], "ratio": [0.3, 1 / 0.3], "value": "noise"}
    assert found["data"]["train_transforms"][-1] == {"random_erasing": erasing}
    augment = found["data"]["train_transforms"][2]["rand_augment"]
    assert (augment["num_ops"], augment["magnitude"], augment["magnitude_std"]) == (2, 9, 0.5)
    assert found["train"]["precision"] == "tf32"


def test_the_rafdb_schedule_takes_the_authors_rates():
    found = recipe("rafdb")
    name, per = found["scheduler"].pop("name"), found["scheduler"].pop("per")
    optimizer = find("optimizers", found["optimizer"].pop("name"))
    optimizer = optimizer([torch.nn.Parameter(torch.zeros(1))], **found["optimizer"])
    schedule = find("schedulers", name)(optimizer, total=60_000, per_epoch=384, **found["scheduler"])
    rates = {}
    for done in (0, 1, 1001, 2001, 30_001, 59_999):  # the rate of step t is set after step t
        schedule.last_epoch = done
        (rates[done],) = schedule.get_lr()
    assert per == "step"
    assert rates == pytest.approx(
        {0: 3.125e-8, 1: 3.125e-8, 1001: 1.5641e-5, 2001: 3.1165e-5, 30_001: 1.5781e-5, 59_999: 3.125e-7}, rel=5e-5
    )

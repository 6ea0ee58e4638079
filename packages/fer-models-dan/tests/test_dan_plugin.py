"""What the plugin declares, and the recipes it names."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from importlib.resources import files

import pytest
import yaml
from fer_core.types import ModelSpec, TaskInfo
from fer_models_dan import plugin

SECTIONS = {
    "model": set(),
    "data": {
        *("batch_size", "color", "eval_transforms", "input_size", "mean", "sampler", "split", "std"),
        "train_transforms",
    },
    "loss": {"name", "centers", "affinity", "partition"},
    "optimizer": {"name", "lr", "momentum", "weight_decay"},
    "scheduler": {"name", "per", "every", "gamma", "warmup", "min_lr"},
    "train": {"epochs", "precision", "select", "metric"},
}
FLIP = {"horizontal_flip": {"p": 0.5}}


def spec() -> ModelSpec:
    (only,) = plugin.fer_models()
    return only


def recipe(name):
    package, _, file = spec().recipes[name].partition(":")
    return yaml.safe_load(files(package).joinpath(file).read_text())


def resolve(ref):
    module, _, attribute = ref.partition(":")
    return getattr(import_module(module), attribute)


def test_importing_the_plugin_loads_no_torch():
    code = "import sys, fer_models_dan.plugin; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_references_lead_to_a_model_a_loss_and_a_converter():
    info = TaskInfo(("a", "b"))
    model = resolve(spec().factory)(info, num_heads=1)
    loss = resolve(plugin.fer_losses()["dan"])(info)
    assert loss.centers.shape[0] == 2
    assert resolve(spec().converter)(model.state_dict()).keys() == model.state_dict().keys()


@pytest.mark.parametrize("name", ["default", "rafdb", "affectnet"])
def test_recipes_use_known_sections_and_an_honest_selection(name):
    found = recipe(name)
    for section, values in found.items():
        assert values.keys() <= SECTIONS[section], section
    assert found["train"]["select"] == "best:val"
    resolve(plugin.fer_losses()["dan"])(
        TaskInfo(tuple("abcdefg")), **{key: value for key, value in found["loss"].items() if key != "name"}
    )


def test_the_rafdb_recipe_is_that_of_the_authors_script():
    found = recipe("rafdb")
    assert found["optimizer"] == {"name": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 1e-4}
    assert found["scheduler"] == {"name": "step", "per": "epoch", "every": 10, "gamma": 0.1}
    assert found["train"]["epochs"] == 40
    assert (found["data"]["batch_size"], found["data"]["sampler"]) == (256, "shuffle")
    assert found["loss"] == {"name": "dan", "centers": 8, "affinity": 1.0, "partition": 1.0}
    joint = {"p": 0.2, "transforms": [{"rotation": {"degrees": 20}}, {"random_crop": {"padding": 0.142857}}]}
    erasing = {"p": 0.5, "scale": [0.02, 0.25], "ratio": [0.3, 3.3]}
    assert found["data"]["train_transforms"] == [
        "resize",
        FLIP,
        {"random_apply": joint},
        "normalize",
        {"random_erasing": erasing},
    ]
    assert round(0.142857 * 224) == 32


def test_the_affectnet_recipe_is_that_of_the_authors_script():
    found = recipe("affectnet")
    assert found["optimizer"] == {"name": "adam", "lr": 1e-4, "weight_decay": 0.0}
    assert found["scheduler"] == {"name": "exponential", "per": "epoch", "gamma": 0.6}
    assert found["train"]["epochs"] == 10
    assert (found["data"]["batch_size"], found["data"]["sampler"]) == (256, "balanced")
    assert found["loss"] == {"name": "dan", "centers": None, "affinity": 1.0, "partition": 1.0}
    affine = {"affine": {"degrees": 20, "translate": [0.2, 0.2], "scale": [0.8, 1.0]}}
    erasing = {"p": 0.5, "scale": [0.02, 0.33], "ratio": [0.3, 3.3]}
    assert found["data"]["train_transforms"] == [
        "resize",
        FLIP,
        {"random_apply": {"p": 0.7, "transforms": [affine]}},
        "normalize",
        {"random_erasing": erasing},
    ]

"""What the plugin declares, and the recipes it names."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from importlib.resources import files

import pytest
import torch
import yaml
from fer_core.config import resolve_config
from fer_core.data.random import SampleRandom
from fer_core.data.transforms import build_pipeline
from fer_core.preprocessing import Preprocessing
from fer_core.registry import find
from fer_core.types import DatasetSpec, ModelSpec, TaskInfo
from fer_models_dan import plugin

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


@pytest.mark.parametrize("name", ["default", "rafdb", "affectnet", "sfew", "synthetic"])
def test_the_core_builds_everything_a_recipe_names(name):
    dataset = DatasetSpec(
        **dict.fromkeys(("factory", "summary", "licence", "homepage"), ""),
        **{key: {} for key in ("splits", "layouts", "expected_counts")},
        name=name,
        classes=tuple("abcdefg"),
    )
    config = resolve_config(spec(), dataset).config
    assert config.train.select == "best:val"
    assert config.train.epochs == recipe(name)["train"]["epochs"]
    preprocessing = Preprocessing.from_config(config.data.model_copy(update={"input_size": 64}))
    pictures = torch.randint(256, (2, 3, 80, 80), dtype=torch.uint8)
    for transforms in (config.data.train_transforms, config.data.eval_transforms):
        batch = build_pipeline(preprocessing, transforms).batch(pictures, SampleRandom(0, 0, torch.arange(2)))
        assert batch.shape == (2, 3, 64, 64)
    loss = find("losses", config.loss.name)(TaskInfo(dataset.classes), **config.loss.options)
    optimizer = find("optimizers", config.optimizer.name)(loss.parameters(), **config.optimizer.options)
    scheduler = find("schedulers", config.scheduler.name)
    scheduler(optimizer, total=1, per_epoch=1, **config.scheduler.options)  # a run of one epoch, to try things


def test_the_rafdb_recipe_is_that_of_the_authors_script():
    found = recipe("rafdb")
    assert found["optimizer"] == {
        "name": "sgd",
        "lr": 0.1,
        "momentum": 0.9,
        "weight_decay": 1e-4,
        "decay_vectors": True,
    }
    assert found["scheduler"] == {"name": "step", "per": "epoch", "every": 10, "gamma": 0.1}
    assert found["train"]["epochs"] == 40
    assert (found["data"]["batch_size"], found["data"]["sampler"]) == (256, "shuffle")
    assert found["loss"] == {"name": "dan", "centers": 8, "affinity": 1.0, "partition": 1.0}
    joint = {"p": 0.2, "transforms": [{"rotation": {"degrees": 20}}, {"random_crop": {"padding": 0.142857}}]}
    erasing = {"p": 0.5, "scale": [0.02, 0.25], "ratio": [0.3, 3.3], "value": 0}
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
    assert found["optimizer"] == {
        "name": "adam",
        "lr": 1e-4,
        "betas": [0.9, 0.999],
        "eps": 1e-8,
        "weight_decay": 0.0,
    }
    assert found["scheduler"] == {"name": "exponential", "per": "epoch", "gamma": 0.6}
    assert found["train"]["epochs"] == 10
    assert (found["data"]["batch_size"], found["data"]["sampler"]) == (256, "balanced")
    assert found["loss"] == {"name": "dan", "centers": None, "affinity": 1.0, "partition": 1.0}
    affine = {"affine": {"degrees": 20, "translate": [0.2, 0.2], "scale": [0.8, 1.0]}}
    erasing = {"p": 0.5, "scale": [0.02, 0.33], "ratio": [0.3, 3.3], "value": 0}
    assert found["data"]["train_transforms"] == [
        "resize",
        FLIP,
        {"random_apply": {"p": 0.7, "transforms": [affine]}},
        "normalize",
        {"random_erasing": erasing},
    ]


def test_the_sfew_recipe_has_the_images_of_the_authors_answer_and_the_rest_of_our_default():
    found, ours = recipe("sfew"), recipe("default")
    affine = {"affine": {"degrees": 20, "translate": [0.2, 0.2], "scale": [0.8, 1.0]}}
    joint = {"random_apply": {"p": 0.5, "transforms": [affine]}}
    assert found["data"]["train_transforms"] == ["resize", FLIP, joint, "normalize"]
    assert found["data"]["input_size"] == 224
    for section in ("loss", "optimizer", "scheduler", "train"):
        assert found[section] == ours[section]

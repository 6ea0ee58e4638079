"""What the plugin declares, and the recipes it names."""

from __future__ import annotations

import subprocess
import sys

import fer_core
import pytest
import torch
from fer_core.config import resolve_config
from fer_core.registry import find
from fer_core.testing import check_plugin
from fer_core.types import DatasetSpec, TaskInfo, class_names

MODELS = ("ddamfn", "ddamfn_pp")
FLIP = {"horizontal_flip": {"p": 0.5}}
AFFINE = {"affine": {"degrees": 20, "translate": [0.2, 0.2], "scale": [0.8, 1.0]}}
RATIO = [0.3, 3.3]


def config_of(model, dataset):
    spec = DatasetSpec(
        **dict.fromkeys(("factory", "summary", "licence", "homepage"), ""),
        **{key: {} for key in ("splits", "layouts", "expected_counts")},
        name=dataset,
        classes=class_names(7),
    )
    return resolve_config(find("models", model), spec).config


def shaken(p, degrees, padding):
    return {
        "random_apply": {
            "p": p,
            "transforms": [{"rotation": {"degrees": degrees}}, {"random_crop": {"padding": padding}}],
        }
    }


def erasing(p, low, high):
    return {"random_erasing": {"p": p, "scale": [low, high], "ratio": RATIO, "value": 0}}


def test_everything_the_plugin_names_is_there():
    (plugin,) = check_plugin("fer-models-ddamfn")
    assert plugin.name == "models_ddamfn"
    assert set(plugin.names["models"]) >= set(MODELS)


def test_importing_the_plugin_loads_no_torch():
    code = "import sys, fer_models_ddamfn.plugin; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("alias", ["ddamfn_pp", "ddamfn-pp", "DDAMFN++", "ddamfnpp"])
def test_the_second_model_has_the_names_that_users_type(alias):
    assert find("models", alias).name == "ddamfn_pp"


@pytest.mark.parametrize("model", MODELS)
def test_the_core_makes_converts_and_describes_both_models(model, reference):
    network = fer_core.create_model(model, num_classes=7)
    network.load_state_dict(fer_core.convert_upstream(model, reference.state), strict=True)
    assert fer_core.create_model(model, num_classes=3, num_heads=4).num_heads == 4
    loss = fer_core.create_loss("ddamfn", classes=class_names(3))
    assert loss.attention == 0.1


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("dataset", ["other", "synthetic", "rafdb", "affectnet", "ferplus"])
def test_the_core_builds_everything_a_recipe_names(model, dataset):
    config = config_of(model, dataset)
    assert (config.train.select, config.data.input_size, config.data.color) == ("best:val", 112, "rgb")
    loss = find("losses", config.loss.name)(TaskInfo(class_names(7)), **config.loss.options)
    assert loss.attention == 0.1
    parameters = [torch.nn.Parameter(torch.zeros(2))]
    optimizer = find("optimizers", config.optimizer.name)(parameters, **config.optimizer.options)
    assert (optimizer.__class__.__name__ == "SAM") == (model == "ddamfn_pp")
    scheduler = find("schedulers", config.scheduler.name)
    scheduler(optimizer, total=1, per_epoch=1, **config.scheduler.options)  # a run of one epoch, to try things


@pytest.mark.parametrize(
    ("model", "dataset", "middle", "erased"),
    [
        ("ddamfn", "rafdb", shaken(0.2, 5, 0.0714286), erasing(0.5, 0.02, 0.25)),
        ("ddamfn", "ferplus", shaken(0.2, 10, 0.142857), erasing(0.5, 0.02, 0.25)),
        ("ddamfn", "affectnet", {"random_apply": {"p": 0.7, "transforms": [AFFINE]}}, erasing(0.5, 0.02, 0.33)),
        ("ddamfn_pp", "rafdb", shaken(0.5, 5, 0.0714286), erasing(0.5, 0.02, 0.25)),
        ("ddamfn_pp", "affectnet", {"random_apply": {"p": 0.7, "transforms": [AFFINE]}}, erasing(1.0, 0.05, 0.05)),
    ],
)
def test_images_are_changed_as_in_the_authors_script(model, dataset, middle, erased):
    data = config_of(model, dataset).data
    assert data.train_transforms == ["resize", FLIP, middle, "normalize", erased]
    assert data.eval_transforms == ["resize", "normalize"]
    assert (list(data.mean), list(data.std)) == ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    assert (round(0.0714286 * 112), round(0.142857 * 112)) == (8, 16)


SGD = ("sgd", {"lr": 0.01, "momentum": 0.9, "weight_decay": 1e-4, "decay_vectors": True})
ADAM = {"betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.0}
STEP = ("step", {"every": 10, "gamma": 0.1})


def sam(rate):
    return "sam", {"base": "adam", "rho": 0.05, "adaptive": False, "lr": rate, **ADAM}


@pytest.mark.parametrize(
    ("model", "dataset", "batch", "sampler", "optimizer", "schedule", "epochs"),
    [
        ("ddamfn", "rafdb", 256, "shuffle", SGD, STEP, 40),
        ("ddamfn", "ferplus", 256, "shuffle", SGD, STEP, 80),
        (
            "ddamfn",
            "affectnet",
            256,
            "balanced",
            ("adam", {"lr": 1e-4, **ADAM}),
            ("exponential", {"gamma": 0.6}),
            40,
        ),
        ("ddamfn_pp", "rafdb", 128, "shuffle", sam(5e-4), ("exponential", {"gamma": 0.9}), 60),
        ("ddamfn_pp", "affectnet", 256, "balanced", sam(1e-5), ("exponential", {"gamma": 0.98}), 200),
    ],
)
def test_training_runs_as_in_the_authors_script(model, dataset, batch, sampler, optimizer, schedule, epochs):
    config = config_of(model, dataset)
    assert (config.data.batch_size, config.data.sampler.name) == (batch, sampler)
    assert (config.optimizer.name, config.optimizer.options) == optimizer
    assert (config.scheduler.name, config.scheduler.options) == schedule
    assert config.scheduler.per == "epoch"
    assert (config.train.epochs, config.train.precision) == (epochs, "tf32")

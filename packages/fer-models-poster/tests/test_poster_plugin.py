"""What the plugin declares, and the recipes it names."""

from __future__ import annotations

import subprocess
import sys

import pytest
from fer_core.config import resolve_config
from fer_core.registry import find
from fer_core.testing import check_plugin
from fer_core.types import DatasetSpec

ADAM = {"betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.0}
ERASING = {"p": 0.5, "scale": [0.02, 0.1], "ratio": [0.3, 3.3], "value": 0}
ERASING_PP = {"p": 1.0, "scale": [0.05, 0.05], "ratio": [0.3, 3.3], "value": 0}
NOISE = {
    "one_of": {"p": 0.5, "transforms": [{"horizontal_flip": {"p": 1.0}}, {"gaussian_noise": {"variance": 30}}]}
}
FLIP = {"horizontal_flip": {"p": 0.5}}


def config(model, dataset):
    stand_in = DatasetSpec(
        **dict.fromkeys(("factory", "summary", "licence", "homepage"), ""),
        **{key: {} for key in ("splits", "layouts", "expected_counts")},
        name=dataset,
        classes=tuple("abcdefg"),
    )
    return resolve_config(find("models", model), stand_in).config


def test_everything_the_plugin_names_is_there():
    (plugin,) = check_plugin("fer-models-poster")
    assert plugin.name == "models_poster"
    assert plugin.names["models"] == ("poster", "poster_pp")


def test_importing_the_plugin_loads_no_torch():
    code = "import sys, fer_models_poster.plugin; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", ["poster++", "POSTERpp", "poster_v2", "posterv2", "poster2", "poster-pp"])
def test_poster_pp_has_the_names_that_people_use(name):
    assert find("models", name).name == "poster_pp"


@pytest.mark.parametrize(
    ("dataset", "lr", "sampler", "color", "mixing"),
    [("rafdb", 4e-5, "shuffle", "bgr", True), ("affectnet", 2e-6, "balanced", "rgb", False)],
)
def test_recipes_of_poster_are_those_of_the_authors(dataset, lr, sampler, color, mixing):
    found = config("poster", dataset)
    assert found.model.options == {"type": "large", "token_mixing": mixing}
    assert (found.data.batch_size, found.data.sampler.name, found.data.color) == (200, sampler, color)
    assert found.loss.name == "poster"
    assert found.loss.options == {"smoothing": 0.2, "weight": 2.0}
    expected = {"base": "adam", "rho": 0.05, "adaptive": False, "lr": lr, **ADAM}
    assert (found.optimizer.name, found.optimizer.options) == ("sam", expected)
    assert (found.scheduler.name, found.scheduler.per, found.scheduler.options) == (
        "exponential",
        "epoch",
        {"gamma": 0.98},
    )
    assert (found.train.epochs, found.train.precision, found.train.select) == (300, "tf32", "best:val")
    assert (found.data.mean, found.data.std) == ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    assert found.data.train_transforms == [NOISE, FLIP, "resize", "normalize", {"random_erasing": ERASING}]


@pytest.mark.parametrize(
    ("dataset", "lr", "sampler", "erasing"),
    [
        ("rafdb", 3.5e-5, "shuffle", ERASING),
        ("affectnet", 1e-6, "balanced", ERASING_PP),
        ("caers", 4e-5, "shuffle", ERASING_PP),
    ],
)
def test_recipes_of_poster_pp_are_those_of_the_authors(dataset, lr, sampler, erasing):
    found = config("poster_pp", dataset)
    assert (found.data.batch_size, found.data.sampler.name, found.data.color) == (144, sampler, "rgb")
    assert (found.loss.name, found.loss.options) == ("cross_entropy", {"label_smoothing": 0.0})
    expected = {"base": "adam", "rho": 0.05, "adaptive": False, "lr": lr, **ADAM}
    assert (found.optimizer.name, found.optimizer.options) == ("sam", expected)
    assert (found.scheduler.name, found.scheduler.per, found.scheduler.options) == (
        "exponential",
        "epoch",
        {"gamma": 0.98},
    )
    assert (found.train.epochs, found.train.precision, found.train.select) == (200, "tf32", "best:val")
    assert found.data.train_transforms == ["resize", FLIP, "normalize", {"random_erasing": erasing}]


@pytest.mark.parametrize("model", ["poster", "poster_pp"])
def test_every_other_dataset_gets_the_default(model):
    found = config(model, "somewhere")
    assert (found.optimizer.name, found.train.select, found.train.precision) == ("adamw", "best:val", "auto")
    assert found.data.input_size == 224

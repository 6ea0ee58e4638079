"""What GSDNet declares, and its recipes."""

from __future__ import annotations

import pytest
from fer_core.config import resolve_config
from fer_core.refs import resolve
from fer_core.registry import find
from fer_core.types import DatasetSpec, TaskInfo
from fer_models_misc.gsdnet.spec import LOSSES, SPEC


def config_of(name):
    dataset = DatasetSpec(
        **dict.fromkeys(("factory", "summary", "licence", "homepage"), ""),
        **{key: {} for key in ("splits", "layouts", "expected_counts")},
        options={"samples": 100},
        name=name,
        classes=tuple("abcdefg"),
    )
    return resolve_config(SPEC, dataset).config


@pytest.mark.parametrize("name", ["gsdnet", "gsd-net", "GSDNet", "gsd_net"])
def test_it_is_found_by_its_names(name):
    assert find("models", name).name == "gsdnet"


def test_every_reference_leads_somewhere():
    for reference in (
        SPEC.factory,
        SPEC.converter,
        SPEC.describe,
        SPEC.backbone,
        SPEC.inference,
        *LOSSES.values(),
    ):
        assert callable(resolve(reference))


@pytest.mark.parametrize("name", ["rafdb", "synthetic", "another"])
def test_the_core_builds_what_a_recipe_names(name):
    config = config_of(name)
    assert config.train.select == "best:val"
    loss = find("losses", config.loss.name)(TaskInfo(tuple("abcdefg")), **config.loss.options)
    assert (loss.distance, loss.soft, loss.temperature, loss.aliased) == (0.01, 0.3, 3.0, True)
    model = resolve(SPEC.factory)(TaskInfo(("a", "b")), exits=False)
    optimizer = find("optimizers", config.optimizer.name)(model.parameters(), **config.optimizer.options)
    find("schedulers", config.scheduler.name)(optimizer, total=4, per_epoch=1, **config.scheduler.options)


def test_the_rafdb_recipe_is_that_of_the_authors_script():
    config = config_of("rafdb")
    data = config.data
    assert (data.input_size, data.batch_size, data.drop_last, data.sampler.name) == (224, 64, True, "shuffle")
    adam = {"lr": 1e-4, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 1e-4, "decay_vectors": True}
    assert (config.optimizer.name, config.optimizer.options) == ("adam", adam)
    assert (config.scheduler.name, config.scheduler.per) == ("exponential", "epoch")
    assert config.scheduler.options == {"gamma": 0.9}
    assert (config.train.epochs, config.train.precision) == (40, "tf32")
    joint = {"p": 0.2, "transforms": [{"rotation": {"degrees": 20}}, {"random_crop": {"padding": 0.142857}}]}
    assert data.train_transforms == [
        "resize",
        {"horizontal_flip": {"p": 0.5}},
        {"random_apply": joint},
        "normalize",
        {"random_erasing": {"p": 0.5, "scale": [0.02, 0.25], "ratio": [0.3, 3.3], "value": 0}},
    ]
    assert data.eval_transforms == ["resize", "normalize"]
    assert (data.mean, data.std, data.color) == ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225], "rgb")
    assert round(0.142857 * 224) == 32

"""From a configuration to data that can be read, and what is checked and recorded on the way."""

from __future__ import annotations

import importlib.metadata

import numpy as np
import pytest
import torch
from fer_core import FerError, registry
from fer_core.checks import check_components
from fer_core.config import Config, resolve_config
from fer_core.data.prepare import divide, make_loader, open_configured, prepare_data
from fer_core.data.union import find_dataset
from fer_core.engine.devices import Cpu
from fer_core.plugins import installed_versions
from fer_core.runs.versions import decisive_versions
from fer_core.weights.origin import component_of, list_components
from fer_core.workflows.extend import lengthen

CPU = Cpu()


def config(*overrides: str) -> Config:
    small = ("data.input_size=16", "data.batch_size=16", "data.workers=0", "callbacks=[]")
    return resolve_config(
        registry.find("models", "tiny"), find_dataset("bars"), overrides=[*small, *overrides]
    ).config


def test_prepared_data_counts_the_classes_of_each_part(tiny) -> None:
    data = prepare_data(config())
    table = data.dataset.table
    for role in ("train", "val", "test"):
        rows = data.rows(role)
        assert (table["split"].iloc[rows] == role).all()
        names = [data.dataset.classes[label] for label in table["label"].iloc[rows]]
        assert data.counts(role) == {name: names.count(name) for name in data.dataset.classes}
    assert sum(len(data.rows(role)) for role in ("train", "val", "test")) == len(table) == len(data.pack)


def test_a_check_of_an_experiment_divides_as_the_run_does(tiny) -> None:
    chosen = config("data.split=kfold:3:1", "data.split_seed=4")
    assert divide(chosen, *open_configured(chosen)).digest == prepare_data(chosen).split.digest
    assert (
        prepare_data(config("data.split=kfold:3:2", "data.split_seed=4")).split.digest
        != divide(chosen, *open_configured(chosen)).digest
    )


def test_data_of_one_class_are_refused(tiny) -> None:
    with pytest.raises(FerError, match="bars has only the class happiness, so there is nothing to classify"):
        prepare_data(config("data.options={classes: 1}"))


def test_loaders_of_training_draw_and_those_of_evaluation_do_not(tiny) -> None:
    chosen = config("data.eval_batch_size=5", "data.train_transforms=[resize, horizontal_flip, normalize]")
    data = prepare_data(chosen)
    training = make_loader(data, data.rows("train"), chosen, CPU, training=True)
    evaluation = make_loader(data, data.rows("train"), chosen, CPU, training=False)
    first, again, second = (
        [row for batch in training.epoch(number) for row in batch["index"].tolist()] for number in (0, 0, 1)
    )
    assert first == again != second
    assert sorted(first) == sorted(second) == list(range(len(data.rows("train"))))
    plain = list(evaluation.epoch(0))
    assert [row for batch in plain for row in batch["index"].tolist()] == sorted(first)
    assert {len(batch["label"]) for batch in plain} <= {5, len(data.rows("train")) % 5}
    for one, other in zip(plain, evaluation.epoch(1), strict=True):
        assert torch.equal(one["image"], other["image"])
    labels = np.concatenate([batch["label"].numpy() for batch in plain])
    assert (labels == data.dataset.table["label"].to_numpy()[data.rows("train")]).all()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.widht=4", "model.widht: unknown option of tiny, did you mean width"),
        ("loss=cross_entropi", "there is no loss 'cross_entropi'"),
        ("optimizer={name: sgd, lr: fast}", "optimizer.lr is fast"),
        ("scheduler=cosin", "there is no scheduler 'cosin'"),
        ("data.sampler=shufle", "there is no sampler 'shufle'"),
        ("callbacks=[progres]", "there is no callback 'progres'"),
        ("train.trainer=standart", "there is no trainer 'standart'"),
        ("run.device=cudda", "there is no device 'cudda'"),
        ("data.train_transforms=[rotatoin]", "there is no transform 'rotatoin'"),
        ("data.eval_transforms=[resize, {normalize: {mena: 1}}]", "unknown option of normalize"),
        ("data.alignment={kind: points, template: arcfase, size: 16}", "there is no template 'arcfase'"),
    ],
)
def test_every_component_of_a_configuration_is_checked_before_data_are_read(tiny, override, message) -> None:
    with pytest.raises(FerError) as error:
        check_components(config(override))
    assert message in str(error.value)


def test_a_run_is_made_of_all_that_its_configuration_names(tiny) -> None:
    components = list_components(config("optimizer={name: sam, lr: 0.1, base: sgd}"), "cpu")
    found = {(of.kind, of.name): of for of in components}
    assert {("models", "tiny"), ("datasets", "bars"), ("optimizers", "sam"), ("optimizers", "sgd")} <= set(found)
    assert ("devices", "cpu") in found
    assert found["models", "tiny"] == component_of("models", "tiny")
    assert found["models", "tiny"].distribution == "fer-tests"
    assert found["optimizers", "sam"].version == importlib.metadata.version("fer-core")
    assert decisive_versions(found.values())["fer-tests"] == "0"


def test_a_distribution_that_is_not_installed_has_no_version() -> None:
    found = installed_versions(["no-such-distribution", "fer-core"])
    assert found == {"fer-core": importlib.metadata.version("fer-core")}


def test_a_longer_run_has_another_length_and_a_folder_of_its_own(tiny) -> None:
    before = config("train.epochs=3", "run.dir=runs/a")
    longer = lengthen(before, 5, ["data.workers=1"])
    assert (longer.train.epochs, longer.run.dir, longer.data.workers) == (5, None, 1)
    with pytest.raises(FerError, match=r"nothing but the length, and another value is given for optimizer\.lr"):
        lengthen(before, 5, ["optimizer.lr=0.5"])
    with pytest.raises(FerError, match=r"the run's length is train\.steps=20"):
        lengthen(config("train.steps=20"), 5, [])

"""The two protocols of fer-datasets as their authors ran them, and the figures published for one of them."""

from __future__ import annotations

import numpy as np
import pytest
from fer_core import registry
from fer_core.data.splits import make_split
from fer_core.experiments.plan import make_plan
from fer_core.experiments.schema import check_experiment, read_experiment
from fer_core.experiments.splits import expand_split
from fer_core.reports.claims import read_published
from fer_datasets.synthetic import Synthetic
from sklearn.model_selection import ShuffleSplit, train_test_split

DATASETS = ("rafdb", "ferplus", "fer2013", "expw", "sfew", "ckplus")
PAPERS = ("poster", "poster_pp", "dan", "ddamfn", "lnsu", "adadf", "mfer", "gsdnet")
BATCHES = {
    "poster": (128, 64, 128, 64, 32, 32),
    "poster_pp": (32, 32, 32, 32, 32, 32),
    "dan": (128, 64, 64, 64, 32, 32),
    "ddamfn": (128, 64, 64, 64, 32, 32),
    "lnsu": (32, 32, 32, 32, 32, 32),
    "adadf": (128, 64, 128, 64, 32, 32),
    "gsdnet": (32, 32, 32, 32, 32, 32),
}
"""`--batch_size` of the 42 scripts of FER-crossval, in the order of DATASETS."""
T_MAX = {
    "poster": (20, 20, 20, 20, 100, 100),
    "dan": (20, 20, 20, 20, 100, 100),
    "ddamfn": (20, 20, 20, 20, 100, 100),
    "adadf": (20, 20, 20, 10, 20, 100),
}
"""Likewise; 100 for the models that are missing here."""
ACCUMULATED = {("poster_pp", dataset) for dataset in DATASETS} | {("gsdnet", "expw")}
"""Scripts with `accumulation_steps = 4`."""


def runs_of(name: str, splits: str):
    return make_plan(check_experiment({**read_experiment(name), "splits": [splits]}, name), name)


def test_crossval_is_the_recipe_of_its_scripts() -> None:
    runs = {(run.model, run.dataset): run for run in runs_of("fer-crossval", "seed-shuffle:3:3")}
    assert set(runs) == {(model, dataset) for model in PAPERS for dataset in DATASETS}
    for model, batches in BATCHES.items():
        for place, dataset in enumerate(DATASETS):
            config = runs[model, dataset].config
            times = 4 if (model, dataset) in ACCUMULATED else 1
            assert (config.train.accumulate, config.data.batch_size) == (times, times * batches[place])
            four_large = dataset in DATASETS[:4]
            assert config.optimizer.options["lr"] == (1e-4 if model == "poster_pp" and four_large else 1e-3)
            assert config.scheduler.options["descent"] == T_MAX.get(model, (100,) * 6)[place]


@pytest.mark.parametrize("name", ["fer-models", "fer-crossval"])
def test_what_both_protocols_share(name) -> None:
    for run in runs_of(name, "seed-shuffle:4" if name == "fer-models" else "seed-shuffle:4:4"):
        config = run.config
        assert config.optimizer.name == "adamw"
        assert config.optimizer.options["weight_decay"] == 1e-4
        assert (config.scheduler.name, config.train.epochs, config.train.select) == ("cosine", 100, "best:val")
        assert {
            call.name: call.options["patience"] for call in config.callbacks if call.name == "early_stopping"
        } == {"early_stopping": 20}
        if name == "fer-models":
            assert (config.data.batch_size, config.scheduler.options["descent"]) == (64, 10)


@pytest.mark.parametrize(("name", "first"), [("fer-models", 1), ("fer-crossval", 0)])
def test_splits_are_those_of_scikit_learn_in_order_of_the_label_file(name, first) -> None:
    faces = Synthetic(samples=210, size=32, classes=7, seed=0)
    table = faces.table
    outer = ShuffleSplit(n_splits=10, test_size=0.2, random_state=42).split(np.arange(len(table)))
    plan = check_experiment({**read_experiment(name), "models": ["dan"], "datasets": ["synthetic"]}, name)
    for number, (run, (rest, test)) in enumerate(zip(make_plan(plan, plan.name), outer, strict=True)):
        train, val = train_test_split(rest, test_size=0.25, random_state=number + first)
        found = make_split(faces, {}, run.config.data.split, holdout=0.1, seed=0, select="best:val")
        for part, rows in (("train", train), ("val", val), ("test", test)):
            assert sorted(getattr(found, part)) == sorted(rows), (number, part)


def test_the_published_table_is_there_for_crossval_only_and_without_mfer() -> None:
    assert read_published(registry.find("experiments", "fer-models")) is None
    published = read_published(registry.find("experiments", "fer-crossval"))
    assert set(published.figures) == set(PAPERS) - {"mfer"}
    for of in published.figures.values():
        assert tuple(of) == DATASETS
        assert all(None not in (cell.deviation, cell.mean_class_accuracy) for cell in of.values())
    accuracy, mean = published.claims("dan", "rafdb")
    assert (accuracy.metric, accuracy.value, accuracy.deviation) == ("accuracy", 86.7, 0.7)
    assert (mean.metric, mean.value, mean.deviation) == ("mean_class_accuracy", 78.0, None)


@pytest.mark.parametrize(("name", "inner"), [("fer-models", range(1, 11)), ("fer-crossval", range(10))])
def test_the_protocols_of_the_authors_are_all_there(name, inner) -> None:
    found = check_experiment(read_experiment(name), name)
    assert (len(found.models), len(found.datasets)) == (8, 6)
    splits = [choice.protocol.split(":") for text in found.splits for choice in expand_split(text)]
    assert [int(part[1]) for part in splits] == list(range(10))
    assert [int(part[2]) if len(part) > 2 else int(part[1]) + 1 for part in splits] == list(inner)
    assert found.shared["train"]["select"] == "best:val"

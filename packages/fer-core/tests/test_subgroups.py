"""`evaluate --by`: figures for each value of an attribute, and for faces with and without a copy in training."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import fer_core
import numpy as np
import pytest
from click.testing import CliRunner
from fer_core import FerError
from fer_core.cli import main
from fer_core.data.inspection.copies import have_copies
from fer_core.data.open import open_dataset
from fer_core.data.packs.open import open_pack
from fer_core.data.table import make_fingerprint
from fer_core.evaluation.evaluate import Evaluation
from fer_core.evaluation.subgroups import measure_subgroups
from fer_core.metrics import compute_metrics
from fer_core.plugins import load_plugins
from fer_core.statistics import proportion_interval
from fer_core.weights.checkpoint import read_model_header
from fer_core.workflows.open import trained_faces

TWINS = {72: 0, 73: 55, 80: 83, 4: 1}
"""Row -> the row whose pixels it has: of train (0 to 53), val (54 to 71) or test."""
AGES = ("4-19", "20-39", "", "20-39")


def pair(dataset):
    """Give bars ages, and some of them the pixels of others."""
    read = dataset.read
    dataset.read = lambda row: read(TWINS.get(row, row))
    table = dataset.table
    sources = [str(TWINS.get(row, row)) for row in table.index]
    dataset.fingerprint = lambda: make_fingerprint(table["id"], table["label"], sources)
    table["attribute_age"] = [AGES[row % 4] for row in table.index]


@pytest.fixture
def twins(two_heads):
    """The dataset `twins`, bars of known ages, some of which are copies."""
    two_heads("twins", pair)


@pytest.fixture
def run(twins, quick):
    return fer_core.train("tiny", "twins", device="cpu", **quick)


def counts(found):
    return {name: {each.value: each.count for each in values} for name, values in found.subgroups.items()}


def test_each_value_has_the_figures_of_its_faces_alone():
    labels = np.array([0, 1, 1, 0, 1, 1])
    probabilities = np.eye(2, dtype=np.float32)[[0, 0, 1, 0, 1, 0]]
    ids = [f"face-{number}" for number in range(6)]
    metrics = compute_metrics(labels, probabilities, ("a", "b"))
    found = Evaluation(("a", "b"), ids, labels, probabilities, metrics)
    ages = ["unknown", "20-39", "4-19", "20-39", "20-39", "100+"]
    values = dict(zip(reversed(ids), reversed(ages), strict=True))
    subgroups = measure_subgroups(found, values)
    assert [each.value for each in subgroups] == ["4-19", "20-39", "100+", "unknown"]
    of_adults = subgroups[1]
    assert (of_adults.count, of_adults.accuracy, of_adults.mean_class_accuracy) == (3, 2 / 3, 0.75)
    assert of_adults.interval == proportion_interval(2, 3)
    assert (subgroups[2].accuracy, subgroups[2].mean_class_accuracy) == (0, 0)  # of the one class that it has


def test_figures_by_attribute_and_by_copies_in_print_and_in_files(run, lines):
    found = fer_core.evaluate(run.folder, by=["copies", "age"], device="cpu")
    assert counts(found) == {
        "copies": {"copy in training": 2, "no copy": 16},
        "age": {"4-19": 5, "20-39": 9, "unknown": 4},
    }
    assert "copies   looked for in the train and val part of twins, 72 faces" in lines
    assert fer_core.evaluate(run.folder, device="cpu").subgroups == {}

    words = ["evaluate", str(run.folder), "--by", "age", "--device", "cpu", "--out", "there"]
    printed = CliRunner().invoke(main, words).stdout.splitlines()
    assert printed[-4].split() == [
        "by",
        "age",
        "accuracy",
        "95",
        "%",
        "interval",
        "mean",
        "class",
        "accuracy",
        "faces",
    ]
    assert [line[:14].rstrip() for line in printed[-3:]] == ["    4-19", "    20-39", "    unknown"]
    first = found.subgroups["age"][0]
    low, high = (f"{end:.2%}" for end in first.interval)
    assert printed[-3].split()[1:] == [f"{first.accuracy:.2%}", low, "to", high, printed[-3].split()[5], "5"]

    content = json.loads(CliRunner().invoke(main, [*words, "--json"]).stdout)["subgroups"]
    stored = json.loads(Path("there/evaluation-test.json").read_text(encoding="utf-8"))["subgroups"]
    assert content == stored
    assert [row["count"] for row in content["age"]] == [5, 9, 4]
    assert content["age"][0]["interval"] == list(first.interval)


def test_a_face_is_not_its_own_copy_and_copies_within_the_test_part_do_not_count(run, tmp_path):
    _, dataset = open_dataset("twins", None, {})
    pack = open_pack(dataset, tmp_path / "cache", progress=False)
    every, training = np.arange(90), np.arange(72)
    copies = np.flatnonzero(have_copies(pack, every, pack, training))
    assert copies.tolist() == [1, 4, 72, 73]  # 1 and 4 of each other
    again = open_pack(dataset, tmp_path / "cache", progress=False)
    assert have_copies(pack, every, again, training).sum() == 74  # a pack of its own: 72 rows, 72 and 73
    found = fer_core.evaluate(run.folder, split="train", by=["copies"], device="cpu")
    assert counts(found) == {"copies": {"copy in training": 2, "no copy": 52}}


def test_copies_are_looked_for_in_the_data_of_the_training_whatever_is_evaluated(run):
    other = fer_core.evaluate(run.folder, "bars", split="all", by=["copies"], device="cpu")
    assert counts(other) == {"copies": {"copy in training": 71, "no copy": 19}}  # row 4 was another image there
    fewer = fer_core.evaluate(run.folder, options={"samples": 60}, by=["copies"], device="cpu")
    assert counts(fewer) == {"copies": {"copy in training": 12}}  # its test part was in train and val


def test_where_the_training_data_are_not_at_hand_one_line_says_what_to_give(twins, quick, tmp_path, monkeypatch):
    datasets = load_plugins().entries["datasets"]
    (entry,) = datasets["twins"]
    spec = replace(entry.value, needs_root=True)
    monkeypatch.setitem(datasets, "twins", [replace(entry, value=spec)])
    (tmp_path / "here" / "twins").mkdir(parents=True)
    quick["data"]["root"] = str(tmp_path / "here" / "twins")
    folder = fer_core.train("tiny", "twins", device="cpu", **quick).folder
    weights = shutil.copy(folder / "best.safetensors", tmp_path / "sent.safetensors")
    words = ["evaluate", str(weights), "bars", "--by", "copies", "--device", "cpu"]
    refused = CliRunner().invoke(main, words)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "twins is not at hand: set FER_DATA to the folder that holds twins" in refused.stderr.splitlines()[-1]
    assert CliRunner().invoke(main, [*words[:1], str(folder), *words[2:]]).exit_code == 0  # as the run recorded it
    monkeypatch.setenv("FER_DATA", str(tmp_path / "here"))
    assert CliRunner().invoke(main, words).exit_code == 0
    header = read_model_header(weights).model_copy(update={"dataset": None})
    with pytest.raises(FerError, match="does not say what it was trained on, so --by copies has no"):
        trained_faces(tmp_path / "sent.safetensors", header, None, None)


def test_an_unknown_attribute_is_answered_with_those_of_the_dataset(run):
    for words, names in (([str(run.folder)], "age, copies"), ([str(run.folder), "bars"], "copies")):
        refused = CliRunner().invoke(main, ["evaluate", *words, "--by", "aeg"])
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert refused.stderr.splitlines()[-1].endswith(
            f"has no attribute 'aeg' to divide its faces by: use {names}"
        )

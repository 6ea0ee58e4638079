"""Training on several datasets and evaluating on another one: classes meet by name, and every change is told."""

import json
from pathlib import Path

import fer_core
import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from fer_core.cli import main
from fer_core.config import load_config
from fer_core.data.table import make_fingerprint
from fer_core.errors import FerError
from fer_core.evaluation.classes import match_classes, read_rule
from fer_core.plugins import Entry, Plugin, load_plugins
from fer_core.types import DatasetSpec, FERDataset
from fer_core.weights import checkpoint

OTHER = ("sadness", "fear", "happiness")


class Bars(FERDataset):
    """Bars as in `bars` (happiness, sadness, neutral), in another order, and squares for fear; no val part."""

    classes = OTHER

    def __init__(self, root: Path, *, classes: int = 3) -> None:
        self.name, self.layout, self.classes = "other", "drawn", OTHER[:classes]
        rows = np.arange(60)
        ids = [f"{row}" for row in rows]
        split = np.where(rows < 45, "train", "test")
        self.table = pd.DataFrame({"id": ids, "label": rows % classes, "split": split, "source": ids})

    def read(self, row: int) -> np.ndarray:
        image = np.random.default_rng(1000 + row).integers(0, 120, (20, 20, 3), dtype=np.uint8)
        name = self.classes[self.table["label"].iloc[row]]
        at = {"happiness": 1, "sadness": 7, "fear": 15}[name]
        image[at : at + 5] += 100
        return image

    def fingerprint(self) -> str:
        return make_fingerprint(self.table["id"], self.table["label"], self.table["id"])


@pytest.fixture
def other(tiny, monkeypatch):
    spec = DatasetSpec(
        name="other",
        factory=Bars,
        classes=OTHER,
        splits={"train": "train", "test": "test"},
        layouts={},
        expected_counts={},
        summary="",
        licence="",
        homepage="",
        needs_root=False,
    )
    entry = Entry("other", spec, Plugin("tests", "fer-tests", "0"))
    monkeypatch.setitem(load_plugins().entries["datasets"], "other", [entry])
    return tiny


@pytest.fixture
def trained(other, quick):
    """Weights trained on `bars`: happiness, sadness, neutral."""
    return fer_core.train("tiny", "bars", device="cpu", **quick, run={"dir": "w"}).checkpoint


def cli(*arguments: object):
    return CliRunner().invoke(main, list(map(str, arguments)))


def test_training_on_two_datasets(other, quick, lines) -> None:
    quick["run"] = {"dir": "both"}
    run = fer_core.train("tiny", "bars+other", device="cpu", **quick)
    said = "\n".join(lines)
    assert "layout   other: drawn" in said
    assert "classes  bars: neutral (30 faces) left out" in said
    assert "classes  other: fear (20 faces) left out" in said
    assert "val      12 of bars, 0 of other" in said
    result = run.result
    assert result.classes == ("happiness", "sadness")
    assert result.dataset.name == "bars+other"
    assert result.dataset.label_space["other"].plain() == {"left_out": {"fear": 20}}
    assert result.metrics["test"].accuracy > 0.9
    table = pd.read_csv("both/predictions-test.csv")
    assert set(table["id"].str.partition("/")[0]) == {"bars", "other"}
    assert len(list(Path("cache/packs").iterdir())) == 2

    again = fer_core.evaluate(run.checkpoint, "bars+other", device="cpu")
    assert again.metrics == result.metrics["test"]
    alone = fer_core.evaluate(run.checkpoint, "other", device="cpu", classes="shared")
    assert len(alone.ids) == 10
    assert not any("warning" in line for line in lines)


def test_a_part_that_was_divided_otherwise_is_warned_of(other, quick, lines) -> None:
    quick["data"] = {**quick["data"], "split": "stratified-shuffle:0"}
    run = fer_core.train("tiny", "bars+other", device="cpu", **quick)
    lines.clear()
    fer_core.evaluate(run.checkpoint, "other", device="cpu", classes="shared")
    assert lines[0].startswith("warning  other was in the training data, split by stratified-shuffle:0")


def test_classes_of_a_training(other, quick, lines) -> None:
    quick["data"] = {**quick["data"], "classes": {"neutral": "sadness"}}
    run = fer_core.train("tiny", "bars", device="cpu", **quick, run={"dir": "r"})
    assert "classes  bars: sadness (30 faces), neutral (30 faces) as sadness" in lines
    assert run.result.classes == ("happiness", "sadness")
    assert run.result.dataset.counts["test"] == {"happiness": 6, "sadness": 12}
    assert load_config("r/config.yaml").data.classes == {"neutral": "sadness"}
    header = checkpoint.read_header(run.checkpoint)
    assert header.dataset.class_table == {"neutral": "sadness"}
    found = fer_core.evaluate(run.checkpoint, "bars", device="cpu")
    assert found.metrics == run.result.metrics["test"]


def test_command_line(other) -> None:
    result = cli("train", "tiny", "bars+other", "-o", "data.classes=[sadness, happiness]", "--dry-run")
    assert result.exit_code == 0, result.output
    assert "classes: [sadness, happiness]" in result.output
    assert "name: bars+other" in result.output
    result = cli("train", "tiny", "bars+othr")
    assert result.exit_code == 2
    assert "there is no dataset 'othr'" in result.stderr
    for wrong in ("5", "[1]", "{a: 1}", "happiness"):
        result = cli("train", "tiny", "bars", "-o", f"data.classes={wrong}")
        assert result.exit_code == 2
        assert "data.classes is" in result.stderr
    result = cli("train", "tiny", "bars", "-o", "data.classes={joy: sadness}")
    assert "data.classes names the class 'joy'" in result.stderr


def test_other_classes_are_refused_by_default(trained) -> None:
    for name in ("unknown to the weights", "absent from the data"):
        options = ["-o", "data.options.classes=2"] if name.startswith("absent") else []
        dataset = "bars" if options else "other"
        result = cli("evaluate", trained, dataset, "--device", "cpu", *options)
        assert result.exit_code == 2
        (line,) = result.stderr.strip().splitlines()
        assert "--classes shared" in line
        assert "--classes map.yaml" in line
        assert ("neutral" if options else "fear") in line


def test_shared_classes(trained) -> None:
    result = cli("evaluate", trained, "other", "--classes", "shared", "--json", "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert "classes  happiness, sadness: 10 of 15 faces" in result.stderr
    assert "classes  left out, faces of fear" in result.stderr
    assert "lacks: neutral; they can be predicted, which counts as wrong" in result.stderr
    found = json.loads(result.stdout)
    assert found["faces"] == found["count"] == 10
    assert found["classes"] == ["happiness", "sadness", "neutral"]
    assert found["recall"]["neutral"] is None
    assert found["label_space"]["left_out"] == ["fear"]
    assert found["label_space"]["without_faces"] == ["neutral"]
    assert found["label_space"]["restricted"] is False


def test_a_choice_among_shared_classes_only(trained) -> None:
    state, header = checkpoint.load_weights(trained)
    state["head.bias"] = torch.tensor([0.0, 0.0, 50.0])  # always neutral, which the other dataset lacks
    checkpoint.save_weights(Path("neutral.safetensors"), state, header)
    quiet = {"device": "cpu", "classes": "shared"}
    free = fer_core.evaluate("neutral.safetensors", "other", **quiet)
    assert free.metrics.accuracy == 0
    bound = fer_core.evaluate("neutral.safetensors", "other", **quiet, restrict=True)
    assert bound.classes == ("happiness", "sadness")
    assert np.allclose(bound.probabilities.sum(axis=1), 1, atol=1e-5)
    whole = fer_core.evaluate(trained, "other", **quiet, restrict=True)
    assert np.array_equal(bound.probabilities.argmax(1), whole.probabilities.argmax(1))
    assert bound.metrics.accuracy > 0.5


def test_a_map(trained) -> None:
    Path("map.yaml").write_text("fear: negative\nsadness: negative\nneutral: null\n")
    result = cli("evaluate", trained, "other", "--classes", "map.yaml", "--json", "--device", "cpu")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["classes"] == ["happiness", "negative", "neutral"]
    assert found["faces"] == 15
    assert sum(found["confusion"][1]) == 10
    assert "of the dataset: sadness as negative, fear as negative" in result.stderr
    assert "of the checkpoint: sadness as negative" in result.stderr
    Path("map.yaml").write_text("neutral: happiness\n")
    line = cli("evaluate", trained, "other", "--classes", "map.yaml", "--device", "cpu").stderr
    assert "leaves other with the class 'fear', which best.safetensors does not know" in line
    for text in ("[fear]", "fear: 1", "5", "fear: ''", ""):
        Path("map.yaml").write_text(text)
        assert cli("evaluate", trained, "other", "--classes", "map.yaml").exit_code == 2
    assert "absent.yaml" in cli("evaluate", trained, "other", "--classes", "absent.yaml").stderr


class Labels:
    name = "eight"
    classes = ("anger", "contempt", "disgust")

    def __init__(self) -> None:
        self.table = pd.DataFrame({"label": [0, 1, 2, 1]})


def test_probabilities_of_merged_classes_are_added() -> None:
    model = ("disgust", "anger", "contempt", "fear")
    match = match_classes(Labels(), model, Path("x"), {"contempt": "disgust", "fear": None})
    assert match.classes == ("disgust", "anger", "fear")
    assert match.labels.tolist() == [1, 0, 0, 0]
    given = np.array([[0.2, 0.35, 0.3, 0.15]], np.float32)
    assert np.allclose(match.probabilities(given), [[0.5, 0.35, 0.15]])
    bound = match_classes(Labels(), model, Path("x"), {"contempt": "disgust", "fear": None}, restrict=True)
    assert bound.classes == ("disgust", "anger")
    assert np.allclose(bound.probabilities(given), [[0.5 / 0.85, 0.35 / 0.85]])


def test_rules() -> None:
    assert read_rule(None) is None
    assert read_rule("shared") == "shared"
    assert read_rule({"a": None}) == {"a": None}
    with pytest.raises(
        FerError,
        match="names the class 'joy', which neither eight nor x has: known: anger",
    ):
        match_classes(Labels(), ("anger", "fear"), Path("x"), {"joy": "anger"})
    with pytest.raises(FerError, match=r"share anger: map names with --classes map\.yaml"):
        match_classes(Labels(), ("anger", "fear"), Path("x"), "shared")

"""Weights by name: a package brings a file and its card, and the name stands for the file everywhere."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import fer_core
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from fer_core import FerError, registry
from fer_core.card import Card, read_card
from fer_core.cli import main
from fer_core.plugin import WeightsSpec
from fer_core.plugins import Entry, Plugin, load_plugins
from fer_core.provenance import Calibration, HeadCalibration, Model
from fer_core.runs.resolve import resolve_weights
from fer_core.testing import check_plugin, make_preprocessing
from fer_core.weights.checkpoint import save_weights
from fer_core.weights.header import Header
from PIL import Image
from safetensors.torch import load_file

CLASSES, TARGETS = (
    ("happiness", "sadness", "neutral"),
    {"mood": ("calm", "tense"), "tension": (), "bar": ("neutral", "sadness", "happiness")},
)
MORE = {"count": 1234, "head": "mood", "through": "yunet", "note": "three seeds"}
CARD = {
    "notice": "drawn bars, 90 % right; for tests",
    "licence": "Apache-2.0",
    "inputs": [{"kind": "data", "name": "bars", "licence": "drawn here"}],
    "protocol": "official parts, the last epoch",
    "figures": [
        {
            "dataset": "bars",
            "part": "test",
            "metric": "accuracy",
            "value": 0.9,
            "interval": [0.8, 1.0],
            "count": 18,
        },
        {"dataset": "bars", "part": "test", "metric": "recall", "value": 0.5, "of_class": "sadness", **MORE},
    ],
    "intended_use": "tests of fer",
    "limits": ["faces"],
    "commands": ["fer-run train two_heads bars"],
}
PLUGIN = """
@hookimpl
def fer_weights():
    return [WeightsSpec(name="barred", model="two_heads", file="bars_files:bars.safetensors",
                        card="bars_files:card.json", summary="Bars, told apart", aliases=("bars9",))]
"""


def half(path: Path) -> None:
    """Random weights of two heads in half precision, as a wheel has them."""
    torch.manual_seed(0)
    model = fer_core.create_model("two_heads", classes=CLASSES, input_size=16, targets=TARGETS)
    header = Header(
        format=2,
        hook_api=1,
        model=Model(name="two_heads"),
        classes=CLASSES,
        preprocessing=make_preprocessing(16),
        targets=TARGETS,
        calibration=Calibration(
            temperature=2.0, heads={"mood": HeadCalibration(temperature=4.0)}, fitted_on="val", bins=15
        ),
    )
    save_weights(path, {name: tensor.half() for name, tensor in model.state_dict().items()}, header)


class Shelf:
    """The plugin `bars-plugin`, whose weights lie in the package `bars_files`."""

    def __init__(self, site) -> None:
        site.install("bars-plugin", PLUGIN)
        self.folder = site.root / "bars_files"
        self.folder.mkdir()
        (self.folder / "__init__.py").touch()
        self.file, self.card = self.folder / "bars.safetensors", self.folder / "card.json"
        self.write_card()

    def write_card(self, **changes: object) -> None:
        self.card.write_text(json.dumps({**CARD, **changes}))

    def declare(self, **changes: object) -> None:
        """Change what the plugin says of its weights."""
        claims = load_plugins().entries["weights"]["barred"]
        claims[0] = replace(claims[0], value=replace(claims[0].value, **changes))


@pytest.fixture
def shelf(site, request) -> Shelf:
    found = Shelf(site)
    request.getfixturevalue("two_heads")
    half(found.file)
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(noise).save("face.png")
    return found


def fer_run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def refused(*arguments: str) -> str:
    result = fer_run(*arguments)
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    (line,) = result.stderr.splitlines()
    return line


def evaluated(*arguments: str) -> tuple[list[str], dict]:
    """Lines of `fer-run evaluate` of the weights on `bars`, and the record that it wrote to `out`."""
    result = fer_run("evaluate", "barred", "bars", *arguments, "--device", "cpu")
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines(), json.loads(Path("out/evaluation-test.json").read_text())


def sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_name_stands_for_the_file_in_a_package_and_its_card_speaks_once(shelf) -> None:
    shelf.declare(sha256=sha(shelf.file))
    result = fer_run("predict", "face.png", "-m", "barred", "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert result.stderr.count("weights  barred: drawn bars, 90 % right; for tests") == 1
    assert result.stdout.split()[1] in CLASSES
    by_file = fer_run("predict", "face.png", "-m", str(shelf.file), "--device", "cpu")
    assert by_file.stdout == result.stdout
    assert "drawn bars" not in by_file.stderr
    for name in ("bars9", "Barred", "barred@bars-plugin"):
        assert resolve_weights(name).path == shelf.file
    assert (
        fer_core.load_model("barred").network.state_dict().keys()
        == fer_core.load_model(shelf.file).network.state_dict().keys()
    )
    assert fer_core.evaluate("barred", "bars", device="cpu").metrics.count == 18


def test_list_and_info_know_weights_without_reading_them(shelf) -> None:
    shelf.file.unlink()
    assert fer_run("list", "weights").stdout == "barred  bars-plugin  Bars, told apart\n"
    text = fer_run("info", "barred").stdout
    assert "weights barred\n" in text
    lines = [line.strip() for line in text.splitlines()]
    assert "data bars: drawn here" in " ".join(lines)
    assert "bars test accuracy: 0.9000 (0.8000 to 1.0000), 18 faces" in lines
    assert "bars test recall of sadness: 0.5000, 1,234 faces, head mood, through yunet; three seeds" in lines
    facts = json.loads(fer_run("info", "barred", "--json").stdout)["weights"]
    assert Card.parse(json.dumps(facts["card"]), "card", "none") == read_card(registry.find("weights", "barred"))


def test_a_file_in_the_way_comes_first_and_the_qualified_name_still_means_the_weights(shelf) -> None:
    Path("barred").mkdir()
    assert "write barred@bars-plugin for the installed weights" in refused("predict", "face.png", "-m", "barred")
    assert resolve_weights("barred@bars-plugin").path == shelf.file


def test_predict_needs_no_name_where_one_file_of_weights_is_installed(shelf) -> None:
    named = fer_run("predict", "face.png", "-m", "barred", "--device", "cpu")
    assert fer_run("predict", "face.png", "--device", "cpu").output == named.output
    (face,) = fer_core.Predictor(device="cpu")("face.png")
    assert face.label == named.stdout.split()[1]
    other = WeightsSpec(name="else", model="two_heads", file="/else", card="a:b", summary="")
    load_plugins().entries["weights"]["else"] = [Entry("else", other, Plugin("o", "other", "1"))]
    line = refused("predict", "face.png")
    assert "several weights are installed: name one, such as -m barred or -m else" in line


def test_without_weights_the_line_says_which_package_brings_some(shelf, monkeypatch) -> None:
    del load_plugins().entries["weights"]["barred"]
    table = dict(registry.known())
    monkeypatch.setattr(registry, "known", lambda: table)
    table["weights"] = {}
    assert "none are installed: name yours with -m; weights are" in refused("predict", "face.png")
    table["weights"] = {"barred": "fer-bars"}
    assert "none are installed: install some with pip install fer-bars, or name" in refused("predict", "face.png")
    line = refused("predict", "face.png", "-m", "barred")
    assert "'barred' comes with fer-bars, which is not installed: pip install fer-bars" in line


def test_the_head_is_that_of_the_card_unless_one_is_named(shelf) -> None:

    def label(*arguments: str) -> tuple[str, str]:
        _, name, share = fer_run("predict", "face.png", *arguments, "--device", "cpu").stdout.split()
        return name, share

    mood, expression = label("--head", "mood"), label()
    assert mood[0] in TARGETS["mood"]
    assert expression[0] in CLASSES
    assert label("-m", str(shelf.file), "--head", "mood") == mood
    shelf.write_card(head="mood")
    assert label() == mood
    assert label("--head", "label") == label("-m", str(shelf.file)) == expression
    model = fer_core.load_model("barred", device="cpu")
    assert (model.classes, model.temperature) == (TARGETS["mood"], 4.0)
    images = model.transform([np.zeros((16, 16, 3), np.uint8)])
    assert torch.equal(model(images), model.network(images)["head_mood"] / 4.0)
    line = refused("predict", "face.png", "-m", str(shelf.file), "--head", "tension")
    assert line.endswith("has no head tension for classes: known: bar, label, mood")


def test_a_head_is_evaluated_by_its_own_classes(shelf) -> None:
    (line, *_), record = evaluated("--head", "bar", "--out", "out")
    assert line == "bars test, 18 faces, head bar"
    assert (record["weights"]["head"], record["classes"]) == ("bar", list(TARGETS["bar"]))
    found = fer_core.evaluate("barred", "bars", head="bar", device="cpu")
    assert record["metrics"]["accuracy"] == found.metrics.accuracy
    again = fer_core.evaluate("barred", "bars", device="cpu")
    assert found.ids == again.ids
    assert not np.allclose(found.probabilities[:, ::-1], again.probabilities)
    assert "(it knows calm, tense)" in refused(
        "evaluate", str(shelf.file), "bars", "--head", "mood", "--device", "cpu"
    )


def test_a_training_starts_from_half_precision_and_ends_in_full(shelf, quick) -> None:
    run = fer_core.train("two_heads", "bars", weights="barred", device="cpu", **quick | {"train": {"steps": 1}})
    before, after = load_file(shelf.file), load_file(run.checkpoint)
    assert {tensor.dtype for tensor in after.values()} == {torch.float32}
    moved = (after["label.weight"] - before["label.weight"].float()).abs().max()
    assert 0 < moved < 0.1


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("bars_files:gone.safetensors", "there is no file .*gone.safetensors: reinstall"),
        ("nowhere.to:be.safetensors", "no file is found by nowhere.to:be.safetensors"),
        ("bars.safetensors", "it has to be package.folder:file.safetensors, an absolute path or an address"),
        ("/gone/bars.safetensors", "there is no file /gone/bars.safetensors: reinstall"),
        ("attic://bars.safetensors", "no sha256 is declared: ask"),
    ],
)
def test_a_file_that_is_not_there_is_one_line(shelf, place: str, says: str) -> None:
    shelf.declare(file=place)
    with pytest.raises(FerError, match=f"^the weights barred.*{says}"):
        resolve_weights("barred")


def test_an_altered_file_or_card_is_one_line(shelf) -> None:
    shelf.declare(sha256=sha(shelf.file))
    content = shelf.file.read_bytes()
    shelf.file.write_bytes(content[:-1] + b"?")
    assert "has the sha256" in refused("predict", "face.png", "-m", "barred")
    shelf.declare(sha256=None)
    shelf.file.write_bytes(content[:-1])
    assert "bars.safetensors is not a complete safetensors file" in refused("evaluate", str(shelf.file), "bars")
    assert fer_run("predict", "face.png", "-m", "barred").exit_code == 2
    shelf.file.write_bytes(content)
    assert "did you mean barred?" in refused("predict", "face.png", "-m", "bared")
    shelf.write_card(figures=[{**CARD["figures"][0], "value": 0.7}])
    line = refused("predict", "face.png", "-m", "barred")
    assert "figures[0].interval is a list of 2, expected an interval with 0.7 in it: reinstall" in line
    shelf.write_card(limits=[])
    assert "card of the weights barred (bars_files:card.json): limits is" in refused("info", "barred")
    shelf.card.write_text("{")
    assert "card.json): not valid JSON" in refused("info", "barred")
    shelf.card.unlink()
    assert "cannot be read" in refused("info", "barred")


def test_the_check_of_a_plugin_reads_file_and_card(shelf) -> None:
    shelf.declare(sha256=sha(shelf.file))
    assert check_plugin("bars-plugin")[0].names == {"weights": ("barred",)}
    shelf.write_card(head="age")
    with pytest.raises(FerError, match="the card names the head age: known: bar, label, mood, tension"):
        check_plugin("bars-plugin")
    shelf.write_card()
    shelf.declare(model="tiny")
    with pytest.raises(FerError, match="the file holds weights of two_heads, not of tiny: correct one"):
        check_plugin("bars-plugin")
    shelf.declare(file="attic://bars.safetensors", sha256=None)
    with pytest.raises(FerError, match=r"no sha256 is declared for attic://bars.safetensors"):
        check_plugin("bars-plugin")


def test_nothing_is_written_into_the_package_of_weights(shelf) -> None:
    content = shelf.file.read_bytes()
    calibrated = fer_run("calibrate", "barred")
    assert "the run or that file" in calibrated.stderr
    assert (calibrated.exit_code, shelf.file.read_bytes()) == (2, content)
    done = fer_run("diagnose", "barred", "bars", "--only", "mistakes", "--device", "cpu")
    assert done.exit_code == 0, done.output
    assert Path("barred-diagnosis-bars-test").is_dir()
    assert sorted(path.name for path in shelf.folder.iterdir() if path.name[0] != "_") == [
        "bars.safetensors",
        "card.json",
    ]

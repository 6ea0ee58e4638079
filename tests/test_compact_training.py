"""The shipped experiment of `compact`, shortened and on made-up faces, and the weights that are made of it."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import fer_core
import numpy as np
import pytest
from click.testing import CliRunner
from fabricated_ferplus import write_ferplus
from fer_core.cli.main import main
from fer_core.plugin import Card
from safetensors import safe_open

SCRIPT = Path(__file__).parents[1] / "packages" / "fer-models-compact" / "scripts" / "export_weights.py"
SHORT = {
    "data.batch_size": 16,
    "data.classes": "[neutral, happiness]",
    "optimizer.lr": 0.02,
    "train.ema": "null",
    "train.epochs": 12,
    "train.precision": "fp32",
}
FILES = ("best.safetensors", "metrics.jsonl", "predictions-test.csv", "heads-test.csv")


def run_experiment(root: Path, data: Path, seeds: str) -> list[Path]:
    """The folders of its runs."""
    given = ["experiment", "compact", "--data", f"ferplus={data}", "--root", str(root), "--seeds", seeds]
    given += [word for key, value in SHORT.items() for word in ("-o", f"{key}={value}")]
    done = CliRunner().invoke(main, given)
    assert done.exit_code == 0, done.output
    return sorted(root.glob("compact-ferplus/official-s*"))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with made-up `data`, and two seeds of the experiment in `runs`."""
    root = tmp_path_factory.mktemp("compact")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FER_CACHE", str(root / "cache"))
        write_ferplus(root / "data", misleading=7)
        run_experiment(root / "runs", root / "data", "0-1")
        yield root


@pytest.mark.slow
def test_a_repeated_run_has_the_same_bytes_and_both_heads(made) -> None:
    (second,) = run_experiment(made / "again", made / "data", "1")
    first = made / "runs" / "compact-ferplus" / second.name
    for name in FILES:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    test = json.loads((first / "result.json").read_text(encoding="utf-8"))["best"]["metrics"]["test"]
    assert test["accuracy"] > 0.7
    assert test["heads"]["fer2013"]["count"] == 24
    with safe_open(first / FILES[0], framework="pt") as file:
        assert file.get_tensor("heads.fer2013.weight").shape == (7, 384)


@pytest.mark.slow
def test_weights_of_the_best_seed_are_halved_and_have_a_card(made, monkeypatch, tmp_path) -> None:
    data = str(made / "data")
    given = [str(made / "runs"), "--ferplus", data, "--fer2013", data, "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *given])
    runpy.run_path(str(SCRIPT), run_name="__main__")

    runs = sorted((made / "runs" / "compact-ferplus").glob("official-s*"))
    scores = {run: json.loads((run / "result.json").read_text())["best"]["metrics"] for run in runs}
    chosen = max(runs, key=lambda run: scores[run]["val"]["accuracy"])
    weights = tmp_path / "compact.safetensors"
    assert weights.stat().st_size < 10_000_000
    whole, half = (fer_core.evaluate(each, "ferplus", data=data, precision="fp32") for each in (chosen, weights))
    assert np.abs(whole.probabilities - half.probabilities).max() < 0.01

    card = Card.parse((tmp_path / "compact.json").read_text(encoding="utf-8"), "the card", "")
    seeds, further, own, *_ = card.figures
    assert seeds.value == pytest.approx(np.mean([scores[run]["test"]["accuracy"] for run in runs]))
    assert (further.dataset, further.head) == ("fer2013", "fer2013")
    assert (own.value, own.count) == (half.metrics.accuracy, 32)
    emotions = [each for each in card.figures if each.head == "fer2013" and each.count]
    assert {each.dataset for each in emotions} == {"fer2013"}
    assert emotions[0].count == 24
    (found,) = [each for each in card.figures if each.through and each.metric == "recall"]
    assert found.count == 32

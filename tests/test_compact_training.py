"""The shipped experiment of `compact`, shortened and on made-up faces."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from fabricated_ferplus import write_ferplus
from fer_core.cli.main import main
from safetensors import safe_open

SHORT = {
    "data.batch_size": 16,
    "data.classes": "[neutral, happiness]",
    "train.epochs": 2,
    "train.precision": "fp32",
}
FILES = ("best.safetensors", "metrics.jsonl", "predictions-test.csv", "heads-test.csv")


def repeat(root: Path, data: Path) -> Path:
    """The folder of the experiment's only run."""
    given = ["experiment", "compact", "--data", f"ferplus={data}", "--root", str(root), "--seeds", "1"]
    given += [word for key, value in SHORT.items() for word in ("-o", f"{key}={value}")]
    done = CliRunner().invoke(main, given)
    assert done.exit_code == 0, done.output
    (folder,) = root.glob("compact-ferplus/official-s1-*")
    return folder


@pytest.mark.slow
def test_a_repeated_run_has_the_same_bytes_and_both_heads(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("FER_CACHE", str(tmp_path / "cache"))
    write_ferplus(tmp_path / "data")
    first, second = (repeat(tmp_path / name, tmp_path / "data") for name in ("a", "b"))
    for name in FILES:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    test = json.loads((first / "result.json").read_text(encoding="utf-8"))["best"]["metrics"]["test"]
    assert test["heads"]["fer2013"]["count"] == 24
    with safe_open(first / FILES[0], framework="pt") as file:
        assert {"classifier.weight", "heads.fer2013.weight"} <= set(file.keys())
        assert file.get_tensor("heads.fer2013.weight").shape == (7, 384)

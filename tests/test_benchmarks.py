"""The scripts in `benchmarks/` keep up with the packages that they measure."""

from __future__ import annotations

import ast
import importlib
import json
from importlib.util import find_spec
from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).parents[1] / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_what_a_script_imports_exists(script):
    nodes = [node for node in ast.walk(ast.parse(script.read_text())) if isinstance(node, ast.ImportFrom)]
    own = [node for node in nodes if (node.module or "").startswith("fer_")]
    names = [(str(node.module), each.name) for node in own for each in node.names]
    missing = [
        f"{module}.{name}"
        for module, name in names
        if not hasattr(importlib.import_module(module), name) and find_spec(f"{module}.{name}") is None
    ]
    assert not missing


def test_what_is_to_be_known_of_a_gpu_is_measured_within_a_time(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(SCRIPTS[0].parent)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    gpu = importlib.import_module("gpu")
    tiny = ["--device", "cpu", "--size", "32", "--batch", "2", "--seconds", "0.001"]
    gpu.main(["timm", *tiny, "--minutes", "30", "--out", str(tmp_path / "gpu")])
    found = json.loads((tmp_path / "gpu.json").read_text())
    left_out = ["captured steps: CUDA graphs need a GPU", "DAN on FERPlus: no --ferplus FOLDER was given"]
    assert found["left_out"] == left_out
    assert set(found["peaks"]) == {"tf32", "bf16"}
    sides = found["models"]["timm"]
    assert set(sides) == {"plain", "ours"}
    for side in sides.values():
        assert (side["loss"], side["optimizer"], side["input_size"]) == ("cross_entropy", "adamw", 32)
        assert min(phase["images_per_second"] for phase in side["phases"].values()) > 0
    assert "| timm | 32 | cross_entropy | adamw |" in (tmp_path / "gpu.md").read_text()
    gpu.main(["timm", *tiny, "--minutes", "0", "--out", str(tmp_path / "none")])
    assert "- the device: no time was left" in (tmp_path / "none.md").read_text()


@pytest.mark.slow
def test_the_epochs_of_a_training_and_what_its_best_weights_score(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS[0].parent)
    monkeypatch.setenv("FER_CACHE", str(tmp_path / "cache"))
    gpu = importlib.import_module("gpu")
    small = ("data.options={samples: 70, size: 32}", "data.input_size=32", "train.epochs=2", "callbacks=[]")
    words = ["timm", "synthetic", *(word for each in small for word in ("-o", each))]
    found = gpu.train(words, ["--device", "cpu"], tmp_path / "run", 3600)
    assert [row["epoch"] for row in found["epochs"]] == [1, 2]
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert found["test"]["accuracy"] == result["best"]["metrics"]["test"]["accuracy"]

"""`fer-run benchmark`: what it counts is right, and its figures hang together."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from fer_core.benchmarking.ceiling import Ceiling
from fer_core.benchmarking.model import count_flops
from fer_core.cli import main
from fer_core.errors import FerError
from torch import nn


def fer_run(*arguments: str):
    return CliRunner().invoke(main, list(arguments))


def test_operations_are_those_of_a_convolution_by_hand() -> None:
    layer = nn.Conv2d(3, 8, 3, padding=1)
    assert count_flops(lambda: layer(torch.zeros(2, 3, 10, 10))) == 2 * 2 * 10 * 10 * 8 * 3 * 9


def test_figures_of_a_model(tiny, tmp_path: Path) -> None:
    result = fer_run(
        "benchmark", "tiny", "--device", "cpu", "--batch", "4", "--seconds", "0", "--json", "--out", "b"
    )
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    (model,) = found["models"]
    assert model["parameters"] == 3 * 8 * 9 + 8 + 16 + 8 * 16 * 7 + 7
    assert model["macs"] == 112 * 112 * 8 * 3 * 9 + 8 * 16 * 7
    assert (model["loss"], model["optimizer"], model["batch"]) == ("cross_entropy", "adam", 4)
    for name, phase in model["phases"].items():
        seconds = phase["timing"]["seconds"]
        assert phase["images_per_second"] == pytest.approx(4 / seconds)
        if "data" in name:
            assert phase["flops"] is None
        else:
            assert phase["flop_rate"] == pytest.approx(phase["flops"] / seconds)
    rates = [phase["flop_rate"] for phase in model["phases"].values() if phase["flop_rate"]]
    assert found["ceiling"]["peak"] == max(*rates, found["ceiling"]["matmul"], found["ceiling"]["convolution"])
    # one pass forward and up to two backward (none for the images)
    phases = model["phases"]
    assert 2 <= phases["training step"]["flops"] / phases["evaluation"]["flops"] <= 3
    assert json.loads((tmp_path / "b/benchmark.json").read_text()) == found
    assert (tmp_path / "b/benchmark.png").read_bytes().startswith(b"\x89PNG")
    assert not (tmp_path / "runs").exists()


def test_the_table_names_every_phase(tiny) -> None:
    result = fer_run("benchmark", "tiny", "--device", "cpu", "--batch", "2", "--seconds", "0")
    assert result.exit_code == 0, result.output
    for phase in ("inference form", "evaluation with data", "training step", "training data", "of peak"):
        assert phase in result.stdout


def test_no_share_exceeds_the_peak_where_a_model_is_faster_than_the_kernels(tiny, monkeypatch) -> None:
    slow = Ceiling(matmul=1.0, convolution=2.0)
    monkeypatch.setattr("fer_core.workflows.benchmark.measure_ceiling", lambda engine, seconds: slow)
    result = fer_run("benchmark", "tiny", "--device", "cpu", "--batch", "2", "--seconds", "0")
    assert result.exit_code == 0, result.output
    shares = [int(share) for share in re.findall(r"(\d+)%", result.stdout.split("ceiling")[1])]
    assert max(shares) == 100
    assert len(shares) >= 3


def test_a_model_that_cannot_be_measured_leaves_the_others(tiny, monkeypatch) -> None:
    def refuse(name: str, *_: object, **__: object) -> None:
        raise FerError(f"{name} has no recipe")

    monkeypatch.setattr("fer_core.workflows.benchmark.measure_model", refuse)
    result = fer_run("benchmark", "tiny", "--device", "cpu", "--seconds", "0", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["models"] == []
    assert result.stderr.splitlines()[0] == "warning  tiny: tiny has no recipe"


def test_an_unknown_model_is_refused_before_anything_is_measured(tiny) -> None:
    result = fer_run("benchmark", "tiny", "tinny")
    assert result.exit_code == 2
    assert "tiny" in result.stderr

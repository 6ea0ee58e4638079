"""What the engine settles for a run: arithmetic, and how far one step may go."""

from __future__ import annotations

import json

import fer_core
import pytest
import torch
from fer_core import api
from fer_core.engine.devices import Cuda
from fer_core.weights import checkpoint
from safetensors.torch import load_file


@pytest.mark.parametrize("precision", ["fp32", "tf32"])
def test_fp32_is_no_tf32_and_tf32_is_what_torch_does_by_default(precision) -> None:
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = precision == "fp32"
    Cuda().set_precision(precision)
    assert not torch.backends.cuda.matmul.allow_tf32
    assert torch.backends.cudnn.allow_tf32 is (precision == "tf32")


@pytest.mark.parametrize(
    ("capability", "hip", "resolved"), [(9, None, "tf32"), (7, None, "fp32"), (9, "6", "fp32")]
)
def test_tf32_is_fp32_on_a_gpu_without_it(monkeypatch, capability, hip, resolved) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (capability, 0))
    monkeypatch.setattr(torch.version, "hip", hip)
    assert [Cuda().resolve(asked) for asked in ("tf32", "bf16")] == [resolved, "bf16"]


def test_a_run_in_tf32_is_one_in_fp32_on_a_cpu_and_says_so_once(tiny, quick, lines) -> None:
    found = {}
    for precision in ("tf32", "fp32"):
        quick["train"] = {"epochs": 2, "precision": precision}
        run = fer_core.train("tiny", "bars", device="cpu", **quick, run={"dir": precision})
        assert json.loads((run.folder / "env.json").read_text())["precision"] == "fp32"
        found[precision] = load_file(run.folder / "last.safetensors")
    assert lines.count("device   precision tf32 is resolved to fp32, since cpu has no TF32") == 1
    assert all(value.equal(found["fp32"][name]) for name, value in found["tf32"].items())


def test_a_run_in_tf32_is_resumed_in_the_precision_of_its_record(tiny, quick, monkeypatch, lines) -> None:
    """`env.json` says in what a run was computed; elsewhere the difference is told."""
    quick["train"] = {"epochs": 2, "precision": "tf32"}
    run = fer_core.train("tiny", "bars", device="cpu", **quick, run={"dir": "run"})
    (run.folder / "result.json").unlink()
    whole = (run.folder / "last.safetensors").read_bytes()
    lines.clear()
    api.resume("run")
    assert (run.folder / "last.safetensors").read_bytes() == whole
    assert not any("precision" in line for line in lines)
    (run.folder / "result.json").unlink()
    record = run.folder / "env.json"
    record.write_text(record.read_text().replace('"precision": "fp32"', '"precision": "tf32"'))
    api.resume("run")
    assert "warning  precision was tf32, is fp32: results will not be bit-identical" in lines


@pytest.mark.parametrize("optimizer", [{"name": "sgd"}, {"name": "sam", "base": "sgd"}])
def test_a_clipped_step_is_as_long_as_was_allowed(tiny, quick, optimizer) -> None:
    """With plain SGD and a rate of 1 the first step is the clipped gradient itself."""
    quick["optimizer"] = {**optimizer, "lr": 1.0, "momentum": 0.0, "weight_decay": 0.0}
    after = {}
    for norm in (0.01, 0.03):
        quick["train"] = {"steps": 1, "precision": "fp32", "clip_norm": norm, "select": "last"}
        run = fer_core.train("tiny", "bars", device="cpu", **quick)
        state, _ = checkpoint.load_weights(run.folder / "last.safetensors")
        parameters = [name for name in state if "running" not in name and "tracked" not in name]
        after[norm] = torch.cat([state[name].flatten() for name in parameters])
    assert float((after[0.03] - after[0.01]).norm()) == pytest.approx(0.02, rel=1e-3)

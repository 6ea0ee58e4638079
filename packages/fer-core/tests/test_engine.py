"""What the engine settles for a run: arithmetic, and how far one step may go."""

from __future__ import annotations

import shutil
import sysconfig
from pathlib import Path

import fer_core
import pytest
import torch
from fer_core.engine.devices import Cuda
from fer_core.weights import checkpoint


def test_fp32_is_no_tf32_whatever_was_set_before() -> None:
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    Cuda().set_deterministic(False)
    assert not torch.backends.cuda.matmul.allow_tf32
    assert not torch.backends.cudnn.allow_tf32


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


@pytest.mark.slow
def test_a_compiled_run_is_that_of_the_network_and_its_weights_keep_their_names(tiny, quick) -> None:
    """torch's compiler for CPUs needs a C++ compiler."""
    if not shutil.which("g++") or not Path(sysconfig.get_path("include"), "Python.h").exists():
        pytest.skip("no C++ compiler, or no headers of Python: compilation on a CPU is not tested")
    folders = {}
    quick["model"] = {"dropout": 0.0}  # compiled layers draw their noise in another way
    quick["optimizer"] = {"name": "sgd", "lr": 0.1}  # Adam would make rounding a step where the gradient is 0
    for compiled in (False, True):
        quick["train"] = {"steps": 6, "precision": "fp32", "compile": compiled, "select": "last"}
        folders[compiled] = fer_core.train("tiny", "bars", device="cpu", **quick).folder
    plain, _ = checkpoint.load_weights(folders[False] / "last.safetensors")
    compiled, _ = checkpoint.load_weights(folders[True] / "last.safetensors")
    assert list(plain) == list(compiled)
    for name, value in plain.items():
        torch.testing.assert_close(compiled[name], value, rtol=0, atol=1e-4)

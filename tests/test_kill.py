"""A run that is killed for real, in the middle of an epoch, through the command line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

TRAIN = ["train", "dan", "synthetic", "--device", "cpu"]
for override in (
    "data.options={samples: 210, size: 32}",
    "data.input_size=32",
    "data.batch_size=16",
    "train.epochs=4",
    "train.save_every=2",
):
    TRAIN += ["-o", override]
PRODUCTS = ("best.safetensors", "last.safetensors", "result.json", "predictions-test.csv", "metrics.jsonl")


def start(*arguments: str, cwd: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "FER_CACHE": str(cwd / "cache")}
    return subprocess.Popen([sys.executable, "-m", "fer_core", *arguments], cwd=cwd, env=environment)


@pytest.mark.slow
def test_a_sigkill_in_mid_epoch_leaves_no_trace_in_the_result(tmp_path: Path) -> None:
    assert start(*TRAIN, "-o", "run.dir=whole", cwd=tmp_path).wait(timeout=600) == 0
    process = start(*TRAIN, "-o", "run.dir=killed", cwd=tmp_path)
    state = tmp_path / "killed/last.state.pt"
    while not state.exists():  # written after two of some forty steps
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed/result.json").exists()
    assert start("train", "--resume", "killed", cwd=tmp_path).wait(timeout=600) == 0
    for name in PRODUCTS:
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name

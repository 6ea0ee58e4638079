"""The programs in `examples/` run as they are."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_a_plain_loop_learns(tmp_path) -> None:
    small = [
        "--input-size",
        "32",
        "--batch-size",
        "16",
        "--options",
        '{"samples": 350, "size": 32}',
        "--epochs",
        "2",
    ]
    done = subprocess.run(
        [sys.executable, EXAMPLES / "plain_loop.py", *small],
        env={**os.environ, "FER_CACHE": str(tmp_path), "CUDA_VISIBLE_DEVICES": ""},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    losses = [
        float(loss) for loss in re.findall(r"epoch \d: loss ([\d.]+), validation accuracy [\d.]+%", done.stdout)
    ]
    assert len(losses) == 2
    assert losses[1] < losses[0]


def test_a_plain_loop_stays_short() -> None:
    lines = (EXAMPLES / "plain_loop.py").read_text(encoding="utf-8").splitlines()
    assert len([line for line in lines if line.strip()]) <= 40

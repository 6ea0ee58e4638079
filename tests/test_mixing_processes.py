"""Two processes mix images as one that computes their shares in turn."""

from __future__ import annotations

from pathlib import Path

import pytest
from fer_core.testing import check_processes


@pytest.mark.slow
def test_two_processes_mix_as_one_that_takes_their_parts_in_turn(tmp_path: Path) -> None:
    sections = {
        "model": {"backbone": "mobilenetv3_small_050"},
        "data": {"batch_size": 16, "input_size": 32, "options": {"samples": 140}},
        "train": {"trainer": {"name": "mix", "mixup": 0.4, "cutmix": 1.0}, "epochs": 1, "precision": "fp32"},
        "callbacks": [],
    }
    check_processes("timm", "synthetic", tmp_path, **sections)

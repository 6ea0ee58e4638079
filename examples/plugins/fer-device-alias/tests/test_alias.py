import json
import subprocess
import sys

import pytest
import torch
from fer_core.testing import check_plugin, check_resume
from fer_device_alias.device import Alias

SMALL = {"data": {"options": {"samples": 200}}, "train": {"epochs": 3, "precision": "bf16"}, "callbacks": []}
WORDS = ["tinynet", "shapes", "--device", "alias", "-o", "data.options.samples=200", "-o", "train.epochs=1"]


def test_the_plugin_is_sound():
    check_plugin("fer-device-alias")


def test_only_training_is_in_half_precision():
    layer, images = torch.nn.Linear(4, 4), torch.zeros(2, 4)
    with Alias().autocast("bf16"):
        assert layer(images).dtype == torch.bfloat16
    with torch.no_grad(), Alias().autocast("bf16"):
        assert layer(images).dtype == torch.float32


def test_an_interrupted_run_is_resumed_on_the_device_to_the_same_bytes(tmp_path):
    check_resume("tinynet", "shapes", tmp_path, **SMALL, run={"device": "alias"})
    assert json.loads((tmp_path / "interrupted" / "env.json").read_text())["device"] == "alias"


@pytest.mark.slow
def test_two_processes_meet_by_the_backend(tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "fer_core", "train", *WORDS, "-o", f"run.dir={tmp_path / 'run'}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    recorded = json.loads((tmp_path / "run" / "env.json").read_text())
    assert (recorded["device"], recorded["processes"]) == ("alias", 2)

"""Reference figures: the authors' code, run on weights and images that a rule draws from the tensors' names."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

DATA = Path(__file__).parent / "data"


def draw(name, shape):
    """float64 standard normal, from numpy's frozen generator seeded by the name."""
    return np.random.RandomState(zlib.crc32(name.encode())).standard_normal(tuple(shape))


def fill(name, shape):
    """The reference value of the tensor called `name`."""
    if name.endswith("num_batches_tracked"):
        return torch.tensor(0)
    n = draw(name, shape)
    scales = {"running_var": 1 + 0.25 * np.abs(n), "weight": 0.8 + 0.2 * n}
    if n.ndim > 1 and name.endswith("weight"):
        scales["weight"] = n * np.sqrt(2 / np.prod(n.shape[1:]))
    return torch.as_tensor(scales.get(name.rpartition(".")[2], 0.1 * n)).float()


@pytest.fixture(scope="session")
def reference_of():
    """`reference_of(family)`: its `golden` and `keys`, the rule `fill` and `draw`, and `images`, `labels`."""

    def load(family):
        figures = {name: json.loads((DATA / family / f"{name}.json").read_text()) for name in ("golden", "keys")}

        def images(batch, size):
            return torch.as_tensor(np.clip(draw("input", (batch, 3, size, size)), -2, 2)).float()

        def labels(batch, classes):
            return torch.as_tensor(np.random.RandomState(zlib.crc32(b"target")).randint(0, classes, batch))

        return SimpleNamespace(fill=fill, draw=draw, images=images, labels=labels, **figures)

    return load


PROCESS = """
import sys
import numpy as np
import pandas as pd
import torch
from fer_core import distributed
from fer_core.cli import main
from fer_core.data.table import make_fingerprint
from fer_core.plugins import Entry, Plugin, load_plugins
from fer_core.training.loop import Loop
from fer_core.workflows import train
from fer_core.types import DatasetSpec, FERDataset
from torch import nn

CLASSES = ("happiness", "sadness", "neutral")


class Bars(FERDataset):
    name, classes = "bars", CLASSES

    def __init__(self, root, *, train=24):
        label = np.arange(train + 6) % 3
        ids = [f"bar-{i:04d}" for i in range(train + 6)]
        split = np.repeat(["train", "val", "test"], [train, 3, 3])
        self.table = pd.DataFrame({"id": ids, "label": label, "split": split, "source": ids})

    def read(self, row):
        image = np.random.default_rng(row).integers(0, 200, (48, 48, 3), dtype=np.uint8)
        at = 16 * int(self.table["label"].iloc[row])
        image[at : at + 16] += 50
        return image

    def fingerprint(self):
        return make_fingerprint(self.table["id"], self.table["label"], self.table["id"])


class Dumping(Loop):
    # With several processes buffers are those of the main one, which sees the first part of every batch. To be
    # comparable, one process that runs the parts in turn keeps the running statistics of the first, too.
    def _seed_layers(self, part, passes):
        super()._seed_layers(part, passes)
        if part == 1 and distributed.size() == 1:
            self.first = {name: buffer.clone() for name, buffer in self.setup.task.named_buffers()}

    def step(self, batch):
        self.first = {}
        super().step(batch)
        for name, buffer in self.setup.task.named_buffers():
            if name in self.first:
                buffer.copy_(self.first[name])

    def fit(self):
        super().fit()
        state = {**self.setup.task.state_dict(), **dict(self.setup.task.loss.named_buffers(prefix="loss"))}
        equal = [all(map(torch.equal, state.values(), other.values())) for other in distributed.gather(state)]
        torch.save({"state": state, "equal": equal}, self.folder / f"rank{distributed.rank()}.pt")


SPLITS = {"train": "train", "val": "val", "test": "test"}
spec = DatasetSpec(
    name="bars", factory=Bars, classes=CLASSES, splits=SPLITS, layouts={},
    expected_counts={}, summary="", licence="", homepage="", options={"train": 24}, needs_root=False,
)
entries, plugin = load_plugins().entries, Plugin("tests", "fer-tests", "0")
entries["datasets"]["bars"] = [Entry("bars", spec, plugin)]
train.Loop = Dumping
main(sys.argv[1:])
"""


@pytest.fixture
def train_bars(tmp_path):
    """`train_bars(model, processes, *overrides)`: what each process held at the end, and which held the same.

    The buffers of one process that takes two parts in turn are what they were after the first.
    """
    program = tmp_path / "process.py"
    program.write_text(PROCESS)
    environment = {**os.environ, "FER_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    common = ["callbacks=[]", "train.precision=fp32", "train.select=last"]
    common += ["optimizer={name: sgd, lr: 0.01, momentum: 0.9}", "scheduler=constant", "train.deterministic=true"]

    def train(model, processes, *overrides):
        folder = tmp_path / "run"
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
        given = [f"run.dir={folder}", *common, *overrides]
        command = [sys.executable, *(launcher if processes > 1 else []), str(program), "train", model, "bars"]
        command += ["--device", "cpu", *(word for override in given for word in ("-o", override))]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        held = [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(processes)]
        shutil.rmtree(folder)
        return held

    return train

"""Reference figures: the authors' code, run on weights and images that a rule draws from the tensors' names."""

from __future__ import annotations

import json
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
def reference():
    """`golden`, `keys` and `alignment` (the figures), `state`, `images` [4, 3, 112, 112] and `labels` [4]."""
    images = torch.as_tensor(np.clip(draw("input", (4, 3, 112, 112)), -2, 2)).float()
    names = ("golden", "keys", "alignment")
    figures = {name: json.loads((DATA / f"{name}.json").read_text()) for name in names}
    state = {name: fill(name, shape) for name, shape in figures["keys"]["shapes"].items()}
    labels = torch.tensor(figures["golden"]["labels"])
    return SimpleNamespace(images=images, labels=labels, state=state, **figures)

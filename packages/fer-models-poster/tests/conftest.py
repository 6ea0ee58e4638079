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


def fill(name, like):
    """The reference value of the tensor called `name`; what is no float stays."""
    if not like.is_floating_point():
        return like.clone()
    n = draw(name, like.shape)
    scales = {"running_var": 1 + 0.25 * np.abs(n), "weight": 0.8 + 0.2 * n}
    if n.ndim > 1 and name.endswith("weight"):
        scales["weight"] = n * np.sqrt(2 / np.prod(n.shape[1:]))
    return torch.as_tensor(scales.get(name.rpartition(".")[2], 0.1 * n)).float()


@pytest.fixture(scope="session")
def filled():
    """`filled(model)` fills a model by the rule and returns it."""

    def fill_model(model):
        model.load_state_dict({name: fill(name, tensor) for name, tensor in model.state_dict().items()})
        return model

    return fill_model


@pytest.fixture(scope="session")
def reference():
    """`reference(family)`: its figures `golden` and `keys`; `images` [4, 3, 224, 224] and `labels` [4]."""
    images = torch.as_tensor(np.clip(draw("input", (4, 3, 224, 224)), -2, 2)).float()
    labels = torch.as_tensor(np.random.RandomState(zlib.crc32(b"target")).randint(0, 7, 4))

    def load(family):
        figures = {name: json.loads((DATA / family / f"{name}.json").read_text()) for name in ("golden", "keys")}
        return SimpleNamespace(images=images, labels=labels, **figures)

    return load


@pytest.fixture(scope="session")
def poster(filled):
    """A filled POSTER (large, token mixing) in eval mode; tests do not change it."""
    from fer_models_poster.poster import POSTER

    return filled(POSTER(7)).eval()


@pytest.fixture(scope="session")
def poster_pp(filled):
    """A filled POSTER++ in eval mode; tests do not change it."""
    from fer_models_poster.poster_pp import POSTERPP

    return filled(POSTERPP(7)).eval()

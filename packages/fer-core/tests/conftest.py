"""Fake distributions for plugin tests; a tiny model and a tiny dataset for training tests."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import Distribution, distributions, entry_points
from pathlib import Path
from textwrap import dedent
from typing import Annotated

import numpy as np
import pandas as pd
import pytest
import torch
from fer_core import discovery, plugins
from fer_core.data.table import make_fingerprint
from fer_core.logging import LineFormatter
from fer_core.plugin import DatasetSpec, ModelSpec, TaskInfo
from fer_core.plugins import Entry, Plugin, load_plugins
from fer_core.runs.state import read_state, save_state
from fer_core.types import FERDataset
from hypothesis import HealthCheck, settings
from pydantic import Field
from torch import nn

settings.register_profile("patient", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")  # a busy machine fails no test

HEADER = "from fer_core.plugin import CommandSpec, DatasetSpec, ExperimentSpec, FerError\n"
HEADER += "from fer_core.plugin import MetricSpec, ModelSpec, SplitSpec, WeightsSpec\n"
HEADER += "from fer_core.plugin import hookimpl\n"


class Site:
    """A folder of fake distributions, laid out as an installer would."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def install(
        self,
        distribution: str,
        source: str | None,
        *,
        version: str = "1.0",
        module: str = "",
        metadata: str | None = "Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n",
        entry_points: bytes = b"[fer_core]\n{name} = {module}\n",
    ) -> None:
        """Add a distribution with one plugin; `source` is its module's text, None leaves the module out.

        The entry point is called as the distribution is, with `_`. `metadata` None leaves the file out.
        """
        name = distribution.replace("-", "_")
        module = module or f"{name}_module"
        info = self.root / f"{name}-{version}.dist-info"
        info.mkdir()
        if metadata is not None:
            (info / "METADATA").write_text(metadata.format(distribution=distribution, version=version))
        points = entry_points.replace(b"{name}", name.encode()).replace(b"{module}", module.encode())
        (info / "entry_points.txt").write_bytes(points)
        if source is not None:
            (self.root / f"{module}.py").write_text(HEADER + dedent(source))

    def distributions(self) -> list[Distribution]:
        """As `importlib.metadata.distributions`, of this folder alone."""
        return list(distributions(path=[str(self.root)]))

    def fer_run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `fer-run` in a fresh process that sees these distributions and no other plugin."""
        own = {dist.name for dist in self.distributions() if (dist._path / "METADATA").exists()}
        others = {point.dist.name for point in entry_points(group="fer_core")} - own
        env = {**os.environ, "PYTHONPATH": str(self.root), "FER_DISABLE_PLUGINS": ",".join(others), **environment}
        return subprocess.run(
            [sys.executable, "-m", "fer_core", *arguments], env=env, capture_output=True, text=True, timeout=300
        )


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Fake distributions; in this process, too, they are the only plugins beside the core."""
    root = tmp_path / "site"
    root.mkdir()
    found = Site(root)
    monkeypatch.setattr(discovery, "distributions", found.distributions)
    monkeypatch.syspath_prepend(str(root))
    plugins.load_plugins.cache_clear()
    yield found
    plugins.load_plugins.cache_clear()
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(str(root)):
            del sys.modules[name]


@pytest.fixture(scope="module")
def shared_site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Fake distributions for all tests of a module, seen by processes that `fer_run` starts."""
    return Site(tmp_path_factory.mktemp("site"))


@pytest.fixture
def wait_for() -> Callable[[Callable[[], bool], subprocess.Popen[str]], None]:
    """`wait_for(condition, process)`: until it holds; the process must not end before."""

    def wait(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
        for _ in range(30_000):
            if condition():
                return
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.02)
        raise AssertionError("waited ten minutes in vain")

    return wait


class Lines(logging.Handler):
    """A handler that keeps lines as `log.txt` and the terminal have them."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(LineFormatter())
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(self.format(record))


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """What `fer_core` logs from INFO on, as a program sees it that asks for it."""
    handler, logger = Lines(), logging.getLogger("fer_core")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler.found
    logger.setLevel(logging.NOTSET)
    logger.removeHandler(handler)


CLASSES = ("happiness", "sadness", "neutral")


class TinyNet(nn.Module):
    def __init__(self, info: TaskInfo, *, width: int = 8, dropout: float = 0.1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, width, 3, stride=2, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.Dropout(dropout)
        )
        self.head = nn.Linear(width * 16, info.num_classes)

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        maps = nn.functional.adaptive_avg_pool2d(self.body(images), 4)
        return {"logits": self.head(maps.flatten(1))}


class Bars(FERDataset):
    """A bright bar whose place is the class, on noise: a linear problem, drawn in memory."""

    name = "bars"

    def __init__(
        self, root: Path, *, samples: Annotated[int, Field(ge=1, le=100_000)] = 90, classes: int = 3
    ) -> None:
        self.classes = CLASSES[:classes]
        label = np.arange(samples) % classes
        part = np.repeat(["train", "val", "test"], [samples - 2 * (samples // 5), samples // 5, samples // 5])
        ids = [f"bar-{i:04d}" for i in range(samples)]
        self.table = pd.DataFrame({"id": ids, "label": label, "split": part, "source": ids})

    def read(self, row: int) -> np.ndarray:
        rng = np.random.default_rng(row)
        image = rng.integers(0, 120, (16, 16, 3), dtype=np.uint8)
        at = 1 + 5 * int(self.table["label"].iloc[row])
        image[at : at + 4] += 100
        return image

    def fingerprint(self) -> str:
        return make_fingerprint(self.table["id"], self.table["label"], self.table["id"])


TINY = ModelSpec(name="tiny", factory=TinyNet, recipes={}, summary="", paper="", licence="Apache-2.0", upstream="")
BARS = DatasetSpec(
    name="bars",
    factory=Bars,
    classes=CLASSES,
    splits={"train": "train", "val": "val", "test": "test"},
    layouts={},
    expected_counts={},
    summary="",
    licence="",
    homepage="",
    options={"samples": 90, "classes": 3},
    needs_root=False,
)


@contextmanager
def tiny_and_bars() -> Iterator[pytest.MonkeyPatch]:
    """`tiny` and `bars` are known names; torch computes in one thread."""
    plugin = Plugin("tests", "fer-tests", "0")
    entries = load_plugins().entries
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(entries["models"], "tiny", [Entry("tiny", TINY, plugin)])
        patch.setitem(entries["datasets"], "bars", [Entry("bars", BARS, plugin)])
        yield patch
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """`tiny` and `bars` are known names, caches and runs go to a folder of the test."""
    with tiny_and_bars() as patch:
        patch.setenv("FER_CACHE", str(tmp_path / "cache"))
        patch.chdir(tmp_path)
        yield tmp_path


@pytest.fixture(scope="module")
def tiny_everywhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """`tiny` for all tests of a module."""
    with tiny_and_bars():
        yield tmp_path_factory.mktemp("tiny")


class TwoHeads(nn.Module):
    """Logits of the label, and a head for every extra target."""

    def __init__(self, info: TaskInfo) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, 4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.1))
        self.label = nn.Linear(8 * 16, info.num_classes)
        self.heads = nn.ModuleDict(
            {name: nn.Linear(8 * 16, len(classes) or 1) for name, classes in info.targets.items()}
        )
        self.numbers = {name for name, classes in info.targets.items() if not classes}

    def forward(self, images):
        features = self.body(images)
        heads = {name: head(features) for name, head in self.heads.items()}
        shaped = {name: head[:, 0] if name in self.numbers else head for name, head in heads.items()}
        return {"logits": self.label(features), **{f"head_{name}": head for name, head in shaped.items()}}


def target_columns(rows: int) -> dict[str, object]:
    """Every third row has no mood, every fourth no tension, every fifth no age."""
    row = np.arange(rows)
    shares = np.stack([row % 4 + 1, row % 3, np.ones(rows)], 1).astype(float)
    shares[row % 5 == 0] = np.nan
    return {
        "target_mood": pd.Categorical.from_codes(np.where(row % 3, row // 3 % 2, -1), ["calm", "tense"]),
        "target_tension": np.where(row % 4, row / 10, np.nan),
        **{f"target_age:{name}": shares[:, k] for k, name in enumerate(("young", "old", "unsure"))},
    }


@pytest.fixture
def two_heads(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """The model `two_heads`, and `faces`, which is `bars` with extra targets; called, it adds a changed `bars`."""
    entries, bars, model = load_plugins().entries, BARS, replace(TINY, name="two_heads", factory=TwoHeads)
    plugin = Plugin("t", "fer-tests", "0")

    def add(
        name: str, change: Callable[[FERDataset], None] = lambda dataset: None, *, targets: bool = False
    ) -> None:
        def make(root: Path, *, samples: int = 90) -> FERDataset:
            dataset = Bars(root, samples=samples)
            dataset.name = name
            if targets:
                dataset.table = dataset.table.assign(**target_columns(samples))
            change(dataset)
            return dataset

        spec = replace(bars, name=name, factory=make, options={"samples": 90})
        monkeypatch.setitem(entries["datasets"], name, [Entry(name, spec, plugin)])

    monkeypatch.setitem(entries["models"], "two_heads", [Entry("two_heads", model, plugin)])
    add("faces", targets=True)
    return add


QUICK = {
    "data": {"input_size": 16, "batch_size": 16, "train_transforms": ["resize", "horizontal_flip", "normalize"]},
    "optimizer": {"name": "adamw", "lr": 0.01},
    "train": {"epochs": 4},
    "callbacks": [],
}


@pytest.fixture
def quick() -> dict[str, dict[str, object]]:
    """Overrides for a run of a second or two."""
    return {section: dict(values) if isinstance(values, dict) else values for section, values in QUICK.items()}


@pytest.fixture
def shorten() -> Callable[[Path], None]:
    """`shorten(folder)`: a run of very many epochs, interrupted, shall end after two more when it is resumed."""

    def change(folder: Path) -> None:
        state = read_state(folder / "last.state.pt")
        stored = folder / "config.yaml"
        text = re.sub(r"epochs: \d+", f"epochs: {state.envelope.position.epoch + 2}", stored.read_text())
        stored.write_text(text)
        identity = state.envelope.identity.model_copy(update={"config": text})
        envelope = state.envelope.model_copy(update={"identity": identity})
        save_state(folder / "last.state.pt", replace(state, envelope=envelope))

    return change

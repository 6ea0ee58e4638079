"""The loggers on the page `docs/how-to/loggers.md`, taken from it word by word; both services are stand-ins."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType, SimpleNamespace

import fer_core
import pytest
from fer_core import api, plugins

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "how-to" / "loggers.md"
FILE = re.compile(r"^`([\w./-]+)`\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SMALL = {
    "model": {"backbone": "test_resnet"},
    "data": {"options": {"samples": 70, "size": 32}, "input_size": 32, "batch_size": 16},
    "optimizer": {"name": "adamw", "lr": 0.001},
    "train": {"epochs": 2},
    "callbacks": [{"wandb": {"project": "faces", "mode": "offline"}}, {"mlflow": {"tracking_uri": "file:x"}}],
}


class Service:
    """Notes calls, and loses its connection at the one that it is told to."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple, dict]] = []
        self.lost_at = 0

    def __getattr__(self, name: str):
        if name.startswith("_"):
            raise AttributeError(name)

        def note(*positional, **named):
            self.calls.append((name, positional, named))
            if name in ("log", "log_metrics"):
                self.lost_at -= 1
                if self.lost_at == 0:
                    raise ConnectionError("the service is gone")
            identity = named.get("id") or named.get("run_id") or f"run-{len(self.calls)}"
            return SimpleNamespace(
                id=identity, info=SimpleNamespace(run_id=identity), log=self.log, finish=self.finish
            )

        return note

    def named(self, name: str) -> list[tuple[tuple, dict]]:
        return [(positional, named) for called, positional, named in self.calls if called == name]


@pytest.fixture
def services(tmp_path, monkeypatch):
    """The page's plugin is installed, and both services are stand-ins."""
    site = tmp_path / "site"
    for name, text in FILE.findall(PAGE.read_text(encoding="utf-8")):
        path = site / name.removeprefix("src/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    project = tomllib.loads((site / "pyproject.toml").read_text())["project"]
    info = site / "fer_loggers-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 0.1.0\n")
    points = [f"{name} = {value}" for name, value in project["entry-points"]["fer_core"].items()]
    (info / "entry_points.txt").write_text("\n".join(["[fer_core]", *points]))
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FER_CACHE", str(tmp_path / "cache"))
    found = {}
    for name in ("wandb", "mlflow"):
        found[name], module = Service(), ModuleType(name)
        module.__getattr__ = found[name].__getattr__
        monkeypatch.setitem(sys.modules, name, module)
    plugins.load_plugins.cache_clear()
    yield SimpleNamespace(**found)
    plugins.load_plugins.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "fer_loggers"]:
        del sys.modules[name]


def flat(folder: Path) -> list[tuple[dict[str, float], int]]:
    rows = []
    for line in (folder / "metrics.jsonl").read_text().splitlines():
        row = json.loads(line)
        figures = {f"{role}/{name}": value for role in ("train", "val") for name, value in row[role].items()}
        rows.append(({**figures, "lr": row["lr"], "epoch": row["epoch"]}, row["step"]))
    return rows


def test_both_get_every_figure_and_a_resumed_run_goes_on_in_its_place(services) -> None:
    assert plugins.load_plugins().failures == []
    services.mlflow.lost_at = 2
    with pytest.raises(ConnectionError):
        fer_core.train("timm", "synthetic", device="cpu", **SMALL, run={"dir": "run"})
    assert services.wandb.named("finish") == [((), {"exit_code": 1})]
    assert services.mlflow.named("end_run") == [(("FAILED",), {})]
    done = api.resume("run", device="cpu")

    expected = flat(done.folder)
    assert len(expected) == 2
    again = [expected[0], expected[1], expected[1]]  # its state was not saved when the connection was lost
    assert [(row, named["step"]) for (row,), named in services.wandb.named("log")] == again
    assert [(row, named["step"]) for (row,), named in services.mlflow.named("log_metrics")] == again

    first, second = (named for _, named in services.wandb.named("init"))
    assert (first["id"], first["project"], first["mode"], first["name"]) == (None, "faces", "offline", "run")
    assert first["config"]["data"]["batch_size"] == 16
    assert second["id"] == "run-1"
    assert services.wandb.named("finish")[-1] == ((), {"exit_code": 0})
    begun, resumed = (named for _, named in services.mlflow.named("start_run"))
    assert (begun["run_name"], resumed["run_id"]) == ("run", "run-3")
    assert services.mlflow.named("end_run")[-1] == (("FINISHED",), {})
    ((params,), _), = services.mlflow.named("log_params")  # fmt: skip
    assert params == {"model": "timm", "dataset": "synthetic", "seed": 0}
    assert services.mlflow.named("set_tracking_uri") == [(("file:x",), {})] * 2

"""Runs and weights whose plugins are not installed: it is said which to install, before data are read."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import fer_core
import pytest
from click.testing import CliRunner
from fer_core import registry
from fer_core.cli.main import main
from fer_core.files import write_text
from fer_core.plugins import Entry, Plugin, load_plugins
from fer_core.provenance import Component
from fer_core.runs.records import Environment
from fer_core.training.callbacks import Callback

ENVIRONMENT = "env.json"


@pytest.fixture
def killed(tiny, quick, monkeypatch) -> Path:
    """A run that was killed before it ended, with a callback of a plugin."""
    entry = Entry("chime", Callback, Plugin("bells", "fer-bells", "2.1"))
    monkeypatch.setitem(load_plugins().entries["callbacks"], "chime", [entry])
    quick |= {"callbacks": ["chime"], "train": {"epochs": 1}, "run": {"dir": "run"}}
    fer_core.train("tiny", "bars", device="cpu", **quick)
    (tiny / "run" / "result.json").unlink()
    return tiny / "run"


@pytest.fixture
def uninstall(killed, monkeypatch) -> Callable[[str, str], None]:
    """`uninstall(kind, name)`, after which nobody may read data."""

    def take(kind: str, name: str) -> None:
        bars = registry.factory("datasets", "bars")
        monkeypatch.delitem(load_plugins().entries[kind], name)
        monkeypatch.setattr(bars, "read", lambda self, row: pytest.fail("an image was read"))
        shutil.rmtree("cache")

    return take


def error_of(*words: str) -> str:
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2, done.output
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    return line.removeprefix("Error: ")


@pytest.mark.parametrize(
    ("kind", "name", "home"),
    [
        ("models", "tiny", "fer-tests 0"),
        ("datasets", "bars", "fer-tests 0"),
        ("callbacks", "chime", "fer-bells 2.1"),
    ],
)
def test_a_run_names_the_plugin_that_it_lacks(killed, uninstall, kind, name, home):
    uninstall(kind, name)
    distribution = home.partition(" ")[0]
    expected = (
        f"{registry.singular(kind)} {name!r} comes with {home}, which is not installed: pip install {distribution}"
    )
    assert expected in error_of("train", "--resume", "run")
    assert expected in error_of("train", "--extend", "run", "--epochs", "9")


@pytest.mark.parametrize("command", ["evaluate", "diagnose"])
def test_weights_name_the_plugin_of_their_model_before_data_are_read(uninstall, command):
    uninstall("models", "tiny")
    assert error_of(command, "run/best.safetensors", "bars") == (
        "run/best.safetensors: header: model 'tiny' comes with fer-tests 0, which is not installed: "
        "pip install fer-tests"
    )


def test_prediction_names_the_plugin_of_the_model(uninstall):
    uninstall("models", "tiny")
    with pytest.raises(fer_core.FerError, match="model 'tiny' comes with fer-tests 0, which is not installed"):
        fer_core.Predictor("run/best.safetensors", device="cpu")


def test_a_device_that_is_gone_can_be_replaced(killed):
    """And a kind that only a newer core knows is no obstacle."""
    stored = Environment.read(killed / ENVIRONMENT, "")
    gone = [
        Component(kind=kind, name="gone", distribution="fer-gone", version="3") for kind in ("devices", "gadgets")
    ]
    changed = stored.model_copy(update={"components": (*stored.components, *gone)})
    write_text(killed / ENVIRONMENT, changed.text())
    assert fer_core.resume(killed, device="cpu").result.metrics["test"].count == 18

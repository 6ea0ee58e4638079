"""The checks for authors of plugins find what an interruption loses, and what processes do not share."""

from __future__ import annotations

import os
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import torch
from fer_core.plugin import Loss
from fer_core.plugins import Entry, Plugin, load_plugins
from fer_core.testing import check_processes, check_resume
from torch.nn import functional as F

LOCAL = """
import torch
from conftest import BARS, TINY
from fer_core.plugin import Loss

class Local(Loss):
    '''Counts visits where only the main process's count is kept.'''

    def __init__(self, info):
        super().__init__()
        self.register_buffer("visits", torch.zeros(info.samples))

    def from_output(self, output, batch, progress):
        self.visits[batch["index"]] += 1
        return {"loss": torch.nn.functional.cross_entropy(output["logits"], batch["label"])}

@hookimpl
def fer_models():
    return [TINY]

@hookimpl
def fer_datasets():
    return [BARS]

@hookimpl
def fer_losses():
    return {"local": Local}
"""


class Forgetful(Loss):
    """Weighs the loss by the number of its calls, which is in no state."""

    def __init__(self, info) -> None:
        super().__init__()
        self.calls = 0

    def from_output(self, output, batch, progress):
        self.calls += 1
        return {"loss": F.cross_entropy(output["logits"], batch["label"]) / self.calls}


def test_what_an_interruption_loses_is_found(tiny, quick, monkeypatch) -> None:
    entry = Entry("forgetful", Forgetful, Plugin("tests", "fer-tests", "0"))
    monkeypatch.setitem(load_plugins().entries["losses"], "forgetful", [entry])
    with pytest.raises(AssertionError, match=r"last\.safetensors of the resumed run differs"):
        check_resume("tiny", "bars", tiny, **quick, loss="forgetful")


def test_the_state_that_is_compared_is_returned(tiny, quick) -> None:
    state = check_resume("tiny", "bars", tiny, **quick)
    assert {name.partition(".")[0] for name in state} == {"model"}
    assert not (tiny / "whole" / "samples.csv").exists()  # nothing is known of single samples
    assert all(torch.isfinite(value).all() for value in state.values())


def test_too_few_steps_to_be_interrupted_are_told(tiny, quick) -> None:
    with pytest.raises(AssertionError, match="fewer than four steps"):
        check_resume("tiny", "bars", tiny, **quick | {"train": {"steps": 3}})


@pytest.mark.slow
def test_what_processes_do_not_share_is_found(site, quick, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    site.install("fer-local", LOCAL)
    others = {point.dist.name for point in entry_points(group="fer_core")} - {"fer-local"}
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site.root), str(Path(__file__).parent)]))
    monkeypatch.setenv("FER_DISABLE_PLUGINS", ",".join(others))
    monkeypatch.setenv("FER_CACHE", str(tmp_path / "cache"))
    with pytest.raises(AssertionError, match="visits differs on two processes, by up to"):
        check_processes("tiny", "bars", tmp_path, **quick, loss="local")

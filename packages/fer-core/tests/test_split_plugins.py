"""Protocols of `data.split` that a plugin brings."""

from __future__ import annotations

import shutil
import sys
from types import SimpleNamespace

import fer_core
import numpy as np
import pandas as pd
import pytest
from fer_core import FerError
from fer_core.data.protocols import read_protocol
from fer_core.data.splits import make_split
from fer_core.experiments.splits import expand_split
from fer_core.plugins import load_plugins
from fer_core.weights.checkpoint import read_header

SPLITS = """
import numpy as np
from fer_core.plugin import SplitSpec

RETURNED = None

def by_id(dataset, roles, seed, parts, tested, ending=""):
    number = dataset.table["id"].str.extract(r"(\\d+)$")[0].astype(int).to_numpy()
    held = number % parts == tested
    return np.flatnonzero(~held), np.array([], int), np.flatnonzero(held)

def wrong(dataset, roles, seed):
    if isinstance(RETURNED, Exception):
        raise RETURNED
    return RETURNED

@hookimpl
def fer_splits():
    return [SplitSpec(name="by-id", divide=by_id, form="N:K[:late]"), SplitSpec(name="wrong", divide=wrong)]
"""
ROWS = np.arange(6)


@pytest.fixture
def brought(site):
    """A site with the plugin, before `tiny` adds its names."""
    site.install("fer-ids", SPLITS, version="2.0")
    return site


def toy() -> SimpleNamespace:
    table = pd.DataFrame({"id": list("abcdef"), "label": [0, 1] * 3, "split": "", "source": ""})
    return SimpleNamespace(name="toy", classes=("a", "b"), table=table, refused={})


def test_a_run_trains_by_it_and_its_weights_name_what_to_install(brought, tiny, quick) -> None:
    quick["data"]["split"] = "By_ID:5:1"
    run = fer_core.train("tiny", "bars", device="cpu", **quick | {"train": {"epochs": 1}})
    header = read_header(run.checkpoint)
    assert header.split.protocol == "by-id:5:1+holdout"
    assert ("splits", "by-id", "fer-ids", "2.0") in [
        (of.kind, of.name, of.distribution, of.version) for of in header.components
    ]
    assert run.result.metrics["test"].count == 90 / 5
    assert fer_core.evaluate(run.checkpoint, device="cpu").metrics == run.result.metrics["test"]
    del load_plugins().entries["splits"]["by-id"]
    shutil.rmtree(brought.root / "fer_ids-2.0.dist-info")
    with pytest.raises(
        FerError, match=r"split 'by-id' comes with fer-ids 2.0, which is not installed: pip install"
    ):
        fer_core.evaluate(run.checkpoint, device="cpu")


def test_experiments_count_its_repetitions(brought) -> None:
    assert [choice.protocol for choice in expand_split("by-id:3:*")] == ["by-id:3:0", "by-id:3:1", "by-id:3:2"]
    assert [choice.number for choice in expand_split("by-id:9:2-3:late+holdout")] == [2, 3]
    with pytest.raises(FerError, match=r"write by-id:N:K\[:late\]"):
        expand_split("by-id:3:*:early")


def test_its_form_is_checked_before_data_are_read(brought, tiny, quick) -> None:
    assert read_protocol("by-id:3:2:late+holdout").arguments == (3, 2, "late")
    assert read_protocol("file:C:/a+b.csv+holdout").arguments == ("C:/a+b.csv",)
    for text in ("by-id", "by-id:3", "by-id:3:x", "by-id:3:1:early", "by-id:3:1:late:2", "by-id:3:1234567890"):
        with pytest.raises(FerError, match=r"is not valid: write by-id:N:K\[:late\]"):
            fer_core.train("tiny", "bars", data={"split": text, "root": "nowhere"}, device="cpu")
    with pytest.raises(FerError, match="there is no split 'by-it': did you mean by-id"):
        fer_core.train("tiny", "bars", data={"split": "by-it:3:1"}, device="cpu")


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (ValueError("no\nluck"), r"failed on toy \(ValueError: no luck\): correct the plugin"),
        (FerError("toy has no films"), "^toy has no films$"),
        (None, "split 'wrong' of fer-ids 2.0 on toy returned a NoneType"),
        ((ROWS[:4], ROWS[4:]), "returned a tuple"),
        ((ROWS[:4], [], ROWS[4:] / 2), "returned test of type float64"),
        ((ROWS[:4], [], ROWS[4:, None]), r"shape \(2, 1\)"),
        ((ROWS[:4], [], ROWS[3:]), "returned a row twice"),
        ((ROWS[:4], [], [6]), "returned a row outside 0..5"),
        ((ROWS[:4], [], []), "gave no sample to the test part"),
        (([0, 2], [], [1]), "wrong on toy: no training sample of b"),
    ],
)
def test_what_it_returns_is_checked(brought, returned, words) -> None:
    load_plugins()
    sys.modules["fer_ids_module"].RETURNED = returned
    with pytest.raises(FerError, match=words) as caught:
        make_split(toy(), {}, "wrong", holdout=0.1, seed=0, select="last")
    assert "\n" not in str(caught.value)
    assert load_plugins().failures == []

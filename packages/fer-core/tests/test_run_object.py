"""`fer_core.Run`, what a training returns: its weights, its figures as a table, and how it is shown."""

from __future__ import annotations

import json
from pathlib import Path

import fer_core
import numpy as np
import pytest
from fer_core import distributed
from fer_core.errors import FerError
from fer_core.metrics import compute_metrics
from fer_core.provenance import Dataset, Model, Split, Start
from fer_core.runs.records import Result, ScoredWeights, Training
from fer_core.runs.run import Run, finished_run
from fer_core.testing import make_preprocessing

CLASSES = ("anger", "neutral")
LABELS = np.array([0, 1, 1, 0])
BETTER = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.7, 0.3]], dtype=np.float32)
WORSE = np.array([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.7, 0.3]], dtype=np.float32)
FIGURES = ["weights", "epoch", "part", "count", "accuracy", "mean_class_accuracy", "macro_f1", "cross_entropy"]


def result(**changes: object) -> Result:
    best, last = (compute_metrics(LABELS, scores, CLASSES) for scores in (BETTER, WORSE))
    made = Result(
        format=2,
        model=Model(name="dan"),
        classes=CLASSES,
        dataset=Dataset(name="faces <of> rafdb", fingerprint=64 * "a"),
        split=Split(protocol="official", holdout=0.1, seed=0, digest=64 * "b"),
        start=Start(description="random weights"),
        preprocessing=make_preprocessing(32),
        protocol=Training(select="best:val", metric="accuracy", selected_on_test=False, seed=0, epochs=3, steps=9),
        config_sha256=64 * "c",
        best=ScoredWeights(epoch=2, step=6, metrics={"val": best, "test": best}),
        last=ScoredWeights(epoch=3, step=9, metrics={"val": last, "test": last}),
    )
    return made.model_copy(update=changes)


RUN = Run(Path("runs/one"), result())


def test_the_weights_of_a_run_lie_in_its_folder() -> None:
    assert RUN.checkpoint == Path("runs/one/best.safetensors")


def test_a_table_has_a_row_for_chosen_and_last_weights_on_every_part() -> None:
    table = RUN.to_frame()
    assert table.columns.tolist() == [*FIGURES, "recall_anger", "recall_neutral"]
    assert table[["weights", "epoch", "part"]].to_numpy().tolist() == [
        ["best", 2, "val"],
        ["best", 2, "test"],
        ["last", 3, "val"],
        ["last", 3, "test"],
    ]
    assert table["accuracy"].tolist() == [0.75, 0.75, 0.5, 0.5]
    assert table["recall_anger"].tolist() == [1.0, 1.0, 1.0, 1.0]
    assert table["recall_neutral"].tolist() == [0.5, 0.5, 0.0, 0.0]


def test_a_run_is_shown_in_one_line() -> None:
    shown = "<run runs/one: dan on faces <of> rafdb, val accuracy 75.00%, test accuracy 75.00%>"
    assert repr(RUN) == shown
    only = Run(
        RUN.folder, result(best=ScoredWeights(epoch=2, step=6, metrics={"test": RUN.result.metrics["test"]}))
    )
    assert repr(only) == "<run runs/one: dan on faces <of> rafdb, test accuracy 75.00%>"


def test_a_notebook_shows_the_line_and_the_table_as_html() -> None:
    html = RUN._repr_html_()
    line, _, table = html.partition("</p>")
    assert line == "<p>run runs/one: dan on faces &lt;of&gt; rafdb, val accuracy 75.00%, test accuracy 75.00%"
    assert table.startswith("<table")
    assert table.count("<tr") == 5  # a head and four rows
    # No numbers of rows, which mean nothing, and four digits.
    first = table.split("<tbody>")[1].split("</tr>")[0]
    cells = [cell.partition("</td>")[0] for cell in first.split("<td>")[1:]]
    assert cells[:6] == ["best", "2", "val", "4", "0.75", "0.75"]
    assert "<th>0</th>" not in table


def test_a_finished_run_is_read_from_its_folder(tmp_path) -> None:
    (tmp_path / "result.json").write_text(result().text())
    found = finished_run(tmp_path)
    assert found.folder == tmp_path
    assert found.result == result()


def test_every_process_gets_the_result_that_the_main_one_read(tmp_path, monkeypatch) -> None:
    """The others look at no file: theirs may be on a machine that does not see the main one's folder."""
    monkeypatch.setattr(distributed, "is_main", lambda: False)
    shared = []

    def share(value: object) -> Result:
        shared.append(value)
        return result()

    monkeypatch.setattr(distributed, "share", share)
    assert finished_run(tmp_path / "absent").result == result()
    assert shared == [None]


def test_a_damaged_result_is_named(tmp_path) -> None:
    (tmp_path / "result.json").write_text(json.dumps({**json.loads(result().text()), "classes": 7}))
    with pytest.raises(FerError, match=r"result\.json: classes is 7"):
        finished_run(tmp_path)


def test_a_training_returns_its_run(tiny, quick) -> None:
    run = fer_core.train("tiny", "bars", device="cpu", **{**quick, "train": {"epochs": 1}}, run={"dir": "run"})
    assert run.checkpoint.is_file()
    assert run.folder.resolve() == (tiny / "run").resolve()
    assert json.loads((tiny / "run/result.json").read_text())["best"] == run.result.best.plain()
    assert set(run.to_frame()["weights"]) == {"best", "last"}

"""Tables of heads and of further metrics: means, counts and which row is better."""

from __future__ import annotations

import csv
import io
from types import SimpleNamespace

import numpy as np
import pytest
from fer_core.metrics import HeadMetrics, Metrics, compute_metrics
from fer_core.metrics.frame import metrics_frame
from fer_core.reports.compare import METRICS, Cell, Column, Comparison, Table
from fer_core.reports.further import figure, find_further
from fer_core.reports.tables import to_csv, to_latex, to_markdown, to_records
from fer_core.runs.reading import Protocol

PROTOCOL = Protocol("official", 0.0, "best:val", "accuracy")


def metrics(images: int, others: dict | None = None, **heads: tuple[int, dict]) -> Metrics:
    """Of so many images; `heads` are counts and figures."""
    labels = np.arange(images) % 2
    found = compute_metrics(labels, np.eye(2)[labels], ("a", "b"))
    made = {name: HeadMetrics(count=count, figures=figures) for name, (count, figures) in heads.items()}
    return found.model_copy(update={"others": others or {}, "heads": made})


def table(**rows: list[Metrics]) -> Table:
    """A table of one dataset; a row has a run for each of its metrics."""
    cells = {row: Cell(row, tuple(map(run, of))) for row, of in rows.items()}
    first, *others = rows
    untested = tuple(Comparison(first, other, 0.0, None, None, "predictions are missing") for other in others)
    column = Column("faces", "f" * 64, PROTOCOL, cells, dict.fromkeys(METRICS, untested))
    return Table("official", False, tuple(rows), (column,))


def run(of: Metrics) -> SimpleNamespace:
    result = SimpleNamespace(metrics={"test": of}, dataset=SimpleNamespace(counts={"test": {"a": of.count}}))
    return SimpleNamespace(result=result, predictions=None)


AGE = {"rmse": 4.0, "ccc": 0.25, "mae": 3.0}
MOOD = {"macro_f1": 0.5, "accuracy": 0.625, "odd": 1.5}


def test_means_deviations_and_counts_are_over_the_runs_that_have_the_target() -> None:
    one, two = metrics(20, age=(10, AGE)), metrics(22, age=(12, AGE | {"rmse": 2.0}))
    (found,) = find_further(table(ours=[one, two, metrics(20)], theirs=[metrics(20)]))
    assert (found.title, found.target, found.metrics) == (
        "Head for the target age on faces",
        "age",
        ("ccc", "rmse", "mae"),
    )
    (row,) = found.rows
    assert (row.row, row.runs, row.measured) == ("ours", 3, "10 or 12 of 20 or 22")
    assert row.scores["rmse"].mean == 3.0
    assert row.scores["rmse"].deviation == pytest.approx(2**0.5)
    assert row.scores["ccc"].values == (0.25, 0.25)
    assert not row.best  # of one row none is better
    assert figure("rmse", row.scores["rmse"]) == "3.0000 ± 1.4142"


def test_the_better_row_has_the_smaller_error_and_the_larger_agreement() -> None:
    rows = {"ours": [metrics(8, age=(8, AGE))], "theirs": [metrics(8, age=(8, {"rmse": 3.5, "ccc": 0.125}))]}
    (found,) = find_further(table(**rows))
    ours, theirs = found.rows
    assert (ours.best, theirs.best) == ({"ccc"}, {"rmse"})
    assert ours.measured == "8"
    lines = to_markdown([table(**rows)]).splitlines()
    assert "| ours | 8 | **0.2500** | 4.0000 | 3.0000 |" in lines
    assert "| theirs | 8 | 0.1250 | **3.5000** | – |" in lines
    assert r"theirs & 8 & $0.1250$ & $\mathbf{3.5000}$ & $-$ \\" in to_latex([table(**rows)])


def test_metrics_that_nobody_knows_come_last_and_have_no_better_row() -> None:
    others = {"kappa": 0.5}
    rows = {
        "ours": [metrics(8, others, mood=(6, MOOD))],
        "theirs": [metrics(8, others, mood=(6, MOOD | {"odd": 9.0, "accuracy": 0.5}))],
    }
    label, mood = find_further(table(**rows))
    assert (label.title, label.metrics) == ("Further metrics of the label on faces", ("kappa",))
    assert mood.metrics == ("accuracy", "macro_f1", "odd")
    assert [row.best for row in mood.rows] == [{"accuracy", "macro_f1"}, {"macro_f1"}]
    assert figure("accuracy", mood.rows[0].scores["accuracy"]) == "62.50"
    assert figure("odd", mood.rows[0].scores["odd"]) == "1.5000"
    board = to_markdown([table(**rows)])
    assert "| model | images | accuracy, % | macro-F1, % | odd |" in board
    assert "| ours | 6 of 8 | **62.50** | **50.00** | 1.5000 |" in board


def test_lines_of_the_leaderboard_name_target_and_metric_and_count_images() -> None:
    found = table(ours=[metrics(8, {"kappa": 0.5}, mood=(6, MOOD))])
    records = {record["metric"]: record for record in to_records([found])}
    assert list(records) == [
        *("accuracy", "mean_class_accuracy", "macro_f1", "kappa"),
        *("mood.accuracy", "mood.macro_f1", "mood.odd"),
    ]
    assert [records[name]["images"] for name in ("accuracy", "kappa", "mood.odd")] == [8, 8, 6]
    odd = records["mood.odd"]
    assert (odd["mean"], odd["low"], odd["mark"]) == (1.5, None, "")
    (row,) = [row for row in csv.DictReader(io.StringIO(to_csv([found]))) if row["metric"] == "mood.accuracy"]
    assert (row["images"], row["mean"], row["runs"]) == ("6", "0.625", "1")


def test_a_run_without_heads_has_no_further_table() -> None:
    found = table(ours=[metrics(8)])
    assert list(find_further(found)) == []
    assert "Head for" not in to_markdown([found])


def test_metrics_as_a_table_have_the_figures_of_heads_by_target() -> None:
    frame = metrics_frame([({"part": "test"}, metrics(8, {"kappa": 0.5}, age=(6, AGE), none=(0, {})))])
    (row,) = frame.to_dict("records")
    assert (row["kappa"], row["age.rmse"], row["age.count"], row["none.count"]) == (0.5, 4.0, 6, 0)
    assert "none.rmse" not in row


@pytest.mark.parametrize("name", ["accuracy", "cross_entropy", "kappa", "age.ccc"])
def test_a_figure_is_found_by_the_name_that_train_metric_has(name) -> None:
    of = metrics(8, {"kappa": 0.5}, age=(6, AGE))
    assert of.value(name) == {"accuracy": 1.0, "cross_entropy": 0.0, "kappa": 0.5, "age.ccc": 0.25}[name]
    for unknown in ("odd", "age.odd", "mood.ccc"):
        with pytest.raises(KeyError):
            of.value(unknown)

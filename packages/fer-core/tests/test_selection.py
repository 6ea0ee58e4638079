"""What an epoch is chosen by, which metrics are measured, and on which samples of a head."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fer_core import FerError
from fer_core.data.targets import Target
from fer_core.inference.heads import heads_of, measure
from fer_core.inference.predict import Predictions
from fer_core.metrics.apply import apply_metrics, recorded_metrics
from fer_core.metrics.selection import check_selection, core_metrics, metric_of, score
from fer_core.plugins import Entry, Plugin, load_plugins
from fer_core.provenance import Component
from fer_core.types import MetricSpec

TARGETS = {"mood": ("calm", "tense"), "tension": ()}


@pytest.fixture
def ours(monkeypatch):
    """`share_of_first` measures classes and is better when it is small; `span` measures numbers."""
    plugin, metrics = Plugin("ours", "our-metrics", "3.0"), load_plugins().entries["metrics"]
    for spec in (
        MetricSpec(
            name="share_of_first",
            measures="classes",
            function=lambda labels, scores: np.float32((scores.argmax(1) == 0).mean()),
            higher_is_better=False,
        ),
        MetricSpec(name="span", measures="numbers", function=lambda truth, predicted: int(np.ptp(predicted))),
    ):
        monkeypatch.setitem(metrics, spec.name, [Entry(spec.name, spec, plugin)])


def test_metrics_of_plugins_are_not_the_cores(ours) -> None:
    assert set(core_metrics("classes")) == {"accuracy", "mean_class_accuracy", "macro_f1"}
    assert set(core_metrics("numbers")) == {"ccc", "rmse", "mae"}


@pytest.mark.parametrize(
    "name", ["accuracy", "macro_f1", "mood.mean_class_accuracy", "tension.ccc", "tension.mae"]
)
def test_an_epoch_is_chosen_by_a_metric_of_the_label_or_of_a_head(name) -> None:
    check_selection(name, [], TARGETS)


@pytest.mark.parametrize("name", ["share_of_first", "mood.share_of_first", "tension.span"])
def test_a_further_metric_chooses_only_where_the_configuration_names_it(ours, name) -> None:
    check_selection(name, ["span", "share_of_first"], TARGETS)
    with pytest.raises(FerError, match=f"^train.metric is {name}, which is not measured here: "):
        check_selection(name, [], TARGETS)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("rmse", ", tension.rmse"),  # the label is no number
        ("mood.rmse", ", tension.rmse"),
        ("tension.accuracy", "did you mean "),
        ("mod.accuracy", "did you mean mood.accuracy"),
        ("span", "not measured here"),
    ],
)
def test_what_is_not_measured_is_named_with_what_is(ours, name, says) -> None:
    with pytest.raises(FerError, match=r"^train\.metric is ") as error:
        check_selection(name, ["span"], TARGETS)
    assert says in str(error.value)
    with pytest.raises(FerError, match="there is no metric 'nothing'"):
        check_selection("accuracy", ["nothing"], TARGETS)


def test_figures_are_compared_so_that_the_better_is_the_larger(ours) -> None:
    assert metric_of("mood.accuracy") is metric_of("accuracy")
    assert score("tension.rmse", 0.5) == score("rmse", 0.5) == -0.5
    assert score("mood.share_of_first", 0.25) == -0.25
    assert score("tension.ccc", -0.5) == -0.5


@pytest.mark.filterwarnings("error")  # a figure of 32 bits is one, too
def test_metrics_of_another_kind_are_passed_over_and_figures_are_plain_numbers(ours) -> None:
    labels, scores = np.array([0, 1, 1]), np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]])
    found = apply_metrics(["span", "accuracy", "share_of_first", "mae"], "classes", "the label", labels, scores)
    assert found == {"accuracy": pytest.approx(2 / 3), "share_of_first": pytest.approx(2 / 3)}
    assert list(found) == ["accuracy", "share_of_first"]
    numbers = apply_metrics(["span", "accuracy"], "numbers", "x", np.zeros(2), np.array([1.0, 4.5]))
    assert numbers == {"span": 3.0}
    assert {type(value) for value in (*found.values(), *numbers.values())} == {float}


@pytest.mark.parametrize("value", [True, "0.5", float("nan"), np.float64("inf"), -1e200, np.array(0.5)])
def test_a_metric_that_gives_no_number_is_no_figure(ours, monkeypatch, value) -> None:
    spec = MetricSpec(name="span", measures="numbers", function=lambda truth, predicted: value)
    entry = Entry("span", spec, Plugin("ours", "our-metrics", "3.0"))
    monkeypatch.setitem(load_plugins().entries["metrics"], "span", [entry])
    with pytest.raises(FerError, match=r"metric 'span' of our-metrics 3\.0: .* expected a finite number"):
        apply_metrics(["span"], "numbers", "the target x", np.zeros(2), np.zeros(2))


def test_a_metric_that_raises_is_one_line_with_what_it_measured(ours, monkeypatch) -> None:
    spec = MetricSpec(name="span", measures="numbers", function=lambda truth, predicted: 1 / 0)
    entry = Entry("span", spec, Plugin("ours", "our-metrics", "3.0"))
    monkeypatch.setitem(load_plugins().entries["metrics"], "span", [entry])
    with pytest.raises(
        FerError, match=r"'span' of our-metrics 3\.0 failed on the target x.*ZeroDivision"
    ) as error:
        apply_metrics(["span"], "numbers", "the target x", np.zeros(2), np.zeros(2))
    assert "\n" not in str(error.value)


def test_a_recorded_metric_that_is_not_installed_leaves_its_figure_out_and_says_so(ours, lines) -> None:
    def component(name: str, kind: str = "metrics") -> Component:
        return Component(kind=kind, name=name, distribution="our-metrics", version="3.0")

    recorded = [
        component("span"),
        component("gone"),
        component("adamw", "optimizers"),
        component("share_of_first"),
    ]
    assert recorded_metrics(recorded) == ["span@our-metrics", "share_of_first@our-metrics"]
    (line,) = lines
    assert "gone" in line
    assert line.endswith("without it the figure gone is left out")


ROWS = np.array([3, 0, 2])
FOUND = Predictions(
    rows=ROWS,
    labels=np.array([0, 1, 1]),
    probabilities=np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], np.float32),
    heads={
        "mood": np.array([[0.7, 0.3], [0.4, 0.6], [0.1, 0.9]], np.float32),
        "tension": np.array([1.0, 2.0, 3.0], np.float32),
        "other": np.zeros(3, np.float32),
    },
)


def test_heads_are_measured_on_the_rows_that_have_the_target_by_names_of_classes(ours, lines) -> None:
    mood = Target(("angry", "tense", "calm"), np.array([1, -1, 2, 0]))
    tension = Target((), np.array([2.5, 0, np.nan, 0.5], np.float32))
    heads = heads_of(
        FOUND, {"mood": mood, "tension": tension}, {"mood": ("calm", "tense"), "tension": (), "other": ()}
    )
    assert list(heads) == ["mood", "tension"]
    assert heads["mood"].truth.tolist() == [-1, 1, 0]
    assert heads["mood"].present.tolist() == [False, True, True]
    np.testing.assert_array_equal(heads["tension"].truth, np.array([0.5, 2.5, np.nan], np.float32))
    (line,) = lines
    assert line.endswith("head mood does not know angry: such faces are left out of its metrics")
    without = heads_of(
        replace(FOUND, rows=np.array([1, 3, 2])), {"mood": mood, "other": tension}, {"mood": ("calm",)}
    )
    assert {name: head.truth.tolist() for name, head in without.items()} == {"mood": [-1, -1, 0]}
    metrics = measure(FOUND, ("a", "b"), heads, ["share_of_first", "span"])
    assert metrics.others == {"share_of_first": pytest.approx(2 / 3)}
    assert {name: head.count for name, head in metrics.heads.items()} == {"mood": 2, "tension": 2}
    assert metrics.heads["mood"].figures["accuracy"] == 0.5
    assert metrics.heads["mood"].figures["share_of_first"] == 0
    assert metrics.heads["tension"].figures["mae"] == pytest.approx(0.5)
    assert metrics.heads["tension"].figures["span"] == 1
    assert "share_of_first" not in metrics.heads["tension"].figures


@pytest.mark.parametrize(
    ("target", "own", "says"),
    [
        (Target((), np.zeros(4, np.float32)), ("calm", "tense"), "classes calm, tense, here are numbers"),
        (Target(("calm", "tense"), np.zeros(4, np.int64)), (), "numbers, here are the classes calm, tense"),
        (Target(("x", "y"), np.zeros(4, np.int64)), ("calm", "tense"), "here are the classes x, y"),
    ],
)
def test_a_head_of_another_kind_is_not_measured_and_said_so(lines, target, own, says) -> None:
    assert heads_of(FOUND, {"mood": target}, {"mood": own}) == {}
    (line,) = lines
    assert "head mood is not measured: it was " in line
    assert says in line

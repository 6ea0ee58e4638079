"""Metrics of numbers against their definitions, metrics of classes as functions, and metrics by name."""

from __future__ import annotations

import numpy as np
import pytest
from fer_core import FerError, registry
from fer_core.inference.heads import Head
from fer_core.metrics.apply import apply_metrics
from fer_core.metrics.numbers import ccc, mae, rmse
from fer_core.metrics.selection import core_metrics
from fer_core.plugins import Entry, Plugin, load_plugins
from fer_core.types import MetricSpec
from scipy import stats
from sklearn import metrics as sklearn

RNG = np.random.default_rng(0)
X = RNG.normal(size=200)
Y = 0.5 * X + 0.3 + 0.2 * RNG.normal(size=200)


def test_numbers_are_measured_as_scikit_learn_and_the_correlation_say() -> None:
    assert rmse(X, Y) == pytest.approx(sklearn.root_mean_squared_error(X, Y), rel=1e-12)
    assert mae(X, Y) == pytest.approx(sklearn.mean_absolute_error(X, Y), rel=1e-12)
    # Lin (1989): the correlation times how near the line of best fit is to the diagonal
    scale, shift = X.std() / Y.std(), (X.mean() - Y.mean()) / np.sqrt(X.std() * Y.std())
    expected = stats.pearsonr(X, Y)[0] * 2 / (scale + 1 / scale + shift**2)
    assert ccc(X, Y) == pytest.approx(expected, rel=1e-12)
    assert ccc(X, X) == pytest.approx(1, rel=1e-12)
    assert ccc(X, 2 * X.mean() - X) == pytest.approx(-1, rel=1e-12)


@pytest.mark.parametrize(("predictions", "expected"), [([0.0], 0.0), ([1.0], 0.0), ([-3.0], 0.0)])
def test_one_number_or_constants_have_no_concordance(predictions, expected) -> None:
    assert ccc(np.zeros(1), np.array(predictions)) == expected
    assert ccc(np.zeros(5), np.repeat(predictions, 5)) == expected


@pytest.mark.parametrize("classes", [2, 5])
def test_classes_are_measured_as_scikit_learn_says(classes) -> None:
    labels, scores = RNG.integers(0, classes, 100), RNG.dirichlet(np.ones(classes), 100)
    best = scores.argmax(axis=1)
    assert apply_metrics(core_metrics("classes"), "classes", "the label", labels, scores) == pytest.approx(
        {
            "accuracy": sklearn.accuracy_score(labels, best),
            "mean_class_accuracy": sklearn.balanced_accuracy_score(labels, best),
            "macro_f1": sklearn.f1_score(labels, best, average="macro"),
        },
        rel=1e-12,
    )


@pytest.fixture
def brought(monkeypatch):
    """`brought(function, **fields)`: the metric `ours` of `our-metrics`."""

    def add(function, **fields):
        spec = MetricSpec(name="ours", measures="numbers", function=function, **fields)
        entry = Entry("ours", spec, Plugin("ours", "our-metrics", "3.0"))
        monkeypatch.setitem(load_plugins().entries["metrics"], "ours", [entry])

    return add


def test_a_metric_of_numbers_sees_the_samples_that_have_the_target_and_cannot_change_them(brought) -> None:
    def largest(targets, predictions):
        assert targets.dtype == predictions.dtype == np.float64
        found = (targets - predictions).max()
        targets[:] = 0
        return found

    brought(largest)
    truth = np.array([1, np.nan, 3, np.nan], np.float32)
    for masked in (0.0, 1e30):
        predicted = np.array([0.5, masked, 1, -masked], np.float32)
        found = Head((), truth, predicted).measure("age", ["ours", "accuracy"])
        assert found.count == 2
        assert found.figures == pytest.approx({"ccc": 4 / 21, "rmse": (4.25 / 2) ** 0.5, "mae": 1.25, "ours": 2.0})
    assert truth[0] == 1
    nothing = Head((), np.full(2, np.nan, np.float32), np.zeros(2, np.float32)).measure("age", ["ours"])
    assert (nothing.count, nothing.figures) == (0, {})


@pytest.mark.parametrize("value", [np.inf, None, np.ones(2), 1e200])
def test_a_metric_without_a_finite_number_names_its_distribution(brought, value) -> None:
    brought(lambda targets, predictions: value)
    with pytest.raises(FerError) as error:
        apply_metrics(["ours"], "numbers", "the target age", X, Y)
    assert str(error.value).startswith("metric 'ours' of our-metrics 3.0: the function returned ")
    assert str(error.value).endswith("for the target age, expected a finite number: correct or update our-metrics")


def test_a_head_that_diverged_is_not_the_fault_of_a_metric() -> None:
    truth, predicted = np.array([0, 1, -1]), np.array([[0.5, 0.5], [np.nan] * 2, [np.nan] * 2], np.float32)
    with pytest.raises(FerError, match="the head mood gives no finite predictions for 1 of 2 images"):
        Head(("a", "b"), truth, predicted).measure("mood")


def test_the_core_says_which_way_its_metrics_grow() -> None:
    better = {name: registry.find("metrics", name).higher_is_better for name in registry.names("metrics")[:6]}
    assert {name for name, higher in better.items() if not higher} == {"rmse", "mae"}

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from fer_core.errors import FerError
from fer_core.metrics import Metrics, compute_metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

CLASSES = ("neutral", "happiness", "sadness", "surprise")


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40))
def test_metrics_equal_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    labels, predictions = (np.array(column) for column in zip(*pairs, strict=True))
    probabilities = 0.1 + 0.6 * np.eye(4)[predictions]
    got = compute_metrics(labels, probabilities, CLASSES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns about predicted classes that no label has
        assert got.mean_class_accuracy == pytest.approx(sk.balanced_accuracy_score(labels, predictions))
        recall = sk.recall_score(labels, predictions, labels=range(4), average=None, zero_division=np.nan)
    assert got.accuracy == pytest.approx(sk.accuracy_score(labels, predictions))
    assert got.macro_f1 == pytest.approx(sk.f1_score(labels, predictions, average="macro", zero_division=0))
    assert got.cross_entropy == pytest.approx(sk.log_loss(labels, probabilities, labels=range(4)))
    assert list(got.recall) == list(CLASSES)
    assert [np.nan if r is None else r for r in got.recall.values()] == pytest.approx(list(recall), nan_ok=True)
    assert np.array_equal(got.confusion, sk.confusion_matrix(labels, predictions, labels=range(4)))
    assert got.count == len(labels)


def test_a_hand_made_case() -> None:
    probabilities = [[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.5, 0.5, 0.0], [0.1, 0.9, 0.0]]
    got = compute_metrics([0, 0, 1, 1], probabilities, ("a", "b", "c"))
    assert got.plain() == {
        "accuracy": 0.5,
        "mean_class_accuracy": 0.5,
        "macro_f1": 0.5,
        "cross_entropy": pytest.approx(-math.log(0.9 * 0.2 * 0.5 * 0.9) / 4),
        "recall": {"a": 0.5, "b": 0.5, "c": None},
        "confusion": [[1, 1, 0], [1, 1, 0], [0, 0, 0]],
        "count": 4,
    }
    assert Metrics.parse(got.text(), "metrics", "measure again") == got


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_diverged_model_is_explained(bad: float) -> None:
    probabilities = np.full((5, 2), 0.5, dtype=np.float32)
    probabilities[3, 1] = bad
    with pytest.raises(FerError, match="1 of 5 images"):
        compute_metrics(np.zeros(5, dtype=np.int64), probabilities, ("a", "b"))


def test_an_empty_split_is_explained() -> None:
    with pytest.raises(FerError, match="empty"):
        compute_metrics(np.zeros(0, dtype=np.int64), np.zeros((0, 2)), ("a", "b"))


@pytest.mark.parametrize(
    ("labels", "shape"),
    [
        ([0, 1], (3, 2)),
        ([0, 1], (2, 3)),
        ([0, 1], (2,)),
        ([[0], [1]], (2, 2)),
        ([0, 2], (2, 2)),
        ([-1, 0], (2, 2)),
        ([0.0, 1.0], (2, 2)),
    ],
)
def test_what_does_not_fit_together_is_refused(labels: list[float], shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="labels"):
        compute_metrics(labels, np.ones(shape), ("a", "b"))


def test_the_cross_entropy_of_an_impossible_label_is_finite() -> None:
    assert compute_metrics([1], [[1.0, 0.0]], ("a", "b")).cross_entropy == pytest.approx(-math.log(1e-12))

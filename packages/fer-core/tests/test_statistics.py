"""Intervals cover, tests hold their level and find differences, figures equal those of scipy and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from fer_core.errors import FerError
from fer_core.statistics import (
    bootstrap_interval,
    corrected_t,
    friedman_nemenyi,
    holm,
    mcnemar,
    paired_bootstrap,
    proportion_interval,
)
from scipy import stats
from sklearn import metrics as sk

SHARES = np.array([0.4, 0.3, 0.2, 0.1])
CONFUSED = np.array([[0.9, 0.05, 0.03, 0.02], [0.1, 0.8, 0.05, 0.05], [0.1, 0.1, 0.7, 0.1], [0.2, 0.1, 0.1, 0.6]])
JOINT = SHARES[:, None] * CONFUSED
TRUTH = {
    "accuracy": JOINT.trace(),
    "mean_class_accuracy": CONFUSED.diagonal().mean(),
    "macro_f1": (2 * JOINT.diagonal() / (JOINT.sum(0) + JOINT.sum(1))).mean(),
    "recall:3": 0.6,
}
SCIKIT = {
    "accuracy": sk.accuracy_score,
    "mean_class_accuracy": sk.balanced_accuracy_score,
    "macro_f1": lambda truth, found: sk.f1_score(truth, found, average="macro"),
    "recall:3": lambda truth, found: sk.recall_score(truth, found, labels=[3], average="macro"),
}


def sample(rng: np.random.Generator, faces: int) -> tuple[np.ndarray, np.ndarray]:
    labels = rng.choice(4, faces, p=SHARES)
    found = (CONFUSED[labels].cumsum(1) < rng.random(faces)[:, None]).sum(1).clip(0, 3)
    return labels, found


@pytest.mark.slow
@pytest.mark.parametrize("metric", TRUTH)
def test_intervals_cover_the_truth(metric: str) -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for number in range(2000):
        low, high = bootstrap_interval(*sample(rng, 1500), metric, draws=300, seed=number)
        covered += low <= TRUTH[metric] <= high
    assert covered / 2000 == pytest.approx(0.95, abs=0.015)


@pytest.mark.slow
def test_intervals_by_subject_cover_the_truth_where_others_do_not() -> None:
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(40), 10)
    covered = {"by subject": 0, "by face": 0}
    for number in range(2000):
        labels = rng.integers(0, 2, 400)
        right = rng.random(400) < np.repeat(rng.beta(4, 2, 40), 10)
        found = np.where(right, labels, 1 - labels)
        for name, whose in (("by subject", groups), ("by face", None)):
            low, high = bootstrap_interval(labels, found, "accuracy", groups=whose, draws=300, seed=number)
            covered[name] += low <= 4 / 6 <= high
    assert covered["by subject"] / 2000 == pytest.approx(0.95, abs=0.015)
    assert covered["by face"] / 2000 < 0.85


@pytest.mark.parametrize("metric", TRUTH)
def test_an_interval_is_that_of_resampled_faces(metric: str) -> None:
    rng = np.random.default_rng(2)
    labels, found = sample(rng, 300)
    drawn = []
    for _ in range(1000):
        faces = rng.integers(300, size=300)
        drawn.append(SCIKIT[metric](labels[faces], found[faces]))
    low, high = bootstrap_interval(labels, found, metric, draws=4000)
    deviation = np.std(drawn)
    assert [low, high] == pytest.approx(list(np.quantile(drawn, [0.025, 0.975])), abs=0.35 * deviation)
    # every face a person of its own is the same as no groups
    alone = bootstrap_interval(labels, found, metric, draws=4000, groups=np.arange(300))
    assert [low, high] == pytest.approx(list(alone), abs=0.35 * deviation)


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
def test_several_runs_are_measured_one_by_one_on_the_same_draws(metric: str) -> None:
    """One run says class 0 to every face, another class 1: F1 of what both said is twice what each has."""
    rng = np.random.default_rng(7)
    labels, good = sample(rng, 300)
    runs = np.stack([np.zeros(300, int), np.ones(300, int)])
    scores = [SCIKIT[metric](labels, run) for run in runs]
    drawn, apart = [], []
    for _ in range(1000):
        faces = rng.integers(300, size=300)
        drawn.append(np.mean([SCIKIT[metric](labels[faces], run[faces]) for run in runs]))
        apart.append(SCIKIT[metric](labels[faces], good[faces]) - drawn[-1])
    low, high = bootstrap_interval(labels, runs, metric, draws=4000)
    assert low < np.mean(scores) < high
    assert [low, high] == pytest.approx(list(np.quantile(drawn, [0.025, 0.975])), abs=0.35 * np.std(drawn))
    found, low, high, p = paired_bootstrap(labels, good, runs, metric, draws=4000)
    assert found == pytest.approx(SCIKIT[metric](labels, good) - np.mean(scores), abs=1e-12)
    assert [low, high] == pytest.approx(list(np.quantile(apart, [0.025, 0.975])), abs=0.35 * np.std(apart))
    assert p < 0.01
    assert bootstrap_interval(labels, good[None], metric) == bootstrap_interval(labels, good, metric)


def test_names_and_numbers_of_classes_give_the_same() -> None:
    labels, found = sample(np.random.default_rng(3), 200)
    names = np.array(["anger", "fear", "happiness", "sadness"])
    by_name = bootstrap_interval(names[labels].tolist(), names[found], "recall:sadness")
    assert by_name == bootstrap_interval(labels, found, "recall:3")
    assert by_name != bootstrap_interval(labels, found, "recall:3", seed=1)


@pytest.mark.slow
def test_paired_differences_hold_their_level_and_find_what_differs() -> None:
    rng = np.random.default_rng(4)
    found_null = found_planted = mcnemar_null = mcnemar_planted = 0
    for number in range(600):
        labels = rng.integers(0, 2, 400)
        a, b, worse = (np.where(rng.random(400) < share, labels, 1 - labels) for share in (0.85, 0.85, 0.75))
        found_null += paired_bootstrap(labels, a, b, "accuracy", draws=400, seed=number)[3] < 0.05
        found_planted += paired_bootstrap(labels, a, worse, "macro_f1", draws=400, seed=number)[3] < 0.05
        mcnemar_null += mcnemar(labels, a, b) < 0.05
        mcnemar_planted += mcnemar(labels, a, worse) < 0.05
    assert 0.02 < found_null / 600 < 0.075
    assert mcnemar_null / 600 < 0.06  # an exact test of counts stays below its level
    assert found_planted / 600 > 0.85
    assert mcnemar_planted / 600 > 0.85


def test_a_paired_difference_is_that_of_scikit_learn_and_its_p_fits_its_interval() -> None:
    rng = np.random.default_rng(5)
    labels, a = sample(rng, 500)
    b = np.where(rng.random(500) < 0.1, rng.integers(0, 4, 500), a)
    for groups in (None, np.arange(500) // 5):
        for metric, score in SCIKIT.items():
            difference, low, high, p = paired_bootstrap(labels, a, b, metric, groups=groups)
            assert difference == pytest.approx(score(labels, a) - score(labels, b))
            assert low < difference < high
            assert (p < 0.05) == (not low <= 0 <= high)
    assert paired_bootstrap(labels, a, a, "macro_f1") == (0, 0, 0, 1)


def test_mcnemar_is_exact() -> None:
    labels = np.zeros(40, dtype=int)
    a, b = np.zeros(40, dtype=int), np.zeros(40, dtype=int)
    b[:9], a[9:11] = 1, 1
    # 2 or fewer of 11 coins, and the other tail
    assert mcnemar(labels, a, b) == pytest.approx(2 * (1 + 11 + 55) / 2**11)
    assert mcnemar(labels, a, a) == 1


def test_the_corrected_t_is_wider_than_scipys_and_equals_it_without_correction() -> None:
    values = np.random.default_rng(6).normal(0.01, 0.02, 10)
    assert corrected_t(values, 1e-12) == pytest.approx(stats.ttest_1samp(values, 0).pvalue)
    statistic = stats.ttest_1samp(values, 0).statistic * np.sqrt(0.1 / (0.1 + 0.25))
    assert corrected_t(values, 0.2) == pytest.approx(2 * stats.t.sf(abs(statistic), 9))
    assert corrected_t([0.0, 0.0], 0.1) == 1
    assert corrected_t([0.1, 0.1], 0.1) == 0


def test_the_corrected_t_holds_its_level_where_the_usual_one_does_not() -> None:
    rng = np.random.default_rng(7)
    corrected = usual = 0
    for _ in range(1000):
        # Two equal models on ten splits that correlate by the share of test faces, as the correction assumes.
        differences = np.sqrt(0.2) * rng.normal() + np.sqrt(0.8) * rng.normal(size=10)
        corrected += corrected_t(differences, 0.2) < 0.05
        usual += stats.ttest_1samp(differences, 0).pvalue < 0.05
    assert usual / 1000 > 0.2
    assert corrected / 1000 == pytest.approx(0.05, abs=0.02)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == pytest.approx([1, 1])
    assert holm([]).tolist() == []


def test_holm_holds_the_level_of_all_together() -> None:
    p = np.random.default_rng(8).random((4000, 10))
    assert np.mean([(holm(row) < 0.05).any() for row in p]) == pytest.approx(0.05, abs=0.012)
    assert np.mean((p < 0.05).any(axis=1)) > 0.35


def test_ranks_equal_scipys_and_the_published_critical_values() -> None:
    scores = np.random.default_rng(9).random((4, 14))
    found = friedman_nemenyi(scores)
    assert found.p == pytest.approx(stats.friedmanchisquare(*scores).pvalue)
    assert found.ranks == pytest.approx(stats.rankdata(-scores, axis=0).mean(axis=1))
    # Demsar 2006, table 5: q is 2.569 for four models
    assert found.critical_difference == pytest.approx(2.569 * np.sqrt(4 * 5 / (6 * 14)), rel=1e-3)
    assert friedman_nemenyi(np.ones((3, 4))).p == 1


def test_models_that_do_not_differ_are_joined() -> None:
    base = np.arange(12) / 100
    scores = np.array([base + 0.9, base + 0.9, base + 0.5, base + 0.1])
    found = friedman_nemenyi(scores)
    assert found.ranks.tolist() == [1.5, 1.5, 3, 4]
    assert found.critical_difference == pytest.approx(1.354, abs=1e-3)
    assert found.alike() == [(0, 1), (2, 3)]


def test_shares_of_few_faces_have_a_width() -> None:
    low, high = proportion_interval(5, 5)
    assert high == pytest.approx(1)
    assert low == pytest.approx(5 / (5 + 1.959964**2))  # Wilson 1927
    for count in (10, 40):
        hits = np.arange(count + 1)
        ends = np.array([proportion_interval(int(hit), count) for hit in hits])
        shares = np.linspace(0.1, 0.9, 81)
        inside = (ends[:, :1] <= shares) & (shares <= ends[:, 1:])
        coverage = (stats.binom.pmf(hits[:, None], count, shares) * inside).sum(axis=0)
        assert coverage.mean() == pytest.approx(0.95, abs=0.015)


def test_what_cannot_be_measured_is_said() -> None:
    labels = [0, 1, 1]
    for message, call in {
        "no metric 'acuracy'": lambda: bootstrap_interval(labels, labels, "acuracy"),
        "the class '7'": lambda: bootstrap_interval(labels, labels, "recall:7"),
        "the split is empty": lambda: bootstrap_interval([], [], "accuracy"),
        "needs two faces": lambda: bootstrap_interval([1], [1], "accuracy"),
        "of one group": lambda: bootstrap_interval(labels, labels, "accuracy", groups=["a"] * 3),
        "have no group": lambda: paired_bootstrap(labels, labels, labels, "accuracy", groups=["a", None, "b"]),
        "between 0 and 1": lambda: bootstrap_interval(labels, labels, "accuracy", level=95),
        "two splits or more": lambda: corrected_t([0.1], 0.1),
        "test share": lambda: corrected_t([0.1, 0.2], 1.0),
        "three models": lambda: friedman_nemenyi([[0.1, 0.2], [0.3, 0.4]]),
        "1 scores are missing": lambda: friedman_nemenyi([[0.1, 0.2], [0.3, np.nan], [0.5, 0.6]]),
        "no faces": lambda: proportion_interval(0, 0),
    }.items():
        with pytest.raises(FerError, match=message):
            call()

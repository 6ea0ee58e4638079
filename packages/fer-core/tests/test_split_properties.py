"""`seed-shuffle` is scikit-learn's, and folds of groups part whole groups, for sizes and seeds of any kind."""

import numpy as np
import pandas as pd
import pytest
from fer_core.data.folds import fold_of_rows
from fer_core.data.splits import make_split
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.model_selection import ShuffleSplit, StratifiedGroupKFold, train_test_split


class Toy:
    name = "toy"
    classes = ("a", "b")

    def __init__(self, labels, groups=None):
        self.refused = {}
        ids = [f"s{i:05d}" for i in range(len(labels))]
        self.table = pd.DataFrame({"id": ids, "label": labels, "split": "", "source": ids})
        if groups is not None:
            self.table["group"] = [str(group) for group in groups]


def divide(dataset, protocol, seed=0):
    return make_split(dataset, {}, protocol, holdout=0.1, seed=seed, select="last")


@given(count=st.integers(20, 3000), repetition=st.integers(0, 12), seed=st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_seed_shuffle_is_what_scikit_learn_gives(count, repetition, seed):
    split = divide(Toy(np.arange(count) % 2), f"seed-shuffle:{repetition}", seed)
    outer = ShuffleSplit(n_splits=repetition + 1, test_size=0.2, random_state=42)
    rest, test = list(outer.split(np.arange(count)))[repetition]
    train, val = train_test_split(rest, test_size=0.25, random_state=repetition + 1)
    for part, expected in ((split.train, train), (split.val, val), (split.test, test)):
        assert part.tolist() == sorted(expected.tolist())


@given(
    groups=st.lists(st.integers(0, 11), min_size=60, max_size=150),
    folds=st.integers(2, 5),
    seed=st.integers(0, 2**31),
    ending=st.sampled_from(["", ":sorted"]),
)
@settings(max_examples=25, deadline=None)
def test_folds_of_groups_cover_all_and_share_none(groups, folds, seed, ending):
    groups = np.array([*range(12), *groups, *range(12)])  # every group has both labels
    labels = np.arange(len(groups)) // 12 % 2
    labels[:12], labels[-12:] = 0, 1
    dataset = Toy(labels, groups)
    tested = []
    for fold in range(folds):
        split = divide(dataset, f"kfold:{folds}:{fold}{ending}", seed)
        everything = np.concatenate([split.train, split.val, split.test])
        assert sorted(everything.tolist()) == list(range(len(groups)))
        assert not set(groups[split.test]) & set(groups[np.concatenate([split.train, split.val])])
        tested += split.test.tolist()
    assert sorted(tested) == list(range(len(groups)))


@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(40, 700),
    groups=st.integers(12, 250),
    classes=st.integers(2, 12),
    folds=st.integers(2, 11),
)
@settings(max_examples=40, deadline=None)
@pytest.mark.filterwarnings("ignore:The least populated class")
def test_folds_of_groups_are_those_of_scikit_learn(seed, rows, groups, classes, folds):
    """Also for classes of few samples and for groups of one class, where many folds are equally good."""
    rng = np.random.default_rng(seed)
    member = rng.integers(0, groups, rows)
    own = rng.integers(0, classes, groups)
    labels = np.where(rng.random(rows) < rng.random(), own[member], rng.geometric(0.5, rows) % classes)
    labels[:2] = 0, 1
    member = np.unique(member, return_inverse=True)[1]
    assume(member.max() >= folds and np.bincount(labels).max() >= folds)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    expected = np.empty(rows, dtype=int)
    for fold, (_, tested) in enumerate(splitter.split(labels, labels, member)):
        expected[tested] = fold
    assert fold_of_rows(labels, member, folds, seed).tolist() == expected.tolist()

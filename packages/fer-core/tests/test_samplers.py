"""Orders depend on the seed and the epoch alone."""

import numpy as np
import pytest
from fer_core.data.samplers import balanced, balanced_down, shuffle
from fer_core.errors import FerError

LABELS = np.array([0] * 900 + [2] * 90 + [5] * 10)


@pytest.mark.parametrize("factory", [shuffle, balanced, balanced_down])
def test_order_is_derived_not_carried(factory):
    sampler = factory(LABELS, 3)
    later = sampler.order(7)
    for epoch in range(7):
        sampler.order(epoch)
    assert (sampler.order(7) == later).all()
    assert (factory(LABELS, 3).order(7) == later).all()
    assert (sampler.order(8) != later).any()
    assert (factory(LABELS, 4).order(7) != later).any()


def test_shuffle_visits_every_sample_once():
    assert sorted(shuffle(LABELS, 0).order(2)) == list(range(1000))


def test_shuffle_is_the_same_everywhere():
    assert shuffle(np.zeros(8), 0).order(1).tolist() == [3, 1, 0, 4, 5, 6, 7, 2]


def test_balanced_draws_classes_and_samples_evenly():
    order = np.concatenate([balanced(LABELS, 0).order(epoch) for epoch in range(20)])
    assert len(order) == 20 * len(LABELS)
    share = np.bincount(LABELS[order], minlength=6) / len(order)
    assert share[[0, 2, 5]] == pytest.approx([1 / 3] * 3, abs=0.02)
    rare = np.bincount(order, minlength=1000)[990:]
    assert rare.min() > 0.8 * rare.mean()
    assert rare.max() < 1.2 * rare.mean()


def test_balanced_down_draws_the_smallest_count_of_every_class():
    orders = [balanced_down(LABELS, 0).order(epoch) for epoch in range(30)]
    for order in orders:
        assert np.bincount(LABELS[order], minlength=6).tolist() == [10, 0, 10, 0, 0, 10]
        assert len(set(order.tolist())) == 30
        assert len(set(LABELS[order][:10])) > 1  # shuffled over the classes
    # the rarest class is used up each time, others change
    assert set(np.concatenate(orders)[LABELS[np.concatenate(orders)] == 5]) == set(range(990, 1000))
    assert len(np.unique(np.concatenate(orders))) > 300


@pytest.mark.parametrize("factory", [balanced, balanced_down])
def test_balanced_needs_samples(factory):
    with pytest.raises(FerError, match="training part is empty"):
        factory([], 0)

"""The order in which an epoch visits the training samples."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fer_core.errors import FerError


class Sampler(Protocol):
    """Order of samples. A factory `(labels, seed, **options) -> Sampler` makes it."""

    def order(self, epoch: int) -> NDArray[np.int64]:
        """Positions in the labels given to the factory, the same number in every epoch.

        They depend on the seed and `epoch` alone, never on earlier calls: a resumed run sees the same order.
        """
        ...


class _Shuffle:
    def __init__(self, count: int, seed: int) -> None:
        self._count = count
        self._seed = seed

    def order(self, epoch: int) -> NDArray[np.int64]:
        return np.asarray(_generator(self._seed, epoch).permutation(self._count), dtype=np.int64)


class _Balanced:
    def __init__(self, labels: NDArray[np.int64], seed: int) -> None:
        # Sorted by class, a draw is two uniform choices: a class that is present, then one of its samples.
        self._by_class = np.argsort(labels, kind="stable")
        counts = np.bincount(labels)
        present = counts > 0
        self._sizes = counts[present]
        self._starts = (np.cumsum(counts) - counts)[present]
        self._seed = seed

    def order(self, epoch: int) -> NDArray[np.int64]:
        count = len(self._by_class)
        generator = _generator(self._seed, epoch)
        kind = generator.randint(len(self._sizes), size=count)
        within = (generator.random_sample(count) * self._sizes[kind]).astype(np.int64)
        return np.asarray(self._by_class[self._starts[kind] + within], dtype=np.int64)


class _BalancedDown:
    def __init__(self, labels: NDArray[np.int64], seed: int) -> None:
        self._classes = [np.flatnonzero(labels == label) for label in np.unique(labels)]
        self._each = min(map(len, self._classes))
        self._seed = seed

    def order(self, epoch: int) -> NDArray[np.int64]:
        generator = _generator(self._seed, epoch)
        drawn = [generator.permutation(rows)[: self._each] for rows in self._classes]
        return np.asarray(generator.permutation(np.concatenate(drawn)), dtype=np.int64)


def shuffle(labels: ArrayLike, seed: int) -> Sampler:
    """Every sample once, in a new random order each epoch.

    Args:
        labels: Labels of the training samples; only their number matters.
        seed: Of the run.
    """
    return _Shuffle(len(np.asarray(labels)), seed)


def balanced(labels: ArrayLike, seed: int) -> Sampler:
    """As many draws as samples, with replacement, each class equally likely (weight 1 / class count).

    Args:
        labels: Class index of each training sample, [N].
        seed: Of the run.

    Raises:
        FerError: There are no samples.
    """
    return _Balanced(_present(labels), seed)


def balanced_down(labels: ArrayLike, seed: int) -> Sampler:
    """As many samples of every class as the rarest has, drawn anew each epoch without replacement, then shuffled.

    An epoch is shorter than the training part: the number of classes that are present times the smallest count.

    Args:
        labels: Class index of each training sample, [N].
        seed: Of the run.

    Raises:
        FerError: There are no samples.
    """
    return _BalancedDown(_present(labels), seed)


def _present(labels: ArrayLike) -> NDArray[np.int64]:
    """The labels, of which there must be some."""
    values = np.asarray(labels, dtype=np.int64)
    if not len(values):
        raise FerError("the training part is empty, so there is nothing to balance: choose another data.split")
    return values


def _generator(seed: int, epoch: int) -> np.random.RandomState:
    """Random numbers of one epoch. `RandomState` because numpy keeps its streams fixed over versions."""
    return np.random.RandomState(np.random.MT19937(np.random.SeedSequence([seed, epoch])))

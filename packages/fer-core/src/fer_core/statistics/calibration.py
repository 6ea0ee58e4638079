"""Calibration: whether predictions of 90 % are right nine times in ten, and a temperature that makes them so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from fer_core.errors import FerError

TINY = 1e-30
BOUNDS = (-7.0, 7.0)
"""Bounds of the logarithm of a temperature."""


@dataclass(frozen=True)
class Reliability:
    """Confidence against accuracy in bins of equal width.

    Attributes:
        edges: Ends of the bins [B + 1]; a bin contains its upper end.
        counts: Faces in each [B].
        confidence: Their mean highest probability [B], NaN in empty bins.
        accuracy: The share of them that is right [B], NaN in empty bins.
    """

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    @property
    def error(self) -> float:
        """Expected calibration error: mean of |accuracy - confidence| over the bins, weighed by their faces."""
        gaps = np.abs(np.nan_to_num(self.accuracy - self.confidence))
        return float((gaps * self.counts).sum() / self.counts.sum())


def reliability(probabilities: ArrayLike, labels: ArrayLike, bins: int = 15) -> Reliability:
    """The figures of a reliability diagram, of the predicted class (Guo et al. 2017, section 2).

    Args:
        probabilities: [N, C].
        labels: Columns of `probabilities` that are right [N].
        bins: Number of bins from 0 to 1.

    Raises:
        FerError: There is no face, or probabilities are not finite.
        ValueError: Shapes or label numbers do not fit together.
    """
    scores, truth = _check(probabilities, labels)
    confident, right = scores.max(axis=1), scores.argmax(axis=1) == truth
    edges = np.linspace(0, 1, bins + 1)
    place = np.searchsorted(edges[1:-1], confident)
    counts = np.bincount(place, minlength=bins)
    some = np.where(counts > 0, counts, np.nan)
    sums = (np.bincount(place, weights=weights, minlength=bins) for weights in (confident, right))
    confidence, accuracy = (total / some for total in sums)
    return Reliability(edges, counts, confidence, accuracy)


def apply_temperature(probabilities: ArrayLike, temperature: float) -> NDArray[np.float64]:
    """softmax(logits / temperature) from the probabilities of a softmax, [N, C]; which class is first stays.

    Probabilities are those of softmax(log p), so logits are not needed.
    """
    scores = np.asarray(probabilities, dtype=np.float64)
    found: NDArray[np.float64] = scipy.special.softmax(np.log(np.maximum(scores, TINY)) / temperature, axis=-1)
    return found


def fit_temperature(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """The temperature that makes cross-entropy least (Guo et al. 2017, section 4.2).

    Above 1 the model was overconfident, below 1 underconfident. Fit it on faces that the model was not
    trained on, and never on those it is reported on.

    Args:
        probabilities: [N, C]; those of logits are `scipy.special.softmax(logits, axis=1)`.
        labels: Columns of `probabilities` that are right [N].

    Raises:
        FerError: There is no such temperature, as every prediction is right, or they are no better than chance.
        ValueError: Shapes or label numbers do not fit together.
    """
    scores, truth = _check(probabilities, labels)
    logits = np.log(np.maximum(scores, TINY))
    rows = np.arange(len(truth))

    of_labels = logits[rows, truth]
    # The slope of cross-entropy where 1 / T is 0, and its limit where T is 0, tell whether there is a least value.
    if (of_labels - logits.mean(axis=1)).mean() <= 0:
        raise FerError(
            f"no temperature fits, because the predictions on {len(truth)} faces are no better than chance: "
            "train longer"
        )
    if (of_labels == logits.max(axis=1)).all():
        raise FerError(
            f"no temperature fits, because all of {len(truth)} predictions are right and more certainty is always "
            "better: use more validation faces"
        )

    def cross_entropy(log_temperature: float) -> float:
        scale = np.exp(-log_temperature)
        return float((scipy.special.logsumexp(scale * logits, axis=1) - scale * of_labels).mean())

    found = scipy.optimize.minimize_scalar(cross_entropy, bounds=BOUNDS, method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def _check(probabilities: ArrayLike, labels: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    scores, truth = np.asarray(probabilities, dtype=np.float64), _integers(labels)
    if scores.ndim != 2 or truth.shape != scores.shape[:1]:
        raise ValueError(f"probabilities {scores.shape} and labels {truth.shape} do not fit: [N, C] and [N]")
    if not len(truth):
        raise FerError("there is no prediction to calibrate, because the split is empty: choose another split")
    if truth.min() < 0 or truth.max() >= scores.shape[1]:
        raise ValueError(f"labels must be from 0 to {scores.shape[1] - 1}, not {truth.min()} to {truth.max()}")
    if not np.isfinite(scores).all() or (scores < 0).any() or (np.abs(scores.sum(axis=1) - 1) > 1e-3).any():
        raise FerError("some probabilities are not: they must be 0 or more and add up to 1; evaluate again")
    return scores, truth


def _integers(labels: ArrayLike) -> NDArray[np.int64]:
    values: NDArray[Any] = np.asarray(labels)
    if values.dtype.kind not in "iu":
        raise ValueError(f"labels must be column numbers, not {values.dtype}")
    return values.astype(np.int64)

"""Label issues, found from out-of-sample probabilities (confident learning)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fer_core.errors import FerError


@dataclass(frozen=True)
class LabelErrors:
    """Label issues among N faces of K classes.

    Attributes:
        places: Positions of the label issues among the N, the most suspicious first, [S].
        likely: The class that each of them probably has, [S].
        self_confidence: Probability of the given label, of each label issue, [S].
        margin: That less the probability of the likely class, of each label issue, [S]; negative.
        thresholds: What the probability of a class must reach to count as confident, [K]; infinite for a class
            that no face is given.
        joint: Estimated share of faces with given label i and true label j, [K, K]; sums to 1.
    """

    places: NDArray[np.int64]
    likely: NDArray[np.int64]
    self_confidence: NDArray[np.float64]
    margin: NDArray[np.float64]
    thresholds: NDArray[np.float64]
    joint: NDArray[np.float64]


def find_label_errors(probabilities: ArrayLike, labels: ArrayLike) -> LabelErrors:
    """Label issues by confident learning (Northcutt, Jiang, Chuang 2021, "Confident learning").

    The confident joint (their equation 1) counts faces of given label i whose probability of class j reaches the
    mean probability of j over the faces labelled j, and is the largest that does. Scaled to the number of faces
    of each label (equation 3) it estimates how many labels i are truly j. A face is a label issue if both of the
    paper's prunings take it ("C+NR"): by noise rate, that many faces of i for each j, those with the largest
    p(j) - p(i); by class, as many faces of i as have any other true class, those with the smallest p(i). In two
    things it departs from the paper: a face whose given label has the largest probability is never a label issue,
    and one that is taken for several classes counts for the most probable of them. Issues are ranked by their
    margin, p(i) - p(j).

    The probabilities must come from a model that has not seen the faces: a trained model believes the labels it
    learned, wrong ones included.

    Args:
        probabilities: [N, K], each row sums to 1.
        labels: The given labels, [N], indices into the K classes.

    Raises:
        FerError: No faces are given, a probability is not a number, or a label is out of range.
        ValueError: The shapes differ.
    """
    scores, given = np.asarray(probabilities, dtype=np.float64), np.asarray(labels, dtype=np.int64)
    if scores.ndim != 2 or given.shape != scores.shape[:1]:
        raise ValueError(f"probabilities {scores.shape} do not fit labels {given.shape}")
    if not len(given):
        raise FerError("there is no face among which a label could be wrong: use a split that holds some")
    if not np.isfinite(scores).all():
        raise FerError("some probabilities are not numbers, so no label can be judged: evaluate the model again")
    if given.min() < 0 or given.max() >= scores.shape[1]:
        reach = f"{given.min()} to {given.max()}"
        raise FerError(f"labels reach from {reach}, but there are {scores.shape[1]} classes: give their indices")
    thresholds = _thresholds(scores, given)
    joint = _joint(scores, given, thresholds)
    likely = _prune(scores, given, joint)
    places = np.flatnonzero(likely >= 0)
    own = scores[places, given[places]]
    margin = own - scores[places, likely[places]]
    order = np.lexsort((own, margin))
    places = places[order]
    return LabelErrors(places, likely[places], own[order], margin[order], thresholds, joint)


def _thresholds(scores: NDArray[np.float64], given: NDArray[np.int64]) -> NDArray[np.float64]:
    counts = np.bincount(given, minlength=scores.shape[1])
    sums = np.bincount(given, weights=scores[np.arange(len(given)), given], minlength=scores.shape[1])
    means: NDArray[np.float64] = np.divide(sums, counts, out=np.full(len(counts), np.inf), where=counts > 0)
    return means


def _joint(
    scores: NDArray[np.float64], given: NDArray[np.int64], thresholds: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The calibrated confident joint as shares, [given, true]."""
    number = scores.shape[1]
    # Probabilities come from float32: a class with equal confidence for all faces must reach its own mean.
    confident = np.where(scores >= thresholds - 1e-6, scores, -1.0)
    sure = confident.max(axis=1) >= 0
    pairs = given[sure] * number + confident[sure].argmax(axis=1)
    counts = np.bincount(pairs, minlength=number * number).reshape(number, number).astype(np.float64)
    rows, faces = counts.sum(axis=1), np.bincount(given, minlength=number)
    nobody = (rows == 0) & (faces > 0)
    # No face of such a label is confident of any class, so there is no evidence against the label.
    counts[nobody, nobody] = 1.0
    counts *= (faces / np.maximum(counts.sum(axis=1), 1.0))[:, None]
    shares: NDArray[np.float64] = counts / counts.sum()
    return shares


def _prune(scores: NDArray[np.float64], given: NDArray[np.int64], joint: NDArray[np.float64]) -> NDArray[np.int64]:
    """For every face the class that it probably has, -1 where its label is not suspected, [N]."""
    likely = np.full(len(given), -1)
    best = scores.argmax(axis=1)
    for label in range(scores.shape[1]):
        own = np.flatnonzero(given == label)
        wrong = np.rint((joint[label].sum() - joint[label, label]) * len(given)).astype(int)
        unsure = np.zeros(len(given), dtype=bool)
        unsure[own[np.argsort(scores[own, label], kind="stable")[:wrong]]] = True
        for other in np.flatnonzero(np.rint(joint[label] * len(given)) > 0):
            if other == label:
                continue
            number = round(joint[label, other] * len(given))
            margin = scores[own, other] - scores[own, label]
            taken = own[np.argsort(-margin, kind="stable")[:number]]
            taken = taken[unsure[taken] & (best[taken] != label)]
            better = (likely[taken] < 0) | (scores[taken, other] > scores[taken, likely[taken]])
            likely[taken[better]] = other
    return likely

"""Confident learning on drawn faces with a tenth of the labels wrong."""

import numpy as np
import pytest
from fer_core.statistics import find_label_errors
from fer_datasets.synthetic import Synthetic
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

FACES, SIZE = 2100, 48
RECALL, PRECISION = 0.8, 0.55
"""What is asked for; measured 0.90 and 0.61 with labels drawn from seed 0."""


def gradients(images, cell, bins=9):
    """Histograms of gradient directions in cells of `cell` pixels, [N, D] of grey images [N, H, W]."""
    down, right = np.gradient(images, axis=(1, 2))
    size, turn = np.hypot(right, down), (np.arctan2(down, right) % np.pi) / np.pi * bins
    low = np.floor(turn).astype(int) % bins
    weight = turn - np.floor(turn)
    number, cells = len(images), images.shape[1] // cell
    found = np.zeros((number, cells, cells, bins), np.float32)
    for angle in range(bins):
        share = size * ((low == angle) * (1 - weight) + ((low + 1) % bins == angle) * weight)
        parts = share[:, : cells * cell, : cells * cell].reshape(number, cells, cell, cells, cell)
        found[..., angle] = parts.sum((2, 4))
    found /= np.linalg.norm(found, axis=-1, keepdims=True) + 20
    return found.reshape(number, -1)


@pytest.mark.slow
def test_most_planted_label_errors_are_found():
    faces = Synthetic(size=SIZE, samples=FACES, classes=7, seed=0)
    images = np.stack([faces.read(row) for row in range(FACES)]).astype(np.float32).mean(axis=-1)
    features = np.concatenate(
        [gradients(images, 6), gradients(images[:, 3:-3, 3:-3], 6), gradients(images, 8)], axis=1
    )
    true, people = faces.table["label"].to_numpy(), faces.table["group"].to_numpy()
    rng = np.random.default_rng(0)
    wrong = rng.choice(FACES, FACES // 10, replace=False)
    given = true.copy()
    given[wrong] = (true[wrong] + rng.integers(1, 7, len(wrong))) % 7
    # Out of sample: five folds of whole persons, fitted on the given labels, wrong ones included.
    scores = cross_val_predict(
        make_pipeline(StandardScaler(), LogisticRegression(C=0.002, max_iter=200)),
        features,
        given,
        groups=people,
        cv=StratifiedGroupKFold(5, shuffle=True, random_state=0),
        method="predict_proba",
    )
    found = find_label_errors(scores, given)
    hit = np.isin(found.places, wrong)
    recall, precision = hit.sum() / len(wrong), hit.mean()
    print(f"{len(found.places)} suspects, recall {recall:.3f}, precision {precision:.3f}")
    assert recall >= RECALL
    assert precision >= PRECISION
    # The ranking puts the true ones first, and the likely class mostly is the true one.
    assert hit[: len(wrong) // 2].mean() >= 0.8
    assert (found.likely[hit] == true[found.places[hit]]).mean() >= 0.75

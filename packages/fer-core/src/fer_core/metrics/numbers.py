"""Metrics of numbers: targets and predictions, float [N] each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.floating]


def ccc(targets: Numbers, predictions: Numbers) -> float:
    """Concordance correlation: 2 cov(x, y) / (var(x) + var(y) + (mean(x) - mean(y))^2), -1 to 1.

    L. I. Lin, A concordance correlation coefficient to evaluate reproducibility, Biometrics 45 (1989), with
    moments that divide by N. Where both are one and the same constant, nothing agrees or disagrees: 0.
    """
    x, y = np.asarray(targets, np.float64), np.asarray(predictions, np.float64)
    apart = x.var() + y.var() + (x.mean() - y.mean()) ** 2
    return float(2 * ((x - x.mean()) * (y - y.mean())).mean() / apart) if apart > 0 else 0.0


def rmse(targets: Numbers, predictions: Numbers) -> float:
    """Root of the mean squared error: sqrt(mean((x - y)^2))."""
    errors = np.asarray(targets, np.float64) - predictions
    return float(np.sqrt((errors**2).mean()))


def mae(targets: Numbers, predictions: Numbers) -> float:
    """Mean absolute error: mean(|x - y|)."""
    return float(np.abs(np.asarray(targets, np.float64) - predictions).mean())

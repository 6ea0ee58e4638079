"""Published figures of LNSU-Net."""

from __future__ import annotations

from fer_core.plugin import Claim

_CHOSEN = "authors' split, epoch chosen on the images that are reported"
_OWN = (
    ("rafdb", "accuracy", 92.31, None, "README of the authors' code"),
    ("rafdb", "accuracy", 92.86, None, "training log, best step"),
    ("rafdb", "mean_class_accuracy", 87.71, None, "README of the authors' code"),
)
"""Dataset, metric, per cent, classes, source: the authors' results."""

CLAIMS = tuple(
    Claim(dataset=dataset, metric=metric, value=value, classes=classes, source=source, protocol=_CHOSEN)
    for dataset, metric, value, classes, source in _OWN
)

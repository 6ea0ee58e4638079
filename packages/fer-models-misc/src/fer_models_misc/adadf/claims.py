"""Published figures of Ada-DF."""

from __future__ import annotations

from fer_core.plugin import Claim

_CHOSEN = "authors' split, epoch chosen on the images that are reported"
_OWN = (
    ("rafdb", "accuracy", 90.04, None, "README of the authors' code"),
    ("affectnet", "accuracy", 65.34, 7, "README of the authors' code"),
    ("sfew", "accuracy", 60.46, None, "README of the authors' code"),
)
"""Dataset, metric, per cent, classes, source: the authors' results."""

CLAIMS = tuple(
    Claim(dataset=dataset, metric=metric, value=value, classes=classes, source=source, protocol=_CHOSEN)
    for dataset, metric, value, classes, source in _OWN
)

"""Published figures of POSTER and POSTER++."""

from __future__ import annotations

from fer_core.plugin import Claim

_CHOSEN = "authors' split, epoch chosen on the images that are reported"
_POSTER_OWN = (
    ("rafdb", "accuracy", 92.05, None, "abstract"),
    ("ferplus", "accuracy", 91.62, None, "abstract"),
    ("affectnet", "accuracy", 67.31, 7, "abstract"),
    ("affectnet", "accuracy", 63.34, 8, "abstract"),
)
"""Dataset, metric, per cent, classes, source: the authors' results."""

_POSTER_PP_OWN = (
    ("rafdb", "accuracy", 92.21, None, "README of the authors' code"),
    ("affectnet", "accuracy", 67.49, 7, "README of the authors' code"),
    ("affectnet", "accuracy", 63.77, 8, "README of the authors' code"),
    ("caers", "accuracy", 93.00, None, "README of the authors' code"),
)
"""Dataset, metric, per cent, classes, source: the authors' results."""

POSTER_CLAIMS = tuple(
    Claim(dataset=dataset, metric=metric, value=value, classes=classes, source=source, protocol=_CHOSEN)
    for dataset, metric, value, classes, source in _POSTER_OWN
)

POSTER_PP_CLAIMS = tuple(
    Claim(dataset=dataset, metric=metric, value=value, classes=classes, source=source, protocol=_CHOSEN)
    for dataset, metric, value, classes, source in _POSTER_PP_OWN
)

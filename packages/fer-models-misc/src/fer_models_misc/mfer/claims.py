"""Published figures of MFER."""

from __future__ import annotations

from fer_core.plugin import Claim

_CHOSEN = "authors' split, epoch chosen on the images that are reported"
_OWN = (
    ("rafdb", "accuracy", 92.08, None, "abstract, README"),
    ("affectnet", "accuracy", 67.06, 7, "abstract, README"),
    ("affectnet", "accuracy", 63.15, 8, "abstract, README"),
    ("ferplus", "accuracy", 91.09, None, "abstract, README"),
)
"""Dataset, metric, per cent, classes, source: the authors' results."""

CLAIMS = tuple(
    Claim(dataset=dataset, metric=metric, value=value, classes=classes, source=source, protocol=_CHOSEN)
    for dataset, metric, value, classes, source in _OWN
)

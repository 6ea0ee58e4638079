"""Published figures of DDAMFN and DDAMFN++."""

from __future__ import annotations

from fer_core.plugin import Claim

_CHOSEN = "authors' split, epoch chosen on the images that are reported"
_DDAMFN_OWN = (
    ("rafdb", "accuracy", 91.35, None, "listing of the paper's results"),
    ("affectnet", "accuracy", 67.03, 7, "listing of the paper's results"),
    ("affectnet", "accuracy", 64.25, 8, "listing of the paper's results"),
    ("ferplus", "accuracy", 90.74, None, "listing of the paper's results"),
)
"""Dataset, metric, per cent, classes, source: the authors' results."""

_DDAMFN_PP_OWN = (
    ("rafdb", "accuracy", 92.34, None, "listing of results"),
    ("rafdb", "accuracy", 92.04, None, "name of the released file"),
    ("rafdb", "mean_class_accuracy", 86.17, None, "name of the released file"),
    ("affectnet", "accuracy", 67.36, 7, "listing of results"),
    ("affectnet", "accuracy", 65.04, 8, "listing of results"),
)
"""Dataset, metric, per cent, classes, source: the authors' results."""

DDAMFN_CLAIMS = tuple(
    Claim(dataset=dataset, metric=metric, value=value, classes=classes, source=source, protocol=_CHOSEN)
    for dataset, metric, value, classes, source in _DDAMFN_OWN
)

DDAMFN_PP_CLAIMS = tuple(
    Claim(dataset=dataset, metric=metric, value=value, classes=classes, source=source, protocol=_CHOSEN)
    for dataset, metric, value, classes, source in _DDAMFN_PP_OWN
)

"""Published figures of DDAMFN and DDAMFN++."""

from __future__ import annotations

from fer_core.types import Claim

_CHOSEN = "authors' split, epoch chosen on the images that are reported"
_DDAMFN_OWN = (
    ("rafdb", "accuracy", 91.35, None, "listing of the paper's results"),
    ("affectnet", "accuracy", 67.03, 7, "listing of the paper's results"),
    ("affectnet", "accuracy", 64.25, 8, "listing of the paper's results"),
    ("ferplus", "accuracy", 90.74, None, "listing of the paper's results"),
)
"""Dataset, metric, per cent, classes, source: the authors' results."""

_DDAMFN_CROSSVAL = {
    "rafdb": (87.4, 0.6, 78.9),
    "ferplus": (84.2, 0.5, 66.8),
    "fer2013": (68.4, 0.4, 65.8),
    "expw": (64.7, 0.2, 42.1),
    "sfew": (53.1, 4.2, 47.6),
    "ckplus": (99.6, 0.5, 99.3),
}
"""Dataset -> accuracy, its standard deviation, mean class accuracy, as published by StevenHSKim/FER-crossval."""

_DDAMFN_PP_OWN = (
    ("rafdb", "accuracy", 92.34, None, "listing of results"),
    ("rafdb", "accuracy", 92.04, None, "name of the released file"),
    ("rafdb", "mean_class_accuracy", 86.17, None, "name of the released file"),
    ("affectnet", "accuracy", 67.36, 7, "listing of results"),
    ("affectnet", "accuracy", 65.04, 8, "listing of results"),
)
"""Dataset, metric, per cent, classes, source: the authors' results."""

DDAMFN_CLAIMS = (
    *(
        Claim(dataset=dataset, metric=metric, value=value, classes=classes, source=source, protocol=_CHOSEN)
        for dataset, metric, value, classes, source in _DDAMFN_OWN
    ),
    *(
        Claim(
            dataset=dataset,
            metric=metric,
            value=value,
            deviation=deviation,
            source="README of StevenHSKim/FER-crossval",
            protocol="ten random 60/20/20 splits, epoch chosen on validation, one recipe for all models",
            recipe="fer-crossval",
        )
        for dataset, (accuracy, spread, mean) in _DDAMFN_CROSSVAL.items()
        for metric, value, deviation in (("accuracy", accuracy, spread), ("mean_class_accuracy", mean, None))
    ),
)

DDAMFN_PP_CLAIMS = (
    *(
        Claim(dataset=dataset, metric=metric, value=value, classes=classes, source=source, protocol=_CHOSEN)
        for dataset, metric, value, classes, source in _DDAMFN_PP_OWN
    ),
)

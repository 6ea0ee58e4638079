"""Published figures of DAN."""

from __future__ import annotations

from fer_core.types import Claim

_CHOSEN = "authors' split, epoch chosen on the images that are reported"
_OWN = (
    ("rafdb", "accuracy", 89.70, None, "README of the authors' code"),
    ("affectnet", "accuracy", 65.69, 7, "README of the authors' code"),
    ("affectnet", "accuracy", 62.09, 8, "README of the authors' code"),
    ("sfew", "accuracy", 53.18, None, "paper"),
)
"""Dataset, metric, per cent, classes, source: the authors' results."""

_CROSSVAL = {
    "rafdb": (86.7, 0.7, 78.0),
    "ferplus": (84.3, 0.4, 66.9),
    "fer2013": (69.1, 0.3, 66.4),
    "expw": (64.9, 0.2, 41.6),
    "sfew": (56.6, 3.3, 51.3),
    "ckplus": (99.3, 0.8, 99.0),
}
"""Dataset -> accuracy, its standard deviation, mean class accuracy, as published by StevenHSKim/FER-crossval."""

CLAIMS = (
    *(
        Claim(dataset=dataset, metric=metric, value=value, classes=classes, source=source, protocol=_CHOSEN)
        for dataset, metric, value, classes, source in _OWN
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
        for dataset, (accuracy, spread, mean) in _CROSSVAL.items()
        for metric, value, deviation in (("accuracy", accuracy, spread), ("mean_class_accuracy", mean, None))
    ),
)

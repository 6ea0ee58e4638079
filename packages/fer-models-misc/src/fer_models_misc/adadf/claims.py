"""Published figures of Ada-DF."""

from __future__ import annotations

from fer_core.types import Claim

_CHOSEN = "authors' split, epoch chosen on the images that are reported"
_OWN = (
    ("rafdb", "accuracy", 90.04, None, "README of the authors' code"),
    ("affectnet", "accuracy", 65.34, 7, "README of the authors' code"),
    ("sfew", "accuracy", 60.46, None, "README of the authors' code"),
)
"""Dataset, metric, per cent, classes, source: the authors' results."""

_CROSSVAL = {
    "rafdb": (79.7, 0.8, 68.6),
    "ferplus": (83.6, 0.5, 63.0),
    "fer2013": (70.2, 0.7, 66.5),
    "expw": (65.4, 0.3, 44.7),
    "sfew": (57.4, 0.3, 51.4),
    "ckplus": (99.2, 0.5, 98.7),
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

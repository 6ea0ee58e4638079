"""Published figures of LNSU-Net."""

from __future__ import annotations

from fer_core.types import Claim

_CHOSEN = "authors' split, epoch chosen on the images that are reported"
_OWN = (
    ("rafdb", "accuracy", 92.31, None, "README of the authors' code"),
    ("rafdb", "accuracy", 92.86, None, "training log, best step"),
    ("rafdb", "mean_class_accuracy", 87.71, None, "README of the authors' code"),
)
"""Dataset, metric, per cent, classes, source: the authors' results."""

_CROSSVAL = {
    "rafdb": (88.9, 0.6, 81.5),
    "ferplus": (83.5, 0.4, 62.9),
    "fer2013": (68.6, 0.4, 64.0),
    "expw": (66.2, 0.3, 43.2),
    "sfew": (49.6, 3.3, 44.8),
    "ckplus": (98.7, 0.8, 98.4),
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

"""Published figures of POSTER and POSTER++."""

from __future__ import annotations

from fer_core.types import Claim

_CHOSEN = "authors' split, epoch chosen on the images that are reported"
_POSTER_OWN = (
    ("rafdb", "accuracy", 92.05, None, "abstract"),
    ("ferplus", "accuracy", 91.62, None, "abstract"),
    ("affectnet", "accuracy", 67.31, 7, "abstract"),
    ("affectnet", "accuracy", 63.34, 8, "abstract"),
)
"""Dataset, metric, per cent, classes, source: the authors' results."""

_POSTER_CROSSVAL = {
    "rafdb": (79.7, 1.1, 68.7),
    "ferplus": (79.6, 0.8, 59.1),
    "fer2013": (62.8, 1.0, 58.1),
    "expw": (63.5, 0.4, 39.8),
    "sfew": (44.8, 3.1, 38.5),
    "ckplus": (98.4, 1.1, 97.5),
}
"""Dataset -> accuracy, its standard deviation, mean class accuracy, as published by StevenHSKim/FER-crossval."""

_POSTER_PP_OWN = (
    ("rafdb", "accuracy", 92.21, None, "README of the authors' code"),
    ("affectnet", "accuracy", 67.49, 7, "README of the authors' code"),
    ("affectnet", "accuracy", 63.77, 8, "README of the authors' code"),
    ("caers", "accuracy", 93.00, None, "README of the authors' code"),
)
"""Dataset, metric, per cent, classes, source: the authors' results."""

_POSTER_PP_CROSSVAL = {
    "rafdb": (75.6, 0.9, 62.4),
    "ferplus": (78.7, 0.4, 57.7),
    "fer2013": (60.4, 1.0, 54.1),
    "expw": (63.2, 0.4, 39.2),
    "sfew": (29.1, 3.8, 24.7),
    "ckplus": (96.0, 1.3, 94.4),
}
"""Dataset -> accuracy, its standard deviation, mean class accuracy, as published by StevenHSKim/FER-crossval."""

POSTER_CLAIMS = (
    *(
        Claim(dataset=dataset, metric=metric, value=value, classes=classes, source=source, protocol=_CHOSEN)
        for dataset, metric, value, classes, source in _POSTER_OWN
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
        for dataset, (accuracy, spread, mean) in _POSTER_CROSSVAL.items()
        for metric, value, deviation in (("accuracy", accuracy, spread), ("mean_class_accuracy", mean, None))
    ),
)

POSTER_PP_CLAIMS = (
    *(
        Claim(dataset=dataset, metric=metric, value=value, classes=classes, source=source, protocol=_CHOSEN)
        for dataset, metric, value, classes, source in _POSTER_PP_OWN
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
        for dataset, (accuracy, spread, mean) in _POSTER_PP_CROSSVAL.items()
        for metric, value, deviation in (("accuracy", accuracy, spread), ("mean_class_accuracy", mean, None))
    ),
)

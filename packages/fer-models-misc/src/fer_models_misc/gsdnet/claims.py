"""Results that others published for GSDNet; its authors' code states none."""

from __future__ import annotations

from fer_core.types import Claim

_CROSSVAL = {
    "rafdb": (82.9, 1.9, 72.6),
    "ferplus": (81.6, 0.9, 61.3),
    "fer2013": (63.5, 0.8, 58.4),
    "expw": (64.2, 0.3, 40.3),
    "sfew": (33.5, 8.9, 28.0),
    "ckplus": (99.3, 0.6, 99.0),
}
"""Dataset -> accuracy, its standard deviation, mean class accuracy, as published by StevenHSKim/FER-crossval."""

CLAIMS = (
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

"""Statistics of stored predictions: intervals, tests, ranks and calibration."""

from fer_core.statistics.calibration import (
    Reliability,
    apply_temperature,
    fit_temperature,
    reliability,
)
from fer_core.statistics.comparison import corrected_t, holm, mcnemar, paired_bootstrap
from fer_core.statistics.intervals import bootstrap_interval, proportion_interval
from fer_core.statistics.label_errors import LabelErrors, find_label_errors
from fer_core.statistics.ranks import Ranking, friedman_nemenyi

__all__ = [
    "LabelErrors",
    "Ranking",
    "Reliability",
    "apply_temperature",
    "bootstrap_interval",
    "corrected_t",
    "find_label_errors",
    "fit_temperature",
    "friedman_nemenyi",
    "holm",
    "mcnemar",
    "paired_bootstrap",
    "proportion_interval",
    "reliability",
]

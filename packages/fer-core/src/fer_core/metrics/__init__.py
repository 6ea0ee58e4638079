"""Figures and pictures that tell how good a classifier is."""

from fer_core.metrics.classification import compute_metrics
from fer_core.metrics.pictures import save_confusion, save_curves
from fer_core.metrics.record import Metrics, MetricsRow

__all__ = ["Metrics", "MetricsRow", "compute_metrics", "save_confusion", "save_curves"]

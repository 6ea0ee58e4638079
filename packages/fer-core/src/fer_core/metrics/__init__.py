"""Metrics of a classification."""

from fer_core.metrics.classification import compute_metrics
from fer_core.metrics.record import Metrics, MetricsRow

__all__ = ["Metrics", "MetricsRow", "compute_metrics"]

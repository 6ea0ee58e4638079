"""Metrics of a classification."""

from fer_core.metrics.classification import compute_metrics
from fer_core.metrics.record import HeadMetrics, Metrics, MetricsRow

__all__ = ["HeadMetrics", "Metrics", "MetricsRow", "compute_metrics"]

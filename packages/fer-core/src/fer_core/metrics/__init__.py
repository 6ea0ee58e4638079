"""Figures and pictures that tell how good a classifier is."""

from fer_core.metrics.classification import compute_metrics

__all__ = ["compute_metrics"]

"""Figures and pictures that tell how good a classifier is."""

from fer_core.metrics.classification import compute_metrics
from fer_core.metrics.pictures import save_confusion, save_curves

__all__ = ["compute_metrics", "save_confusion", "save_curves"]

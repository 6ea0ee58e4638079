"""Losses of the core and the base class of all others."""

from fer_core.losses.base import Loss
from fer_core.losses.cross_entropy import CrossEntropy

__all__ = ["CrossEntropy", "Loss"]

"""Losses of the core and the base class of all others."""

from fer_core.losses.base import Loss
from fer_core.losses.cross_entropy import CrossEntropy
from fer_core.losses.distillation import Distillation
from fer_core.losses.multi_head import MultiHead
from fer_core.losses.sample_buffer import SampleBuffer

__all__ = ["CrossEntropy", "Distillation", "Loss", "MultiHead", "SampleBuffer"]

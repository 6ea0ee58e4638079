"""Benchmarks on this machine: evaluation, training and data path, relative to the device's peak."""

from fer_core.benchmarking.ceiling import Ceiling, measure_ceiling
from fer_core.benchmarking.model import Bench, Phase, measure_model

__all__ = ["Bench", "Ceiling", "Phase", "measure_ceiling", "measure_model"]

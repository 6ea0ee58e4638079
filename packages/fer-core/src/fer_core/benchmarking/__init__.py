"""Benchmarks on this machine: evaluation, training and data path, relative to the device's peak."""

from fer_core.benchmarking.ceiling import Ceiling, measure_ceiling
from fer_core.benchmarking.model import Bench, Phase, make_loop, measure_loop, measure_model

__all__ = ["Bench", "Ceiling", "Phase", "make_loop", "measure_ceiling", "measure_loop", "measure_model"]

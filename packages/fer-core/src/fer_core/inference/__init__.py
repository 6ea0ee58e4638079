"""Putting a trained model to work on new pictures."""

from fer_core.inference.predictor import Face, Predictor

__all__ = ["Face", "Predictor"]

"""Putting a trained model to work on new pictures."""

from fer_core.inference.fuse import inference_form
from fer_core.inference.predictor import Face, Failed, Predictor

__all__ = ["Face", "Failed", "Predictor", "inference_form"]

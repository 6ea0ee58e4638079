"""Putting a trained model to work on new pictures."""

from fer_core.inference.form import inference_form
from fer_core.inference.importing import import_weights
from fer_core.inference.predictor import Face, Failed, Predictor

__all__ = ["Face", "Failed", "Predictor", "import_weights", "inference_form"]

"""Inference of a trained model on new images."""

from fer_core.inference.predictor import Face, Faces, Failed, Predictor
from fer_core.inference.trained import TrainedModel, load_trained

__all__ = [
    "Face",
    "Faces",
    "Failed",
    "Predictor",
    "TrainedModel",
    "load_trained",
]

"""Inference of a trained model on new images."""

from fer_core.inference.answer import Answer, Face
from fer_core.inference.predictor import Faces, Predictor
from fer_core.inference.trained import TrainedModel, load_trained

__all__ = [
    "Answer",
    "Face",
    "Faces",
    "Predictor",
    "TrainedModel",
    "load_trained",
]

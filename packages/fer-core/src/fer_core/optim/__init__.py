"""Optimizers and learning-rate schedules of the core."""

from fer_core.optim.factories import adam, adamw, sam, sgd
from fer_core.optim.sam import SAM
from fer_core.optim.schedules import Schedule, constant, cosine, exponential, step

__all__ = ["SAM", "Schedule", "adam", "adamw", "constant", "cosine", "exponential", "sam", "sgd", "step"]

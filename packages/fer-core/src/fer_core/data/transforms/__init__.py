"""Transforms of faces, each in two forms: per image (PIL) and batched (tensors, on any device)."""

from fer_core.data.transforms.base import Transform, TransformInfo
from fer_core.data.transforms.erasing import RandomErasing
from fer_core.data.transforms.geometry import Affine, HorizontalFlip, RandomCrop, Rotation
from fer_core.data.transforms.normalize import Normalize
from fer_core.data.transforms.pipeline import Pipeline, RandomApply, build_pipeline
from fer_core.data.transforms.resize import Resize

__all__ = [
    "Affine",
    "HorizontalFlip",
    "Normalize",
    "Pipeline",
    "RandomApply",
    "RandomCrop",
    "RandomErasing",
    "Resize",
    "Rotation",
    "Transform",
    "TransformInfo",
    "build_pipeline",
]

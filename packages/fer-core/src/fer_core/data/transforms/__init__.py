"""Transforms of faces, each in two forms: per image (PIL) and batched (tensors, on any device)."""

from fer_core.data.transforms.base import Transform, Views
from fer_core.data.transforms.colors import ColorJitter, GaussianNoise
from fer_core.data.transforms.compose import OneOf, RandomApply
from fer_core.data.transforms.crops import CenterCrop, FiveCrop, MirrorViews, RandomResizedCrop, TenCrop
from fer_core.data.transforms.erasing import RandomErasing
from fer_core.data.transforms.geometry import Affine, HorizontalFlip, RandomCrop, Rotation
from fer_core.data.transforms.normalize import Normalize
from fer_core.data.transforms.pipeline import Pipeline, build_pipeline
from fer_core.data.transforms.policies import AutoAugment, RandAugment
from fer_core.data.transforms.resize import Resize

__all__ = [
    "Affine",
    "AutoAugment",
    "CenterCrop",
    "ColorJitter",
    "FiveCrop",
    "GaussianNoise",
    "HorizontalFlip",
    "MirrorViews",
    "Normalize",
    "OneOf",
    "Pipeline",
    "RandAugment",
    "RandomApply",
    "RandomCrop",
    "RandomErasing",
    "RandomResizedCrop",
    "Resize",
    "Rotation",
    "TenCrop",
    "Transform",
    "Views",
    "build_pipeline",
]

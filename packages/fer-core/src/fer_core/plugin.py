"""Everything that a plugin may import of the core. No other name of the core is promised to a plugin.

The names here are stable: one is removed, or changes its meaning, only when `HOOK_API` rises. What needs numpy,
pydantic or torch is imported when it is first asked for (PEP 562), so the module of an entry point stays light.
Tests of a plugin may also use `fer_core`, the calls of a program, and `fer_core.testing`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fer_core import distributed
from fer_core.errors import FerError, nearest
from fer_core.files import write_atomically
from fer_core.hookspecs import HOOK_API, hookimpl
from fer_core.published import Claim, ClassOrder, Weights, WeightsSpec
from fer_core.types import (
    EXPRESSIONS,
    Batch,
    ClassChanges,
    CommandSpec,
    DatasetSpec,
    ExperimentSpec,
    FERDataset,
    Image,
    Losses,
    Measured,
    MetricSpec,
    ModelSpec,
    Output,
    Pack,
    Progress,
    Ref,
    Role,
    SplitSpec,
    StateDict,
    TaskInfo,
)

if TYPE_CHECKING:
    from fer_core.card import Card, CardFigure, CardInput
    from fer_core.components import Names
    from fer_core.config import Config
    from fer_core.data.images import decode_bytes, decode_image, image_names, image_size, open_file
    from fer_core.data.progress import show_progress
    from fer_core.data.random import SampleRandom, derive_seed
    from fer_core.data.scenes import make_scene
    from fer_core.data.table import make_fingerprint
    from fer_core.data.transforms.base import Picture, Transform, Views, to_tensor
    from fer_core.engine.devices import Device
    from fer_core.experiments.execute import run_here
    from fer_core.experiments.executor import Executor
    from fer_core.experiments.plan import PlannedRun
    from fer_core.experiments.splits import SplitChoice
    from fer_core.faces import Alignment, Detection, Detector, FivePoints, Template
    from fer_core.losses.base import Loss, Scan
    from fer_core.losses.multi_head import target_term
    from fer_core.losses.sample_buffer import SampleBuffer
    from fer_core.metrics import MetricsRow
    from fer_core.nn import (
        Frozen,
        ResidualBlock,
        at_least_float32,
        fold_batch_norm,
        no_autocast,
        resnet18,
    )
    from fer_core.preprocessing import Preprocessing
    from fer_core.training.callbacks import Callback, PlainState, scalars
    from fer_core.training.state import Batches, Position, TrainingView
    from fer_core.training.trainer import Trainer
    from fer_core.weights.state import check_state, unwrap

__all__ = [
    "EXPRESSIONS",
    "HOOK_API",
    "Alignment",
    "Batch",
    "Batches",
    "Callback",
    "Card",
    "CardFigure",
    "CardInput",
    "Claim",
    "ClassChanges",
    "ClassOrder",
    "CommandSpec",
    "Config",
    "DatasetSpec",
    "Detection",
    "Detector",
    "Device",
    "Executor",
    "ExperimentSpec",
    "FERDataset",
    "FerError",
    "FivePoints",
    "Frozen",
    "Image",
    "Loss",
    "Losses",
    "Measured",
    "MetricSpec",
    "MetricsRow",
    "ModelSpec",
    "Names",
    "Output",
    "Pack",
    "Picture",
    "PlainState",
    "PlannedRun",
    "Position",
    "Preprocessing",
    "Progress",
    "Ref",
    "ResidualBlock",
    "Role",
    "SampleBuffer",
    "SampleRandom",
    "Scan",
    "SplitChoice",
    "SplitSpec",
    "StateDict",
    "TaskInfo",
    "Template",
    "Trainer",
    "TrainingView",
    "Transform",
    "Views",
    "Weights",
    "WeightsSpec",
    "at_least_float32",
    "check_state",
    "decode_bytes",
    "decode_image",
    "derive_seed",
    "distributed",
    "fold_batch_norm",
    "hookimpl",
    "image_names",
    "image_size",
    "make_fingerprint",
    "make_scene",
    "nearest",
    "no_autocast",
    "open_file",
    "resnet18",
    "run_here",
    "scalars",
    "show_progress",
    "target_term",
    "to_tensor",
    "unwrap",
    "write_atomically",
]

_LAZY = {
    name: f"fer_core.{module}"
    for module, names in {
        "card": ("Card", "CardFigure", "CardInput"),
        "components": ("Names",),
        "config": ("Config",),
        "data.images": ("decode_bytes", "decode_image", "image_names", "image_size", "open_file"),
        "data.progress": ("show_progress",),
        "data.random": ("SampleRandom", "derive_seed"),
        "data.scenes": ("make_scene",),
        "data.table": ("make_fingerprint",),
        "data.transforms.base": ("Picture", "Transform", "Views", "to_tensor"),
        "engine.devices": ("Device",),
        "experiments.execute": ("run_here",),
        "experiments.executor": ("Executor",),
        "experiments.plan": ("PlannedRun",),
        "experiments.splits": ("SplitChoice",),
        "faces": ("Alignment", "Detection", "Detector", "FivePoints", "Template"),
        "losses.base": ("Loss", "Scan"),
        "losses.multi_head": ("target_term",),
        "losses.sample_buffer": ("SampleBuffer",),
        "metrics": ("MetricsRow",),
        "nn": ("Frozen", "ResidualBlock", "at_least_float32", "fold_batch_norm", "no_autocast", "resnet18"),
        "preprocessing": ("Preprocessing",),
        "training.callbacks": ("Callback", "PlainState", "scalars"),
        "training.state": ("Batches", "Position", "TrainingView"),
        "training.trainer": ("Trainer",),
        "weights.state": ("check_state", "unwrap"),
    }.items()
    for name in names
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_LAZY[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

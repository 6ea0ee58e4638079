"""Single components for other programs: models, losses, transforms, datasets."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from fer_core import registry
from fer_core.components import Options, build
from fer_core.config.schema import Data, TransformItem
from fer_core.data.open import open_dataset
from fer_core.data.torch_dataset import OpenedDataset
from fer_core.data.transforms import Pipeline, build_pipeline
from fer_core.errors import FerError
from fer_core.preprocessing import Preprocessing
from fer_core.refs import resolve
from fer_core.types import TaskInfo, class_names
from fer_core.weights.backbone import load_backbones

if TYPE_CHECKING:
    from fer_core.losses import Loss

Targets = Mapping[str, Sequence[str]]
"""Name of each extra target -> its classes, none for numbers."""


def make_model(
    name: str,
    classes: tuple[str, ...],
    input_size: int,
    backbone_weights: str | Path | Sequence[str | Path],
    options: Options,
    targets: Targets | None = None,
) -> nn.Module:
    """As `fer_core.create_model`."""
    spec = registry.find("models", name)
    model: nn.Module = build("models", spec.name, options, task_info(classes, (), input_size, targets))
    places = [backbone_weights] if isinstance(backbone_weights, str | Path) else backbone_weights
    if places:
        load_backbones(model, spec.name, [os.fspath(place) for place in places])
    return model


def make_loss(
    name: str,
    classes: Sequence[str],
    class_counts: Sequence[int],
    input_size: int,
    options: Options,
    targets: Targets | None = None,
) -> Loss:
    """As `fer_core.create_loss`."""
    loss: Loss = build("losses", name, options, task_info(classes, class_counts, input_size, targets))
    return loss


def task_info(
    classes: Sequence[str], class_counts: Sequence[int], input_size: int, targets: Targets | None = None
) -> TaskInfo:
    """The task as components see it. Raises FerError for invalid classes or counts."""
    if len(classes) < 2 or len(set(classes)) < len(classes):
        raise FerError(f"classes are {', '.join(classes) or 'none'}: give the names of two or more, each once")
    if class_counts and len(class_counts) != len(classes):
        raise FerError(
            f"there are {len(classes)} classes, but {len(class_counts)} class_counts: give one for each"
        )
    heads = {name: tuple(names) for name, names in (targets or {}).items()}
    return TaskInfo(tuple(classes), tuple(class_counts), input_size, targets=heads)


def numbered(num_classes: int) -> tuple[str, ...]:
    """Names for a number of classes. Raises FerError where there are fewer than two."""
    if num_classes < 2:
        raise FerError(f"num_classes is {num_classes}: give 2 or more, or the names as classes")
    return class_names(num_classes)


def make_transform(
    items: Sequence[TransformItem] | None, input_size: int, preprocessing: Preprocessing | None
) -> Pipeline:
    """As `fer_core.create_transform`."""
    contract = preprocessing or Preprocessing.from_config(Data(name="none", input_size=input_size))
    return build_pipeline(contract, items)


def opened_dataset(name: str, root: str | Path | None, options: Options) -> OpenedDataset:
    """As `fer_core.open_dataset`."""
    return OpenedDataset(*open_dataset(name, None if root is None else Path(root), options))


def converted(name: str, state: Mapping[str, Any]) -> dict[str, Tensor]:
    """As `fer_core.convert_upstream`."""
    spec = registry.find("models", name)
    if spec.converter is None:
        raise FerError(f"{spec.name} has no converter, since its plugin gives none: train it instead")
    found: dict[str, Tensor] = resolve(spec.converter)(state)
    return found

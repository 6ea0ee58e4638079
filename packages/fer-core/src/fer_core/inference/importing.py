"""From a file of the model's authors to a weight file that evaluates and predicts anywhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from torch import nn

from fer_core import registry
from fer_core.config import check_options, resolve_config
from fer_core.errors import FerError
from fer_core.preprocessing import Preprocessing
from fer_core.refs import resolve
from fer_core.training.files import local_file
from fer_core.training.start import read_backbone, sha256
from fer_core.types import DatasetSpec, TaskInfo
from fer_core.weights import read_upstream
from fer_core.weights.checkpoint import PART, load_state, save_weights

if TYPE_CHECKING:
    from torch import Tensor

    from fer_core.types import ModelSpec

Part = Literal["model", "backbone"]
SUFFIX = ".safetensors"
NO_DATASET = DatasetSpec(
    name="default",
    factory="",
    classes=(),
    splits={},
    layouts={},
    expected_counts={},
    summary="",
    licence="",
    homepage="",
)
"""Stands for the dataset where none is named: the recipe is then the model's default."""


def import_weights(
    model: str,
    file: str | Path,
    out: str | Path,
    *,
    dataset: str | None = None,
    classes: Sequence[str] = (),
    part: Part = "model",
    show: Callable[[str], None] = print,
) -> Path:
    """Convert a checkpoint of the model's authors and write it with everything that prediction needs.

    Args:
        model: Name of an installed model.
        file: Path or URI of the authors' file; nothing in it is run.
        out: The `.safetensors` file to write; it must not exist.
        dataset: The dataset it was trained on: its classes, in its order, and its recipe's preprocessing.
        classes: Class names in the file's order, where they are not a dataset's.
        part: `model`, or `backbone` for a file to start training from (`model.backbone_weights`).
        show: Called with the lines of the report.

    Returns:
        `out`.

    Raises:
        FerError: The file is unreadable or another model's, the classes are unknown or not as many as the file's,
            or `out` exists.
    """
    spec = registry.find("models", model)
    target = _check_target(Path(out))
    if part not in ("model", "backbone"):
        raise FerError(f"there is no part {part}: import a model or its backbone")
    if dataset is not None and classes:
        raise FerError("--dataset and --classes both name the classes: give one of them")
    source = local_file(file)
    if part == "backbone":
        return _import_backbone(spec, source, target, show)
    return _import_model(spec, source, target, dataset, tuple(classes), show)


def _import_model(
    spec: ModelSpec,
    source: Path,
    target: Path,
    dataset: str | None,
    classes: tuple[str, ...],
    show: Callable[[str], None],
) -> Path:
    if spec.converter is None:
        raise FerError(f"{spec.name} reads no file of others, since its plugin has no converter: train it instead")
    data = NO_DATASET if dataset is None else registry.find("datasets", dataset)
    state: dict[str, Tensor] = resolve(spec.converter)(read_upstream(source))
    number, options = resolve(spec.describe)(state) if spec.describe is not None else (None, {})
    names = _class_names(data, classes, number)
    preprocessing = Preprocessing.from_config(resolve_config(spec, data).config.data)
    network = _build(spec, TaskInfo(names, input_size=preprocessing.input_size), options)
    load_state(network, state, f"{source} does not fit model {spec.name} with {len(names)} classes")
    header = {
        "model": {"name": spec.name, "options": options},
        "classes": list(names),
        "preprocessing": preprocessing.plain(),
        "imported": {"sha256": sha256(source), "recipe": data.name},
    }
    save_weights(target, network.state_dict(), header)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    show(f"model    {spec.name}, {parameters:,} parameters, {len(state)} tensors, all of them from {source}")
    show(f"classes  {', '.join(names)}")
    size, color = preprocessing.input_size, preprocessing.color
    show(f"input    {size} pixels, {color}, as in the recipe {spec.name}/{spec.recipe_for(data.name)}")
    show(f"written  {target}")
    return target


def _import_backbone(spec: ModelSpec, source: Path, target: Path, show: Callable[[str], None]) -> Path:
    if spec.backbone is None:
        raise FerError(f"{spec.name} takes no backbone weights, since its plugin reads none: import a whole model")
    if not source.is_file():
        raise FerError(f"there is no file {source}: name a file of backbone weights")
    state = read_backbone(spec, source)
    header: dict[str, Any] = {PART: "backbone", "model": spec.name, "imported": {"sha256": sha256(source)}}
    save_weights(target, {name: tensor.clone() for name, tensor in state.items()}, header)
    show(f"backbone {spec.name}, {len(state)} tensors from {source}")
    show(f"written  {target}: train from it with -o model.backbone_weights={target}")
    return target


def _class_names(data: DatasetSpec, classes: tuple[str, ...], number: int | None) -> tuple[str, ...]:
    """The classes in the file's order; `number` is how many it has, None where that is not known."""
    names = classes or data.classes
    if len(set(names)) != len(names) or not all(names):
        raise FerError(f"--classes {','.join(names)} names a class twice or not at all: give each once")
    if not names:
        has = "its classes" if number is None else f"its {number} classes"
        why = f"{data.name} has no fixed classes" if data is not NO_DATASET else "a file does not say"
        raise FerError(
            f"the order of {has} is unknown, since {why}: give --classes a,b,... in the file's order, or the "
            "dataset it was trained on with --dataset NAME"
        )
    if number is not None and len(names) != number:
        given = f"--classes has {len(names)}" if classes else f"{data.name} has {len(names)}"
        raise FerError(f"the file has {number} classes, but {given}: give its own with --classes a,b,...")
    return names


def _build(spec: ModelSpec, info: TaskInfo, options: dict[str, Any]) -> nn.Module:
    factory = registry.factory("models", spec.name)
    check_options("model", spec.name, factory, options, skip={"info"})
    network: nn.Module = factory(info, **options)
    return network


def _check_target(path: Path) -> Path:
    if path.suffix != SUFFIX:
        raise FerError(f"--out {path} does not end in {SUFFIX}, which is what is written: rename it")
    if path.exists():
        raise FerError(f"{path} exists and is not overwritten: choose another --out, or remove it first")
    if not path.absolute().parent.is_dir():
        raise FerError(f"there is no folder {path.parent} to write {path.name} into: make it, or correct --out")
    return path

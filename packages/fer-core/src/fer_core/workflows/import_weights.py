"""Convert a file of the model's authors to a weight file for evaluation and prediction."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from torch import nn

from fer_core import registry
from fer_core.components import Options, build
from fer_core.config import Resolved, resolve_config
from fer_core.config.layers import ARGUMENT, OVERRIDE
from fer_core.errors import FerError
from fer_core.files import sha256
from fer_core.hookspecs import HOOK_API
from fer_core.preprocessing import Preprocessing
from fer_core.provenance import Model
from fer_core.published import ClassOrder
from fer_core.refs import resolve
from fer_core.types import DatasetSpec, TaskInfo, bare
from fer_core.weights import read_upstream
from fer_core.weights.address import local_file
from fer_core.weights.backbone import read_backbone
from fer_core.weights.checkpoint import load_state, save_weights, tensor_digest
from fer_core.weights.header import FORMAT, Header, Imported, PartHeader
from fer_core.weights.origin import component_of

if TYPE_CHECKING:
    from torch import Tensor

    from fer_core.types import ModelSpec

logger = logging.getLogger(__name__)
Part = Literal["model", "backbone"]
SUFFIX = ".safetensors"
PREPROCESSING = ("input_size", "mean", "std", "color", "eval_transforms", "pipeline", "alignment")
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


def import_file(
    model: str,
    file: str | Path,
    out: str | Path,
    dataset: str | None,
    classes: Sequence[str],
    part: Part,
    overrides: Sequence[str] = (),
    arguments: Options | None = None,
) -> Path:
    """As `fer_core.import_weights`; `overrides` are `a.b=value`."""
    spec = registry.find("models", model)
    target = _check_target(Path(out))
    if part not in ("model", "backbone"):
        raise FerError(f"there is no part {part}: import a model or its backbone")
    source = local_file(file)
    if part == "backbone":
        if overrides or arguments:
            raise FerError("a backbone is imported as it is, without options: leave them out")
        return _import_backbone(spec, source, target)
    data = NO_DATASET if dataset is None else registry.find("datasets", dataset)
    resolved = resolve_config(spec, data, overrides=overrides, arguments=arguments)
    return _import_model(spec, source, target, data, tuple(classes), resolved)


def _import_model(
    spec: ModelSpec,
    source: Path,
    target: Path,
    data: DatasetSpec,
    classes: tuple[str, ...],
    resolved: Resolved,
) -> Path:
    if spec.converter is None:
        raise FerError(f"{spec.name} cannot import weights, since its plugin has no converter: train it instead")
    state: dict[str, Tensor] = resolve(spec.converter)(read_upstream(source))
    number, options = resolve(spec.describe)(state) if spec.describe is not None else (None, {})
    options |= _given_options(resolved)
    order = _given_order(classes, number) if classes else _authors_order(spec, data, number)
    names = order.classes
    preprocessing = Preprocessing.from_config(resolved.config.data)
    info = TaskInfo(names, input_size=preprocessing.input_size)
    network: nn.Module = build("models", spec.name, options, info)
    shown = "".join(f", {key}={value}" for key, value in options.items())
    load_state(network, state, f"{source} does not fit model {spec.name} with {len(names)} classes{shown}")
    weights = network.state_dict()
    header = Header(
        format=FORMAT,
        hook_api=HOOK_API,
        model=Model(name=spec.name, options=options),
        classes=names,
        preprocessing=preprocessing,
        components=(component_of("models", spec.name),),
        imported=Imported(sha256=sha256(source), recipe=data.name),
        digests={name: tensor_digest(tensor) for name, tensor in weights.items()},
    )
    save_weights(target, weights, header)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    logger.info(
        f"model    {spec.name}, {parameters:,} parameters, {len(state)} tensors, all of them from {source}"
    )
    logger.info(f"classes  {', '.join(names)}")
    logger.info(f"order    {order.source}")
    size, color = preprocessing.input_size, preprocessing.color
    logger.info(f"input    {size} pixels, {color}, as in the recipe {spec.name}/{spec.recipe_for(data.name)}")
    logger.info(f"written  {target}")
    return target


def _given_options(resolved: Resolved) -> Options:
    """The options of the model that the user gave. Raises FerError where what was given is not for an import."""
    given = [key for key, layer in resolved.origin.items() if layer in (OVERRIDE, ARGUMENT)]
    options = resolved.config.model.options
    named = {key.split(".")[1] for key in given if key.startswith("model.")} & options.keys()
    known = {*(f"model.{name}" for name in named), *(f"data.{name}" for name in PREPROCESSING)}
    if others := [key for key in given if not any(key == name or key.startswith(f"{name}.") for name in known)]:
        raise FerError(
            f"{others[0]} is for a training: an import takes options of the model and preprocessing only"
        )
    return {name: options[name] for name in sorted(named)}


def _import_backbone(spec: ModelSpec, source: Path, target: Path) -> Path:
    if spec.backbone is None:
        raise FerError(f"{spec.name} does not accept backbone weights: import a whole model")
    if not source.is_file():
        raise FerError(f"{source} is not a file: name a file of backbone weights")
    state = read_backbone(spec, source)
    origin = Imported(sha256=sha256(source))
    header = PartHeader(format=FORMAT, hook_api=HOOK_API, part="backbone", model=spec.name, imported=origin)
    save_weights(target, {name: tensor.clone() for name, tensor in state.items()}, header)
    logger.info(f"backbone {spec.name}, {len(state)} tensors from {source}")
    logger.info(f"written  {target}: train from it with -o model.backbone_weights={target}")
    return target


def _given_order(classes: tuple[str, ...], number: int | None) -> ClassOrder:
    """The order of `--classes`; `number` is how many classes the file has, None where that is not known."""
    if len(set(classes)) != len(classes) or not all(classes):
        raise FerError(f"--classes {','.join(classes)} has a repeated or empty class name: give each class once")
    if number is not None and len(classes) != number:
        raise FerError(f"the file has {number} classes, but --classes has {len(classes)}: give each of the file's")
    return ClassOrder(dataset="", classes=classes, source="--classes")


def _authors_order(spec: ModelSpec, data: DatasetSpec, number: int | None) -> ClassOrder:
    """The order documented by the model's authors for a dataset; never a guess."""
    known = [order for order in spec.class_orders if order.dataset == bare(data.name)]
    fitting = [order for order in known if number in (None, len(order.classes))]
    if len(fitting) == 1:
        return fitting[0]
    todo = "give --classes a,b,... in the file's order"
    has = "its classes" if number is None else f"its {number} classes"
    if data is NO_DATASET:
        raise FerError(
            f"the order of {has} is unknown, since a weight file does not record it: {todo}, or the dataset "
            "it was trained on with --dataset NAME"
        )
    if not known:
        raise FerError(
            f"the order of {has} is unknown, since the authors of {spec.name} state none for {data.name}: {todo}"
        )
    numbers = " or ".join(str(len(order.classes)) for order in known)
    found = "says no number" if number is None else f"has {number}"
    raise FerError(f"the authors' order for {data.name} has {numbers} classes, but the file {found}: {todo}")


def _check_target(path: Path) -> Path:
    if path.suffix != SUFFIX:
        raise FerError(f"--out {path} does not end in {SUFFIX}, the only format that is written: rename it")
    if path.exists():
        raise FerError(f"{path} exists and is not overwritten: choose another --out, or remove it first")
    if not path.absolute().parent.is_dir():
        raise FerError(
            f"{path.parent} is not a folder, so {path.name} cannot be written: create it, or correct --out"
        )
    return path

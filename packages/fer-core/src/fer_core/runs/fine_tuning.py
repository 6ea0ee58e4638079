"""The configuration of a training that starts from trained weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fer_core import registry
from fer_core.config import Resolved, resolve_config
from fer_core.config.schema import plain
from fer_core.errors import FerError, one_line
from fer_core.files import sha256
from fer_core.runs.resolve import find_weights, resolve_weights
from fer_core.weights.checkpoint import read_model_header

if TYPE_CHECKING:
    from pathlib import Path

    from fer_core.config import Config
    from fer_core.config.yaml_text import Tree
    from fer_core.types import DatasetSpec, ModelSpec


def resolve_training(model: ModelSpec, dataset: DatasetSpec, **layers: Any) -> Resolved:
    """The configuration of a training, as `resolve_config` resolves it.

    Where it starts from trained weights, their options of the model and their preprocessing are a layer above the
    recipe, and the sha256 of their file becomes part of it.

    Args:
        model: Spec of the model.
        dataset: Spec of the dataset.
        **layers: Of `resolve_config`.

    Raises:
        FerError: As `resolve_config`, or the weights are unusable, another model's, or not those of
            `model.weights_sha256`.
    """
    resolved = resolve_config(model, dataset, **layers)
    section = resolved.config.model
    if section.weights is None:
        if section.weights_sha256 is not None:
            raise FerError("model.weights_sha256 is given without model.weights: give both, or leave it out")
        return resolved
    if section.backbones:
        raise FerError("model.weights and model.backbone_weights exclude each other: leave one of them out")
    path, layer = resolve_weights(section.weights).path, one_line(f"weights {section.weights}")
    resolved = resolve_config(model, dataset, **layers, weights=(layer, _values(path, model)))
    section = resolved.config.model
    pinned = section.model_copy(update={"weights_sha256": _checked_sum(path, section.weights_sha256)})
    origin = {**resolved.origin}
    if section.weights_sha256 is None:
        origin["model.weights_sha256"] = layer
    return Resolved(resolved.config.model_copy(update={"model": pinned}), origin)


def starting_weights(config: Config) -> Path:
    """The weight file that a training starts from; which run it was chosen from is logged.

    Raises:
        FerError: It is not there, or not the one that the configuration was resolved with.
    """
    assert config.model.weights is not None
    path = find_weights(config.model.weights)
    _checked_sum(path, config.model.weights_sha256)
    return path


def _values(path: Path, model: ModelSpec) -> Tree:
    """What holds for weights: the options of their model, and how images reach it."""
    header = read_model_header(path)
    theirs = registry.find("models", header.model_name)
    if theirs is not model:
        raise FerError(
            f"{path} holds weights of {theirs.name}, not of {model.name}: train {theirs.name}, or name weights of "
            f"{model.name}"
        )
    contract = header.preprocessing
    return {
        "model": dict(header.model.options),
        "data": {
            "input_size": contract.input_size,
            "mean": list(contract.mean),
            "std": list(contract.std),
            "color": contract.color,
            "eval_transforms": plain(list(contract.eval_transforms)),
        },
    }


def _checked_sum(path: Path, expected: str | None) -> str:
    found = sha256(path)
    if expected is not None and expected != found:
        raise FerError(
            f"{path} has the sha256 {found[:12]}..., but model.weights_sha256 is {expected[:12]}...: it was "
            "altered or is another file; restore it, or set model.weights_sha256=null"
        )
    return found

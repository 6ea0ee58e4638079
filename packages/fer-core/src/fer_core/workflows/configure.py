"""From the arguments of a command to the configuration of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_core import registry
from fer_core.config import Resolved, describe
from fer_core.data.union import find_dataset
from fer_core.errors import FerError

if TYPE_CHECKING:
    from fer_core.types import DatasetSpec, ModelSpec

__all__ = ["describe", "resolve_run"]


def resolve_run(
    model: str,
    dataset: str,
    *,
    data: str | Path | None = None,
    device: str | None = None,
    weights: str | Path | None = None,
    seed: int | None = None,
    config: Sequence[str | Path] = (),
    overrides: Sequence[str] = (),
    arguments: Mapping[str, Any] | None = None,
) -> Resolved:
    """The configuration of a run and the layer that each value came from.

    Args:
        model: Its name.
        dataset: Its name.
        data: The dataset's folder.
        device: Name of a device; None for the configuration's.
        weights: What the training starts from.
        seed: Of the run.
        config: YAML files, later ones win.
        overrides: `a.b=value`, as the command line has them.
        arguments: Sections of a configuration, as a Python call has them.

    Raises:
        FerError: Any mistake in it, an unknown component or option included.
    """
    specs = _find(model, dataset)
    from fer_core.runs.fine_tuning import resolve_training

    resolved = resolve_training(
        *specs,
        files=[Path(file) for file in config],
        overrides=overrides,
        arguments=arguments,
        flags={
            "model.weights": None if weights is None else str(weights),
            "data.root": None if data is None else str(data),
            "train.seed": seed,
            "run.device": device,
        },
    )
    from fer_core.checks import check_components
    from fer_core.data.open import check_dataset_options

    check_components(resolved.config, resolved.origin)
    check_dataset_options(resolved.config.data.name, resolved.config.data.options, resolved.origin)
    return resolved


def _find(model: str, dataset: str) -> tuple[ModelSpec, DatasetSpec]:
    """Both specs; errors in the two names are reported together, and before torch is loaded."""
    models, datasets = set(registry.names("models")), set(registry.names("datasets"))
    if model in datasets and dataset in models:
        raise FerError(
            f"{model} is a dataset and {dataset} a model: write fer-run train {dataset} {model}, the model first"
        )
    problems: list[str] = []
    specs: list[Any] = []
    for find, name in ((_find_model, model), (find_dataset, dataset)):
        try:
            specs.append(find(name))
        except FerError as error:
            problems.append(str(error))
    if problems:
        raise FerError("; ".join(problems))
    return specs[0], specs[1]


def _find_model(name: str) -> ModelSpec:
    spec: ModelSpec = registry.find("models", name)
    return spec

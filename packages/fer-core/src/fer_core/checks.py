"""Checks the components of a configuration before data are read, which can take hours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fer_core.components import Origin, check, find_value
from fer_core.data.protocols import read_protocol
from fer_core.data.transforms import build_pipeline
from fer_core.preprocessing import Preprocessing

if TYPE_CHECKING:
    from fer_core.config import CallbackItem, Component, Config


def check_components(config: Config, origin: Origin | None = None) -> None:
    """Check that every component but the dataset exists and accepts its options, nested ones included.

    Args:
        config: The configuration.
        origin: Where its values came from, for messages.

    Raises:
        FerError: The first component that does not.
    """
    data = config.data
    chosen: list[tuple[str, Component | CallbackItem]] = [
        ("models", config.model),
        ("losses", config.loss),
        ("optimizers", config.optimizer),
        ("schedulers", config.scheduler),
        ("samplers", data.sampler),
        ("trainers", config.train.trainer),
        *(("callbacks", callback) for callback in config.callbacks),
    ]
    for kind, component in chosen:
        check(kind, component.name, component.options, origin=origin)
    if config.run.device != "auto":
        find_value("devices", config.run.device, "run.device", origin)
    if data.alignment is not None and data.alignment.template is not None:
        find_value("templates", data.alignment.template, "data.alignment.template", origin)
    metric = config.train.metric
    find_value("metrics", metric.partition(".")[2] or metric, "train.metric", origin)
    for name in config.metrics:
        find_value("metrics", name, "metrics", origin)
    read_protocol(data.split)
    preprocessing = Preprocessing.from_config(data)
    build_pipeline(preprocessing, data.train_transforms, "data.train_transforms", origin)
    build_pipeline(preprocessing, data.eval_transforms, "data.eval_transforms", origin)

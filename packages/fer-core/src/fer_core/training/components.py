"""What a configuration names, checked before data are read: reading them can take hours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fer_core import registry
from fer_core.config import check_options
from fer_core.data.transforms import build_pipeline
from fer_core.preprocessing import Preprocessing
from fer_core.training.start import check_backbones

if TYPE_CHECKING:
    from fer_core.config import Config

SECTIONS = {"loss": "losses", "optimizer": "optimizers", "scheduler": "schedulers"}
FILLED_IN = {"info", "params", "optimizer", "total", "per_epoch", "labels", "seed"}
"""Parameters of their factories that are no options."""


def check_components(config: Config) -> None:
    """Model, loss, optimizer, schedule, sampler, transforms and callbacks exist and take their options.

    Raises:
        FerError: The first that does not.
    """
    model = registry.factory("models", config.model.name)
    check_options("model", config.model.name, model, config.model.options, FILLED_IN)
    check_backbones(config.model.name, config.model.backbones)
    named = [(section, kind, getattr(config, section)) for section, kind in SECTIONS.items()]
    named += [("data.sampler", "samplers", config.data.sampler)]
    named += [("callbacks", "callbacks", callback) for callback in config.callbacks]
    for section, kind, component in named:
        check_options(section, component.name, registry.find(kind, component.name), component.options, FILLED_IN)
    registry.find("trainers", config.train.trainer)
    preprocessing = Preprocessing.from_config(config.data)
    for transforms in (config.data.train_transforms, config.data.eval_transforms):
        build_pipeline(preprocessing, transforms)

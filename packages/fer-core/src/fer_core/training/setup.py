"""Building everything that a trainer needs from a resolved configuration."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from fer_core import distributed
from fer_core.components import build
from fer_core.config import config_hash, dump_config
from fer_core.data.prepare import make_loader
from fer_core.data.random import derive_seed
from fer_core.data.targets import digest
from fer_core.engine import Engine
from fer_core.engine.recompute import recompute_blocks
from fer_core.errors import FerError
from fer_core.inference.fuse import LiveForm
from fer_core.metrics.selection import check_selection
from fer_core.nn.freeze import freeze
from fer_core.returned import check_first_output
from fer_core.runs.fine_tuning import starting_weights
from fer_core.runs.state import DataIdentity, Identity
from fer_core.runs.versions import decisive_versions
from fer_core.training.soft_targets import read_soft_targets
from fer_core.training.task import Task
from fer_core.types import EVALUATED, TaskInfo
from fer_core.weights.backbone import load_backbones
from fer_core.weights.origin import make_header
from fer_core.weights.transfer import carry_over

if TYPE_CHECKING:
    from fer_core.config import Config
    from fer_core.data.loader import Loader
    from fer_core.data.prepare import PreparedData
    from fer_core.losses import Loss
    from fer_core.provenance import Component, Start
    from fer_core.training.callbacks import Callback
    from fer_core.types import Role
    from fer_core.weights.header import Header

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Setup:
    """What a trainer is built from.

    Attributes:
        config: The configuration.
        data: Opened and divided.
        info: What model and loss know of the task.
        engine: Where it runs.
        task: Model and loss, on the device.
        form: Of the model, which is what validation measures.
        train_loader: Batches of the training part.
        loaders: Batches of the parts that are evaluated while training.
        callbacks: By number and name.
        epochs: Length in epochs, the last of which may be a part.
        total_steps: Length in optimizer steps.
        header: Of the weights, without their selection.
        identity: What a state must agree with to be resumed.
        start: What the weights are before the first step.
        carried: Names of the model's tensors that come from trained weights; none for a run that is resumed.
    """

    config: Config
    data: PreparedData
    info: TaskInfo
    engine: Engine
    task: Task
    form: LiveForm
    train_loader: Loader
    loaders: dict[Role, Loader]
    callbacks: dict[str, Callback]
    epochs: int
    total_steps: int
    header: Header
    identity: Identity
    start: Start
    carried: tuple[str, ...] = ()


def build_model(config: Config, info: TaskInfo, *number: int) -> torch.nn.Module:
    """The configured model, with weights drawn from the run's seed, and from the `number` of a further model."""
    torch.manual_seed(derive_seed(config.train.seed, 0, *number))
    model: torch.nn.Module = build("models", config.model.name, config.model.options, info)
    return model


def build_setup(
    config: Config,
    data: PreparedData,
    engine: Engine,
    start: Start | None = None,
    components: Sequence[Component] = (),
) -> Setup:
    """Build every part that the configuration names.

    Args:
        config: The configuration.
        data: What `prepare_data` gave for it.
        engine: Where it runs.
        start: What a run that is resumed started from; its backbone files are not read again. None: a new run.
        components: What the run is made of, for its records.

    Raises:
        FerError: A part cannot be built.
    """
    data = replace(data, soft=read_soft_targets(config.data.soft_targets, data.dataset, data.split.train))
    info = TaskInfo(
        classes=data.dataset.classes,
        class_counts=tuple(data.counts("train").values()),
        input_size=config.data.input_size,
        batch_size=config.data.batch_size,
        targets={name: target.classes for name, target in data.targets.items()},
    )
    if config.train.select != "last":
        check_selection(config.train.metric, config.metrics, info.targets)
    model = build_model(config, info)
    carried: tuple[str, ...] = ()
    if start is None:
        start, carried = _begin(model, config, info)
    size, heads = config.data.input_size, bool(info.targets)
    form = LiveForm(model, config.model.name, size, engine, heads=heads)
    _freeze(model, config)
    loss: Loss = build("losses", config.loss.name, config.loss.options, info)
    _check_soft_targets(loss, config)
    task = Task(model, loss)
    if not config.train.compile:  # a hook would be compiled
        check_first_output(model, info)
    if config.train.graph:
        _check_graph(config, engine)
    engine.prepare(model)
    if config.train.recompute:
        _recompute(model, config)
    engine.prepare(loss)
    train_loader = make_loader(data, data.split.train, config, engine.device, training=True)
    per_epoch = len(train_loader)
    total_steps = config.train.steps or config.train.epochs * per_epoch
    epochs = -(-total_steps // per_epoch)
    return Setup(
        config=config,
        data=data,
        info=info,
        engine=engine,
        task=task,
        form=form,
        train_loader=train_loader,
        loaders={
            role: make_loader(data, data.rows(role), config, engine.device, training=False)
            for role in _watched(config, data)
        },
        callbacks={
            f"{number}:{entry.name}": build("callbacks", entry.name, entry.options)
            for number, entry in enumerate(config.callbacks)
        },
        epochs=epochs,
        total_steps=total_steps,
        header=make_header(config, data, start, components),
        identity=Identity(
            config=dump_config(config),
            config_sha256=config_hash(config),
            data=DataIdentity(
                fingerprint=data.fingerprint,
                split=data.split.digest,
                targets=digest(data.targets),
                soft_targets=None if data.soft is None else data.soft.digest,
                alignment=data.dataset.alignment,
            ),
            versions=decisive_versions(components),
        ),
        start=start,
        carried=carried,
    )


def _begin(model: torch.nn.Module, config: Config, info: TaskInfo) -> tuple[Start, tuple[str, ...]]:
    """Fill a model with what a new run starts from; the record of it, and what comes from trained weights."""
    chosen = config.model
    if chosen.weights is None:
        return load_backbones(model, chosen.name, chosen.backbones), ()
    found = carry_over(model, chosen.name, chosen.options, info, starting_weights(config))
    return found.start, found.carried


def _freeze(model: torch.nn.Module, config: Config) -> None:
    if names := freeze(model, config.model.freeze):
        still = sum(model.get_parameter(name).numel() for name in names)
        total = sum(parameter.numel() for parameter in model.parameters())
        logger.info(f"frozen   {still:,} of {total:,} parameters, in {len(names)} tensors")


def _check_soft_targets(loss: Loss, config: Config) -> None:
    name, given = config.loss.name, bool(config.data.soft_targets)
    if given and not loss.soft_targets:
        raise FerError(
            f"the loss {name} does not learn from data.soft_targets: use loss=distillation, with loss.base={name}"
        )
    if loss.soft_targets and not given:
        raise FerError(f"the loss {name} needs soft targets: name tables of predictions in data.soft_targets")


def _check_graph(config: Config, engine: Engine) -> None:
    """Raise FerError where passes cannot be recorded."""
    if not engine.device.records:
        raise FerError(f"train.graph is asked for on {engine.device}, which cannot record work: leave it out")
    if distributed.size() > 1:
        raise FerError("train.graph cannot record how several processes exchange gradients: leave it out")
    if config.train.compile in ("reduce-overhead", "max-autotune"):
        raise FerError(
            f"train.graph and train.compile={config.train.compile} both record CUDA graphs: leave out "
            "train.graph, or compile with default or max-autotune-no-cudagraphs"
        )


def _recompute(model: torch.nn.Module, config: Config) -> None:
    if config.train.compile:
        raise FerError(
            "train.recompute and train.compile exclude each other, since activation checkpointing cannot be "
            "compiled: leave one of them out"
        )
    recompute_blocks(model)


def _watched(config: Config, data: PreparedData) -> tuple[Role, ...]:
    """The roles evaluated while training: the validation part if there is one, the test part only on request."""
    role = config.train.select.removeprefix("best:")
    if any(name == role and len(data.rows(name)) == 0 for name in EVALUATED):
        raise FerError(f"train.select is best:{role}, but the split has no {role} part: use train.select=last")
    return tuple(name for name in EVALUATED if name == role or (name == "val" and len(data.split.val)))

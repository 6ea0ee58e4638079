"""From a resolved configuration to everything a trainer needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from fer_core import distributed
from fer_core.cache import cache_root
from fer_core.components import build
from fer_core.config import config_hash, dump_config
from fer_core.data.classes import describe_classes
from fer_core.data.loader import Loader
from fer_core.data.open import open_dataset
from fer_core.data.packs.open import open_pack
from fer_core.data.random import derive_seed
from fer_core.data.splits import make_split
from fer_core.data.transforms import build_pipeline
from fer_core.data.union import UnitedDataset
from fer_core.engine import Engine
from fer_core.engine.recompute import recompute_blocks
from fer_core.errors import FerError
from fer_core.preprocessing import Preprocessing
from fer_core.runs.state import DataIdentity, Identity
from fer_core.runs.versions import decisive_versions
from fer_core.training.task import Task
from fer_core.types import EVALUATED, TaskInfo
from fer_core.weights.backbone import load_backbones
from fer_core.weights.origin import make_header

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

    from fer_core.config import Config
    from fer_core.data.packs.pack import Pack
    from fer_core.data.splits import Split
    from fer_core.losses import Loss
    from fer_core.provenance import Component, Start
    from fer_core.training.callbacks import Callback
    from fer_core.types import DatasetSpec, FERDataset, Role
    from fer_core.weights.header import Header

Say = Callable[[str], None]


@dataclass(frozen=True)
class Data:
    """An opened dataset, divided and ready to be read."""

    spec: DatasetSpec
    dataset: FERDataset
    split: Split
    fingerprint: str
    pack: Pack

    def rows(self, role: Role) -> NDArray[np.int64]:
        """Row numbers of the role train, val or test."""
        rows: NDArray[np.int64] = getattr(self.split, role)
        return rows

    def counts(self, role: Role) -> dict[str, int]:
        """Samples of each class."""
        labels = self.dataset.table["label"].to_numpy()[self.rows(role)]
        numbers = np.bincount(labels, minlength=len(self.dataset.classes))
        return {name: int(number) for name, number in zip(self.dataset.classes, numbers, strict=True)}


@dataclass(frozen=True)
class Setup:
    """What a trainer is built from."""

    config: Config
    data: Data
    info: TaskInfo
    engine: Engine
    task: Task
    wrapped: torch.nn.Module
    loss: Loss
    optimizer: Optimizer
    scheduler: LRScheduler
    train_loader: Loader
    loaders: dict[Role, Loader]
    watched: tuple[Role, ...]
    callbacks: dict[str, Callback]
    epochs: int
    total_steps: int
    header: Header
    identity: Identity
    start: Start
    say: Say


def open_data(config: Config, say: Say) -> Data:
    """Open the configured dataset, divide it and read its pixels (once; then from a pack).

    Raises:
        FerError: Anything wrong with the data, in one line.
    """
    section = config.data
    root = None if section.root is None else Path(section.root)
    spec, dataset = open_dataset(section.name, root, section.options, section.classes)
    if len(dataset.classes) < 2:
        raise FerError(
            f"{spec.name} has only the class {dataset.classes[0]}, so there is nothing to tell apart: add faces "
            "of another class, or look at what --data and data.classes leave out"
        )
    if dataset.layout:
        say(f"layout   {dataset.layout}")
    for line in describe_classes(dataset):
        say(f"classes  {line}")
    split = make_split(
        dataset,
        spec.splits,
        section.split,
        holdout=section.holdout,
        seed=section.split_seed,
        select=config.train.select,
    )
    if split.protocol != section.split:
        say(f"split {section.split} is carried out as {split.protocol}: {spec.name} has no split for every role")
    if isinstance(dataset, UnitedDataset):
        shares = {role: dataset.shares(getattr(split, role)) for role in ("train", "val", "test")}
        for role, counts in shares.items():
            say(f"{role:<8} {', '.join(f'{count:,} of {name}' for name, count in counts.items())}")
        if section.alignment is None and len(set(dataset.alignments.values())) > 1:
            cuts = ", ".join(f"{name}: {cut or 'unknown'}" for name, cut in dataset.alignments.items())
            say(f"warning  faces are not all cut in the same way ({cuts}), so the weights record no alignment")
    return Data(spec, dataset, split, dataset.fingerprint(), open_pack(dataset, cache_root(), progress=True))


def make_loader(data: Data, rows: NDArray[np.int64], config: Config, engine: Engine, *, training: bool) -> Loader:
    """A loader over `rows`, with the training transforms and sampler or the evaluation ones."""
    section, table = config.data, data.dataset.table
    preprocessing = Preprocessing.from_config(section)
    labels = table["label"].to_numpy()
    sampler = None
    if training:
        chosen, seed = section.sampler, derive_seed(config.train.seed, 1)
        sampler = build("samplers", chosen.name, chosen.options, labels[rows], seed)
    columns = [f"votes_{name}" for name in data.dataset.classes]
    votes = table[columns].to_numpy(np.float64) if set(columns) <= set(table.columns) else None
    return Loader(
        data.pack,
        rows,
        labels,
        pipeline=build_pipeline(preprocessing, section.train_transforms if training else None),
        batch_size=section.batch_size if training else section.eval_batch_size or section.batch_size,
        sampler=sampler,
        seed=derive_seed(config.train.seed, 2),
        workers=section.workers,
        device=engine.device,
        votes=votes,
        drop_last=section.drop_last,
        draw_labels=training and data.dataset.draw_labels,
        process=(distributed.rank(), distributed.size()),
        parts=config.train.accumulate if training else 1,
    )


def build_model(config: Config, info: TaskInfo) -> torch.nn.Module:
    """The configured model, with weights drawn from the run's seed."""
    torch.manual_seed(derive_seed(config.train.seed, 0))
    model: torch.nn.Module = build("models", config.model.name, config.model.options, info)
    return model


def build_setup(
    config: Config,
    data: Data,
    engine: Engine,
    say: Say,
    start: Start | None = None,
    components: Sequence[Component] = (),
) -> Setup:
    """Make every part that the configuration names.

    Args:
        config: The configuration.
        data: What `open_data` gave for it.
        engine: Where it runs.
        say: Called with remarks.
        start: What a run that is resumed started from; its backbone files are not read again. None: a new run.
        components: What the run is made of, for its records.

    Raises:
        FerError: A part cannot be made.
    """
    info = TaskInfo(
        classes=data.dataset.classes,
        class_counts=tuple(data.counts("train").values()),
        input_size=config.data.input_size,
        batch_size=config.data.batch_size,
    )
    model = build_model(config, info)
    if start is None:
        start = load_backbones(model, config.model.name, config.model.backbones, say)
    loss: Loss = build("losses", config.loss.name, config.loss.options, info)
    task = Task(model, loss)
    engine.prepare(model)
    if config.train.recompute:
        _recompute(model, config)
    loss.to(engine.device)
    wrapped = engine.wrap(task, sync_batch_norm=config.train.sync_batch_norm)
    parameters = [parameter for parameter in task.parameters() if parameter.requires_grad]
    optimizer: Optimizer = build("optimizers", config.optimizer.name, config.optimizer.options, parameters)
    train_loader = make_loader(data, data.split.train, config, engine, training=True)
    per_epoch = len(train_loader)
    total_steps = config.train.steps or config.train.epochs * per_epoch
    epochs = -(-total_steps // per_epoch)
    watched = _watched(config, data)
    return Setup(
        config=config,
        data=data,
        info=info,
        engine=engine,
        task=task,
        wrapped=wrapped,
        loss=loss,
        optimizer=optimizer,
        scheduler=_scheduler(config, optimizer, epochs, total_steps, per_epoch),
        train_loader=train_loader,
        loaders={role: make_loader(data, data.rows(role), config, engine, training=False) for role in watched},
        watched=watched,
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
                fingerprint=data.fingerprint, split=data.split.digest, alignment=data.dataset.alignment
            ),
            versions=decisive_versions(components),
        ),
        start=start,
        say=say,
    )


def _recompute(model: torch.nn.Module, config: Config) -> None:
    if config.train.compile:
        raise FerError(
            "train.recompute and train.compile exclude each other, since what is computed twice cannot be "
            "compiled: leave one of them out"
        )
    recompute_blocks(model)


def _scheduler(config: Config, optimizer: Optimizer, epochs: int, steps: int, per_epoch: int) -> LRScheduler:
    chosen = config.scheduler
    units = {"epoch": (epochs, 1), "step": (steps, per_epoch)}[chosen.per]
    scheduler: LRScheduler = build("schedulers", chosen.name, chosen.options, optimizer, *units)
    return scheduler


def _watched(config: Config, data: Data) -> tuple[Role, ...]:
    """The roles evaluated while training: the validation part where there is one, the test part only if asked."""
    role = config.train.select.removeprefix("best:")
    if any(name == role and len(data.rows(name)) == 0 for name in EVALUATED):
        raise FerError(f"train.select is best:{role}, but the split has no {role} part: use train.select=last")
    return tuple(name for name in EVALUATED if name == role or (name == "val" and len(data.split.val)))

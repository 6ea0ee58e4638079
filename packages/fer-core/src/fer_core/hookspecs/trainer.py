"""Hooks of training: trainers, optimizers, schedulers, samplers and callbacks."""
# mypy: disable-error-code="empty-body"
# A hookspec is a signature and its docstring; it has no body to check.

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fer_core.hookspecs import hookspec

if TYPE_CHECKING:
    from fer_core.types import Ref


@hookspec
def fer_trainers() -> Mapping[str, Ref]:
    """Trainers; `standard` is the core's own.

    Returns:
        Name -> subclass of `fer_core.plugin.Trainer`, or its import reference.

    Factory:
        `(setup, **options) -> Trainer`. A constructor hands `setup` to that of `Trainer`, adds modules, and has
        the options that stand beside `train.trainer.name`. What a step computes, which model is saved, the
        optimizers, further loaders and further state are methods of `Trainer` to override.

    Called:
        The hook once in a process, when plugins are loaded. The factory once for each run.
    """


@hookspec
def fer_optimizers() -> Mapping[str, Ref]:
    """Optimizers for `optimizer.name`.

    Returns:
        Name -> factory, or its import reference.

    Factory:
        `(params, **options) -> torch.optim.Optimizer`. `params` are the trainable parameters of model and loss.
        `step(closure)` must honour the closure, which runs forward and backward: SGD calls it once, SAM twice.

    Called:
        The hook once in a process, when plugins are loaded. The factory once for each run, with the options
        that stand beside `optimizer.name`.
    """


@hookspec
def fer_schedulers() -> Mapping[str, Ref]:
    """Learning-rate schedules for `scheduler.name`.

    Returns:
        Name -> factory, or its import reference.

    Factory:
        `(optimizer, *, total: int, per_epoch: int, **options) -> LRScheduler`, where `total` is how often the
        schedule will be stepped in the run and `per_epoch` how often in an epoch (1 where `scheduler.per` is
        `epoch`).

    Called:
        The hook once in a process, when plugins are loaded. The factory once for each run, after the
        optimizer's.
    """


@hookspec
def fer_samplers() -> Mapping[str, Ref]:
    """Orders of the training samples for `data.sampler`.

    Returns:
        Name -> factory, or its import reference.

    Factory:
        `(labels: NDArray[int64], seed: int, **options) -> sampler`, whose `order(epoch)` returns int64 positions
        into `labels`. The order depends on the seed and the epoch only, so that a run can be resumed.

    Called:
        The hook once in a process, when plugins are loaded. The factory once for each run.
    """


@hookspec
def fer_callbacks() -> Mapping[str, Ref]:
    """Callbacks for the list `callbacks`: progress, loggers, early stopping.

    Returns:
        Name -> factory, or its import reference.

    Factory:
        `(**options) -> Callback`.

    Called:
        The hook once in a process, when plugins are loaded. The factory once for each run that lists the
        callback.
    """

"""Learning-rate schedules by name: `(optimizer, *, total, per_epoch, **options) -> LRScheduler`.

The caller decides whether a unit is an epoch or an optimizer step, and calls `step()` after each unit: `total`
is the number of units of the whole training, `per_epoch` that of one epoch (1 where the unit is the epoch).
Options are in epochs whatever the unit, so a recipe means the same either way.

Build the schedule before loading the optimizer's state: it takes the learning rate it finds for the peak.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from fer_core.errors import FerError
from fer_core.records import Fraction, NotNegative, Positive
from fer_core.types import StateDict

Rule = Callable[[float, int], float]
"""(configured learning rate of a group, units done) -> learning rate of the next unit."""


class Schedule(LRScheduler):
    """A learning rate in closed form: it depends on the number of units done, not on how they were reached.

    Args:
        optimizer: Its groups' learning rates are the configured ones.
        rule: The closed form.
    """

    def __init__(self, optimizer: Optimizer, rule: Rule) -> None:
        self.rule = rule
        super().__init__(optimizer)

    def get_lr(self) -> list[float | Any]:
        """The learning rate of each group for the coming unit."""
        return [self.rule(float(base), self.last_epoch) for base in self.base_lrs]

    def state_dict(self) -> StateDict:
        """Plain values only: the rule comes from the configuration."""
        return {key: value for key, value in super().state_dict().items() if key != "rule"}


def constant(optimizer: Optimizer, *, total: int, per_epoch: int) -> Schedule:
    """The configured learning rate throughout.

    Args:
        optimizer: Optimizer to drive.
        total: Units of the whole training.
        per_epoch: Units of one epoch.
    """
    _check_units(total, per_epoch)
    return Schedule(optimizer, lambda base, done: base)


def cosine(
    optimizer: Optimizer,
    *,
    total: int,
    per_epoch: int,
    warmup: NotNegative = 0.0,
    warmup_fraction: Fraction = 0.0,
    warmup_lr: NotNegative | None = None,
    warmup_prefix: bool = True,
    min_lr: NotNegative = 0.0,
    descent: Positive | None = None,
    late: bool = False,
) -> Schedule:
    """Linear warm-up, then half a cosine down to `min_lr` (Loshchilov and Hutter 2017, arXiv:1608.03983).

    With t units done and W units of warm-up: warmup_lr + (lr - warmup_lr) * t / W before W, afterwards
    min_lr + (lr - min_lr) * (1 + cos(pi * s)) / 2, where s = (t - W) / (total - W).

    Args:
        optimizer: Optimizer to drive.
        total: Units of the whole training.
        per_epoch: Units of one epoch.
        warmup: Length of the warm-up in epochs; fractions are allowed.
        warmup_fraction: The same as a share of the whole training, below 1; give one of the two.
        warmup_lr: Learning rate of the first unit of the warm-up; by default lr / (W + 1), never 0.
        warmup_prefix: The cosine begins where the warm-up ends. False counts it from the beginning, s = t / total,
            so that the warm-up replaces its first part.
        min_lr: Learning rate at the end, not above lr.
        descent: Epochs from lr down to `min_lr`, after which it rises as slowly and falls again, the wave that
            torch's `CosineAnnealingLR` makes of a short `T_max`; by default the whole training.
        late: Every unit takes the rate of the unit before it, and the first two the same: what comes of a script
            that sets rate t after step t.

    Raises:
        FerError: `min_lr` or `warmup_lr` is above lr, or the warm-up has two lengths or leaves no cosine.
    """
    _check_units(total, per_epoch)
    peak = min(group["lr"] for group in optimizer.param_groups)
    for key, rate in (("min_lr", min_lr), ("warmup_lr", warmup_lr or 0.0)):
        if rate > peak:
            raise FerError(f"scheduler.{key} is {rate}, above optimizer.lr, which is {peak}: lower it")
    if warmup and warmup_fraction:
        raise FerError(
            "scheduler.warmup and scheduler.warmup_fraction are both given, but mean the same: keep one"
        )
    ramp = warmup * per_epoch + warmup_fraction * total
    if ramp >= total:
        raise FerError(
            f"The scheduler's warm-up fills all {total / per_epoch:g} epochs, leaving nothing for the cosine: "
            "shorten scheduler.warmup or train longer"
        )

    def rule(base: float, done: int) -> float:
        done = max(done - late, 0)
        if done < ramp:
            first = base / (ramp + 1) if warmup_lr is None else warmup_lr
            return first + (base - first) * done / ramp
        begin = ramp if warmup_prefix else 0.0
        past = min((done - begin) / (total - begin), 1.0)
        if descent is not None:
            past = (done - begin) / (descent * per_epoch)
        return min_lr + (base - min_lr) * (1 + math.cos(math.pi * past)) / 2

    return Schedule(optimizer, rule)


def step(optimizer: Optimizer, *, total: int, per_epoch: int, every: Positive, gamma: Positive = 0.1) -> Schedule:
    """The factor gamma^k on lr after k periods of `every` epochs.

    Args:
        optimizer: Optimizer to drive.
        total: Units of the whole training.
        per_epoch: Units of one epoch.
        every: Length of a period in epochs, at least one unit.
        gamma: Factor, above 0.

    Raises:
        FerError: `every` is shorter than a unit.
    """
    _check_units(total, per_epoch)
    period = round(every * per_epoch)
    if period < 1:
        raise FerError(
            f"scheduler.every is {every!r}, but this schedule moves once per {1 / per_epoch:g} epochs: "
            "give a longer period, or set scheduler.per=step"
        )
    return Schedule(optimizer, lambda base, done: base * gamma ** (done // period))


def exponential(optimizer: Optimizer, *, total: int, per_epoch: int, gamma: Positive) -> Schedule:
    """The factor gamma^e on lr after e epochs; between epochs smoothly where the unit is the step.

    Args:
        optimizer: Optimizer to drive.
        total: Units of the whole training.
        per_epoch: Units of one epoch.
        gamma: Factor of one epoch, above 0.
    """
    _check_units(total, per_epoch)
    return Schedule(optimizer, lambda base, done: base * gamma ** (done / per_epoch))


def _check_units(total: int, per_epoch: int) -> None:
    if total < 1 or per_epoch < 1:
        raise ValueError(f"a schedule needs at least one unit: total={total}, per_epoch={per_epoch}")

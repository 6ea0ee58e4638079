"""Non-finite losses: the run ends, or the step is skipped."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fer_core import distributed
from fer_core.errors import FerError
from fer_core.files import as_stored, write_text
from fer_core.makers import CORE
from fer_core.registry import maker
from fer_core.runs.folder import NONFINITE
from fer_core.runs.records import NonFinite

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from fer_core.engine import Device
    from fer_core.training.state import TrainingView
    from fer_core.types import Batch, Losses

BEHIND = 8
"""Passes after which an accelerator's loss is checked: by then it is known without waiting for the device."""


@dataclass(frozen=True)
class _Pass:
    """A pass whose loss is on its way to the host; `index` are the numbers of its samples, on the device."""

    step: int
    epoch: int
    loss: Callable[[], Tensor]
    index: Tensor


class LossGuard:
    """Watches the loss of every pass: the first non-finite one ends the run, or its step is skipped.

    Args:
        training: The training to watch.
        ids: Ids of the training samples.
        device: Where losses are. Unless it is the host, they are looked at some steps later.
    """

    def __init__(self, training: TrainingView, ids: Sequence[str], device: Device) -> None:
        self.training, self.ids, self.device = training, ids, device
        self.skips = training.config.train.on_nonfinite == "skip"
        self.behind = 0 if self.skips or device.on_host else BEHIND
        self.pending: deque[_Pass] = deque()

    def rejects(self, noted: Losses, batch: Batch) -> bool:
        """Whether to skip the update.

        Args:
            noted: Sums of the pass, of which `loss` is looked at.
            batch: The pass's faces.

        Raises:
            FerError: The loss, here or some steps ago, is not finite, and `train.on_nonfinite` is `stop`.
        """
        if self.skips:
            return distributed.any_of(not bool(noted["loss"].isfinite()))
        position, loss = self.training.position, self.device.fetch(noted["loss"] / noted["samples"])
        self.pending.append(_Pass(position.step, position.epoch, loss, batch["index"]))
        while len(self.pending) > self.behind:
            self._check(self.pending.popleft())
        return False

    def check_all(self) -> None:
        """Check pending losses before anything is saved. Raises FerError as `rejects`."""
        while self.pending:
            self._check(self.pending.popleft())

    def _computed_by(self) -> str:
        """Which components of plugins a loss comes from: one of them may be at fault."""
        config = self.training.config
        makers = [maker("losses", config.loss.name), maker("models", config.model.name)]
        others = [str(each) for each in makers if each.distribution != CORE]
        return f"; computed by {' and '.join(others)}" if others else ""

    def _check(self, seen: _Pass) -> None:
        value = float(seen.loss())
        if math.isfinite(value):
            return
        self.pending.clear()
        ids = tuple(as_stored(self.ids[sample]) for sample in seen.index.tolist())
        place = self.training.folder / NONFINITE
        found = NonFinite(step=seen.step, epoch=seen.epoch, loss=str(value), ids=ids)
        write_text(place, found.text())
        raise FerError(
            f"the loss is {value} at step {seen.step}, so training diverged: lower optimizer.lr, set "
            f"train.clip_norm, or skip such steps with train.on_nonfinite=skip (its {len(ids)} faces are listed "
            f"in {place}; what was saved before is intact{self._computed_by()})"
        )

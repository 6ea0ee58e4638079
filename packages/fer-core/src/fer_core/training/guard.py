"""Non-finite losses: the run ends, or the step is skipped."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from fer_core import distributed
from fer_core.errors import FerError
from fer_core.files import as_stored, write_text
from fer_core.makers import CORE
from fer_core.registry import maker
from fer_core.runs.folder import NONFINITE
from fer_core.runs.records import NonFinite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from fer_core.training.state import TrainingView
    from fer_core.types import Batch, Losses

BEHIND = 8
"""Steps after which an accelerator's loss is checked: by then it is known without waiting for the device."""


class LossGuard:
    """Watches the loss of every pass: the first non-finite one ends the run, or its step is skipped.

    Args:
        training: The training to watch.
        ids: Ids of the training samples.
        waits: Whether reading a loss waits for the device, so that it is looked at some steps later.
    """

    def __init__(self, training: TrainingView, ids: Sequence[str], *, waits: bool) -> None:
        self.training, self.ids = training, ids
        self.skips = training.config.train.on_nonfinite == "skip"
        self.behind = 0 if self.skips or not waits else BEHIND
        self.pending: deque[tuple[int, Tensor, Tensor]] = deque()

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
        self.pending.append((self.training.position.step, noted["loss"] / noted["samples"], batch["index"]))
        while len(self.pending) > self.behind:
            self._check(*self.pending.popleft())
        return False

    def check_all(self) -> None:
        """Check pending losses before anything is saved. Raises FerError as `rejects`."""
        while self.pending:
            self._check(*self.pending.popleft())

    def _computed_by(self) -> str:
        """Which components of plugins a loss comes from: one of them may be at fault."""
        config = self.training.config
        makers = [maker("losses", config.loss.name), maker("models", config.model.name)]
        others = [str(each) for each in makers if each.distribution != CORE]
        return f"; computed by {' and '.join(others)}" if others else ""

    def _check(self, step: int, loss: Tensor, index: Tensor) -> None:
        value = float(loss)
        if loss.isfinite():
            return
        self.pending.clear()
        ids = tuple(as_stored(self.ids[sample]) for sample in index.tolist())
        place = self.training.folder / NONFINITE
        found = NonFinite(step=step, epoch=self.training.position.epoch, loss=str(value), ids=ids)
        write_text(place, found.text())
        raise FerError(
            f"the loss is {value} at step {step}, so training diverged: lower optimizer.lr, set train.clip_norm, "
            f"or skip such steps with train.on_nonfinite=skip (its {len(ids)} faces are listed in {place}; "
            f"what was saved before is intact{self._computed_by()})"
        )

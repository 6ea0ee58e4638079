"""Model and loss as one module."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from torch import nn

from fer_core.makers import CORE, maker_of
from fer_core.returned import check_losses

if TYPE_CHECKING:
    from collections.abc import Callable

    from fer_core.losses import Loss
    from fer_core.types import Batch, Losses, Progress


class Task(nn.Module):
    """The module that is optimised: model and loss, since a loss may have parameters of its own (centres).

    Attributes:
        model: The model.
        loss: The loss.
        extra: What a trainer adds.
        training_step: What is computed of a batch; a trainer sets its own.
    """

    def __init__(self, model: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.model = model
        self.loss = loss
        self.extra = nn.ModuleDict()
        self.training_step: Callable[[Batch, Progress], Losses] = partial(loss, model)

    def forward(self, batch: Batch, progress: Progress) -> Losses:
        """The losses of one batch. Raises FerError where they are something else than a loss returns."""
        losses = self.training_step(batch, progress)
        check_losses(self._author(), losses, len(batch["label"]))
        return losses

    def _author(self) -> object:
        """Whose losses they are: a plugin's trainer's, where it computes them, or the loss's."""
        trainer = getattr(self.training_step, "__self__", None)
        maker = maker_of(trainer)
        return self.loss if maker is None or maker.distribution == CORE else trainer

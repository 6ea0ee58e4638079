"""Model and loss as one module."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from torch import nn

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
        """The losses of one batch."""
        return self.training_step(batch, progress)

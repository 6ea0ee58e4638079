"""Model and loss as one module."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from fer_core.losses import Loss
    from fer_core.types import Batch, Losses, Progress


class Task(nn.Module):
    """The module that is optimised: model and loss, since a loss may have parameters of its own (centres)."""

    def __init__(self, model: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.model = model
        self.loss = loss

    def forward(self, batch: Batch, progress: Progress) -> Losses:
        """The losses of one batch."""
        losses: Losses = self.loss(self.model, batch, progress)
        return losses

"""The contract of a loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from fer_core.types import Batch, Losses, Output, Progress

    Scan = Callable[[], Iterator[tuple[Batch, Output]]]
    """Runs the model lazily, in eval mode and without gradients, once more over the augmented training data."""


class Loss(nn.Module, ABC):
    """A loss calls the model itself, so that a method may call it as often as its paper does.

    Its parameters are optimised together with the model's, its buffers are saved in the run's state.
    Constructed as `Loss(info: TaskInfo, **options)`.
    """

    @abstractmethod
    def forward(self, model: nn.Module, batch: Batch, progress: Progress) -> Losses:
        """Run `model` on `batch["image"]`.

        Returns:
            `loss`, the scalar to minimise; any further scalar is logged as a term under its name; `logits`
            [N, C], where given, feed the training accuracy.
        """

    def after_epoch(self, scan: Scan, progress: Progress) -> None:  # most losses keep no state
        """Update the loss's buffers between epochs."""

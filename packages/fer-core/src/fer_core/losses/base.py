"""The contract of a loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from torch import nn

from fer_core.errors import FerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fer_core.types import Batch, Losses, Output, Progress

Scan: TypeAlias = "Callable[[], Iterator[tuple[Batch, Output]]]"
"""Runs the model lazily, in eval mode and without gradients, over the augmented training data again."""


class Loss(nn.Module):
    """The objective of a method. Constructed as `Loss(info: TaskInfo, **options)`.

    Most methods are a function of the model's output, and override `from_output`. A method that calls the model
    itself (twice, or on images that it changes) overrides `forward` instead.

    Its parameters are optimised together with the model's, its buffers are saved in the run's state. Of several
    processes the main one's buffers count; what each of them learns about its samples belongs in a `SampleBuffer`.

    Attributes:
        parameters_vary: Whether it is computed from all parameters in some steps, and not in others. Then several
            processes look in every step for those that have no gradient, and not only if the first step had some.
        soft_targets: Whether it learns from the `soft_target` of a batch.
    """

    parameters_vary: bool = False
    soft_targets: bool = False

    def forward(self, model: nn.Module, batch: Batch, progress: Progress) -> Losses:
        """The losses of `model` on `batch`, as `from_output` returns them; by default those of one call."""
        return self.from_output(model(batch["image"]), batch, progress)

    def from_output(self, output: Output, batch: Batch, progress: Progress) -> Losses:
        """The losses of one batch.

        Args:
            output: What the model returned for the batch's images.
            batch: The targets: `label` [N], `distribution` [N, K] where the dataset has votes, `target_NAME` where
                it has extra targets, `soft_target` [N, K] where the training has `data.soft_targets`, and `index`
                [N], the numbers of the samples among the `TaskInfo.samples` training samples.
            progress: How far training is. Its fields are numbers or 0-d tensors; arithmetic that serves both
                (`torch.where` and `clamp` in place of `if`) is compiled once for all epochs.

        Returns:
            `loss`, the scalar to minimise; any further scalar is logged as a term under its name; `logits`
            [N, C], where given, feed the training accuracy.

        Raises:
            FerError: The loss calls the model itself, or `output` lacks what it needs.
        """
        raise FerError(
            f"{type(self).__name__} has no from_output, since it calls the model itself: call "
            "loss(model, batch, progress)"
        )

    def after_epoch(self, scan: Scan, progress: Progress) -> None:
        """Update the loss's buffers between epochs; most losses have nothing to update."""

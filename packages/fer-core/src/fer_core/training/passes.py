"""The forward and backward passes of a step: as they are, or recorded once and replayed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from fer_core.boundary import describe
from fer_core.errors import FerError
from fer_core.training.memory import out_of_memory

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from fer_core.engine import Device
    from fer_core.training.trainer import Trainer
    from fer_core.types import Batch, Losses, Progress

WARM_UP = 3
"""Passes before one is recorded, in which libraries choose their algorithms and reserve memory."""


class Passes:
    """Forward and backward passes of the parts of a batch, which leave gradients in the parameters.

    With `train.graph` each part is recorded, for whole batches: a replay is one launch, whatever the network. The
    optimizer's own work stays outside, so SAM replays one recording twice, and every optimizer can be used.
    """

    def __init__(self, trainer: Trainer) -> None:
        self.trainer, self.engine = trainer, trainer.setup.engine
        self._records = trainer.setup.config.train.graph
        self._done, self._replays = 0, False
        self._recorded: dict[int, Recorded] = {}

    def __call__(self, number: int, parts: int, batch: Batch, progress: Progress, *, whole: bool) -> Losses:
        """The losses of a part of a batch.

        Args:
            number: Of the part, from 0; later ones add to the gradients.
            parts: How many there are.
            batch: The part.
            progress: How far training is; tensors where passes are recorded or compiled.
            whole: Whether the batch has as many images as most.
        """

        def work(part: Batch) -> Losses:
            with self.engine.accumulating(self.trainer.wrapped, last=number == parts - 1):
                with self.engine.autocast(), self.engine.compiled(whole):
                    losses: Losses = self.trainer.wrapped(part, progress)
                self.engine.backward(losses["loss"] / parts)
            return losses

        if number == 0:
            self._done += self._records and whole
            if self._recorded and not self._recorded[0].valid():
                self._recorded.clear()
            self._replays = self._records and whole and self._done > WARM_UP and self._fits(0, batch)
        # Later parts add to the gradients of the first, in its memory.
        if not (self._replays and self._fits(number, batch)):
            return work(batch)
        if number not in self._recorded:
            self._recorded[number] = Recorded(self.engine.device, self.trainer.setup.task, work, batch)
        return self._recorded[number](batch)

    def _fits(self, number: int, batch: Batch) -> bool:
        return number not in self._recorded or self._recorded[number].fits(batch)


class Recorded:
    """A pass that a device has recorded. It reads and writes the same memory every time.

    Args:
        device: Records it.
        task: Model and loss.
        work: The pass.
        batch: One for its shapes.

    Raises:
        FerError: The pass asks for values, which are not there while it is recorded, or replaces buffers.
    """

    def __init__(self, device: Device, task: nn.Module, work: Callable[[Batch], Losses], batch: Batch) -> None:
        self._batch = {name: column.clone() for name, column in batch.items()}
        self._buffers = [
            (name, module._buffers, key, buffer)
            for name, module in task.named_modules()
            for key, buffer in module._buffers.items()
        ]

        def values() -> Losses:
            return {name: value.detach() for name, value in work(self._batch).items()}

        try:
            self._replay, self._losses = device.record(values)
        except RuntimeError as error:
            if out_of_memory(error):
                raise
            raise FerError(
                f"train.graph: the pass cannot be recorded ({describe(error)}), for example since model or loss "
                "choose by a value (if, min, float): use torch.where, or leave train.graph out"
            ) from error
        self._gradients: list[tuple[nn.Parameter, Tensor | None]] = [
            (parameter, parameter.grad) for parameter in task.parameters() if parameter.requires_grad
        ]
        if replaced := self._replaced():
            raise FerError(
                f"train.graph: every step replaces the buffer {replaced}, but a recorded pass keeps the old one: "
                "write into the buffer (copy_, lerp_), or leave train.graph out"
            )

    def __call__(self, batch: Batch) -> Losses:
        """The losses of another batch, in tensors that the next call overwrites."""
        for name, column in batch.items():
            self._batch[name].copy_(column)
        for parameter, gradient in self._gradients:
            parameter.grad = gradient
        self._replay()
        return self._losses

    def fits(self, batch: Batch) -> bool:
        """Whether a batch has the shapes that were recorded; further images of a trainer may have others."""
        shapes = {name: column.shape for name, column in self._batch.items()}
        return shapes == {name: column.shape for name, column in batch.items()}

    def valid(self) -> bool:
        """Whether every buffer is still the tensor that was recorded; a loss may replace some after an epoch."""
        return not self._replaced()

    def _replaced(self) -> str:
        return next((f"{name}.{key}" for name, held, key, buffer in self._buffers if held[key] is not buffer), "")

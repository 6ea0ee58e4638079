"""The state of a training as callbacks and the guard see it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Protocol

import torch

from fer_core.types import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fer_core.config import Config
    from fer_core.metrics import MetricsRow
    from fer_core.types import Batch


@dataclass
class Position:
    """Where training stands: finished epochs, batches done in the current one, optimizer steps in all."""

    epoch: int = 0
    batch: int = 0
    step: int = 0


class DeviceProgress:
    """`Progress` as tensors that keep their place in the device's memory.

    What is compiled or captured serves all steps with them, and would one step only with numbers.
    """

    def __init__(self, device: torch.device) -> None:
        names = [field.name for field in fields(Progress)]
        self._tensors = Progress(**{name: torch.zeros((), dtype=torch.int64, device=device) for name in names})

    def __call__(self, progress: Progress) -> Progress:
        """These numbers in the tensors, which no copy from the host is needed for."""
        for name, number in vars(progress).items():
            getattr(self._tensors, name).fill_(number)
        return self._tensors


class Batches(Protocol):
    """Batches of an epoch that can be begun at any of them, as a trainer's `make_loader` gives them."""

    def __len__(self) -> int:
        """Batches of an epoch."""

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Batches `start`, `start` + 1... of an epoch, counted from 0; the same however they were reached."""


class TrainingView(Protocol):
    """A training as its callbacks and the guard see it.

    Attributes:
        position: Where it stands.
        history: The rows of `metrics.jsonl`.
        stop: Set to a reason, one line of text, it ends the run at the current or else the next evaluation.
    """

    position: Position
    history: list[MetricsRow]
    stop: str | None

    @property
    def folder(self) -> Path:
        """Folder of the run."""

    @property
    def config(self) -> Config:
        """Configuration of the run."""

    @property
    def epochs(self) -> int:
        """Length in epochs, the last of which may be a part."""

    @property
    def total_steps(self) -> int:
        """Length in optimizer steps."""

    def score(self, row: MetricsRow) -> float | None:
        """The selection metric of a row, higher for better; None where the last epoch is taken."""

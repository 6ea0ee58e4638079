"""Scalars for TensorBoard."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_core.errors import FerError
from fer_core.training.callbacks import Callback, scalars

if TYPE_CHECKING:
    from fer_core.metrics import MetricsRow
    from fer_core.training.state import TrainingView

FOLDER = "tensorboard"


class TensorBoard(Callback):
    """Write the `scalars` of every evaluation to `tensorboard/` in the run's folder, over optimizer steps."""

    def __init__(self) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise FerError(
                "the callback tensorboard needs the package of that name, which is not installed: "
                "pip install 'fer-core[tensorboard]'"
            ) from None
        self.make_writer = SummaryWriter
        self.writer: Any = None

    def on_start(self, training: TrainingView) -> None:
        """Open a file; points of an earlier file after the state that training resumes from are purged."""
        folder = training.folder / FOLDER
        with _told(folder):
            self.writer = self.make_writer(str(folder), purge_step=training.position.step + 1)

    def on_evaluation(self, training: TrainingView, row: MetricsRow) -> None:
        """Write the row."""
        with _told(training.folder / FOLDER):
            for tag, value in scalars(row).items():
                self.writer.add_scalar(tag, value, row.step)
            self.writer.flush()

    def on_end(self, training: TrainingView) -> None:
        """Close the file."""
        with _told(training.folder / FOLDER):
            self.writer.close()


@contextlib.contextmanager
def _told(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FerError(
            f"cannot write {folder}: {error.strerror or error}; free some space or correct the permissions"
        ) from error

"""Callbacks, which may watch a run and stop it."""

from __future__ import annotations

import csv
import io
import logging
import re
import time
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, JsonValue

from fer_core.data.progress import shows_bars
from fer_core.errors import FerError
from fer_core.files import write_text
from fer_core.records import Count, Record

if TYPE_CHECKING:
    from rich.progress import Progress

    from fer_core.metrics import MetricsRow
    from fer_core.training.state import TrainingView

logger = logging.getLogger(__name__)
PlainState = dict[str, JsonValue]
"""What a callback saves: texts, numbers, booleans, None, and lists and mappings of them, by name."""


class Callback:
    """Base class: override what you need. Constructed as `Callback(**options)`.

    `state_dict` is saved with the run and restored on `--resume`; keep it to plain values.
    """

    def on_start(self, training: TrainingView) -> None:
        """Training begins, or is resumed."""

    def on_step(self, training: TrainingView) -> None:
        """An optimizer step was made; `training.position` counts it already."""

    def on_evaluation(self, training: TrainingView, row: MetricsRow) -> None:
        """A row of `metrics.jsonl` is complete. Set `training.stop` to a reason to end the run here."""

    def on_end(self, training: TrainingView) -> None:
        """Training ended, also when an error ended it."""

    def state_dict(self) -> PlainState:
        """What to save."""
        return {}

    def load_state_dict(self, state: PlainState) -> None:
        """Restore what `state_dict` returned."""


def scalars(row: MetricsRow) -> dict[str, float]:
    """The figures of a row of `metrics.jsonl` by flat names, for loggers.

    Args:
        row: As `on_evaluation` gets it; `row.step`, the count of optimizer steps, is the logger's x axis.

    Returns:
        `train/loss` and the loss's other terms, `train/accuracy`, `val/...`, `test/...`, `lr`, `epoch`.
    """
    return {name: value for name, value in row.scalars("/").items() if name != "step"}


class _Waiting(Record):
    best: float | None
    waited: Count


class EarlyStopping(Callback):
    """Stop when the selection metric has not improved for `patience` evaluations.

    Args:
        patience: Evaluations without improvement, at least 1.
        min_delta: What counts as improvement, as a fraction of 1.
    """

    def __init__(self, *, patience: Annotated[int, Field(ge=1)] = 20, min_delta: float = 0.0) -> None:
        self.patience = patience
        self.min_delta = min_delta
        self.best: float | None = None
        self.waited = 0

    def on_evaluation(self, training: TrainingView, row: MetricsRow) -> None:
        """Count evaluations without improvement."""
        score = training.score(row)
        if score is None:
            raise FerError("early_stopping needs a metric, but train.select is last: set train.select=best:val")
        if self.best is None or score > self.best + self.min_delta:
            self.best, self.waited = score, 0
            return
        self.waited += 1
        if self.waited >= self.patience:
            training.stop = f"no improvement of {training.config.train.metric} for {self.waited} evaluations"

    def state_dict(self) -> PlainState:
        """Best score and evaluations since."""
        return {"best": self.best, "waited": self.waited}

    def load_state_dict(self, state: PlainState) -> None:
        """Restore both."""
        found = _Waiting.check(state, "early_stopping", "start the run again")
        self.best, self.waited = found.best, found.waited


class CSVLog(Callback):
    """Write the rows of `metrics.jsonl` as a table: one line an evaluation, nested names joined by a dot.

    Args:
        file: Its name in the run's folder.

    Raises:
        FerError: `file` is not the name of a CSV file, or of one that every run has.
    """

    def __init__(self, *, file: str = "metrics.csv") -> None:
        if not re.fullmatch(r"[\w.-]+\.csv", file) or file.startswith("predictions-"):
            raise FerError(
                f"csv_log.file is {file}: give a name such as metrics.csv, which no other file of the run has"
            )
        self.file = file

    def on_evaluation(self, training: TrainingView, row: MetricsRow) -> None:
        """Rewrite the file from the history, so that a resumed run has no line twice."""
        rows = [row.scalars(".") for row in training.history]
        columns = list(dict.fromkeys(key for entry in rows for key in entry))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(training.folder / self.file, text.getvalue())


class ProgressBar(Callback):
    """A bar within the epoch on a terminal, and a line an evaluation everywhere."""

    def __init__(self) -> None:
        self.bar: Progress | None = None
        self.began = 0.0
        self.first_step = 0

    def on_start(self, training: TrainingView) -> None:
        """Open the bar."""
        self.began, self.first_step = time.monotonic(), training.position.step
        if shows_bars():
            from rich.console import Console
            from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

            columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
            self.bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self.bar.start()
            self.bar.add_task("training", total=training.total_steps, completed=training.position.step)

    def on_step(self, training: TrainingView) -> None:
        """Advance the bar."""
        if self.bar is not None:
            self.bar.update(self.bar.task_ids[0], completed=training.position.step)

    def on_evaluation(self, training: TrainingView, row: MetricsRow) -> None:
        """Print the figures of the evaluation and how long the rest will take."""
        done = training.position.step - self.first_step
        left = (time.monotonic() - self.began) / max(done, 1) * (training.total_steps - training.position.step)
        parts = [f"epoch {row.epoch:g}/{training.epochs}"]
        if "loss" in row.train:
            parts.append(f"loss {row.train['loss']:.4f}")
        parts += [
            f"{role} {row.part(role)['accuracy']:.2%}"
            for role in ("train", "val", "test")
            if "accuracy" in row.part(role)
        ]
        parts.append(f"about {_clock(left)} left" if left >= 1 else "last")
        logger.info("  ".join(parts))

    def on_end(self, training: TrainingView) -> None:
        """Close the bar."""
        if self.bar is not None:
            self.bar.stop()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {rest:02d} s"

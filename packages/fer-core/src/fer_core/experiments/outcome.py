"""How the runs of an experiment ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fer_core.errors import FerError, IncompleteError
from fer_core.experiments.plan import PlannedRun
from fer_core.files import write_text
from fer_core.runs import folder as run_folder
from fer_core.runs.records import FORMAT, Membership, Result

Status = Literal["finished", "skipped", "failed"]


@dataclass(frozen=True)
class Outcome:
    """How a run ended; `line` is its result, or why it failed."""

    run: PlannedRun
    status: Status
    line: str

    def __str__(self) -> str:
        word = "is finished already" if self.status == "skipped" else self.status
        return f"{self.run.name}  {word}: {self.line}"


def skip(run: PlannedRun) -> Outcome:
    """A run that was finished before, and belongs to the experiment from now on."""
    return _with_result(run, "skipped")


def settle(run: PlannedRun, failure: str) -> Outcome:
    """A run that an executor says has ended: its files decide whether it is finished.

    Args:
        run: The run.
        failure: Why it failed, as the executor knows it; empty: it did not.
    """
    if run.is_finished:
        return _with_result(run, "finished")
    return Outcome(run, "failed", failure or f"it ended without {run_folder.RESULT}")


def check_outcomes(outcomes: Sequence[Outcome]) -> None:
    """Raises IncompleteError with the line of every failed run, where one failed."""
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    if failed:
        raise IncompleteError(
            f"{len(failed)} of {len(outcomes)} runs failed; the same command retries them",
            "\n".join(f"{outcome.run.name}: {outcome.line}" for outcome in failed),
        )


def _with_result(run: PlannedRun, status: Status) -> Outcome:
    """The outcome of a run that has a result; it failed where that is damaged."""
    try:
        line = _summary(run)
    except FerError as error:
        return Outcome(run, "failed", str(error))
    shared = run.experiment if run.recipe == "shared" else ""
    membership = Membership(format=FORMAT, experiment=run.experiment, recipe=shared, grid=run.grid)
    write_text(run.folder / run_folder.EXPERIMENT, membership.text())
    return Outcome(run, status, line)


def _summary(run: PlannedRun) -> str:
    """Test figures of a finished run. Raises FerError where its result is damaged."""
    metrics = Result.read(run.folder / run_folder.RESULT, "delete that folder to make the run again").metrics
    if "test" not in metrics:
        return "no faces in its test part"
    found = metrics["test"]
    return f"test accuracy {found.accuracy:.2%}, mean class accuracy {found.mean_class_accuracy:.2%}"

"""The contract of executors, and what is the same wherever runs are executed."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from fer_core import registry
from fer_core.components import build
from fer_core.errors import InterruptedRunError
from fer_core.experiments.outcome import Outcome, settle, skip
from fer_core.experiments.plan import PlannedRun
from fer_core.makers import in_one_line

if TYPE_CHECKING:
    from fer_core.config import Component

logger = logging.getLogger(__name__)


class Executor(Protocol):
    """What a factory of the hook `fer_executors` makes: it executes runs, here or elsewhere."""

    def execute(self, runs: Sequence[PlannedRun], device: str) -> Iterable[tuple[PlannedRun, str]]:
        """Execute runs, and give back each with why it failed, as soon as it has ended.

        A run has succeeded where its folder holds a result, whatever the text says; it is empty where the executor
        knows of no failure.

        Args:
            runs: Those that have no result yet, in the order of the experiment. `run.command(device)` begins or
                resumes one, and `run_here(run, device)` does so in a process of this machine, under a lock that
                keeps two processes out of one folder.
            device: As `--device`.

        Raises:
            FerError: Nothing can be executed here.
        """


def execute(runs: Sequence[PlannedRun], device: str, component: Component) -> list[Outcome]:
    """Execute the unfinished of some runs.

    Args:
        runs: In order.
        device: As `--device`.
        component: The executor and its options.

    Raises:
        FerError: The executor is unknown, does not take the options or cannot work.
        InterruptedRunError: A signal came; trainings were asked to save.
    """
    executor: Executor = build("executors", component.name, component.options)
    outcomes: dict[Path, Outcome] = {}

    def end(outcome: Outcome) -> None:
        outcomes[outcome.run.folder] = outcome
        logger.info(f"[{len(outcomes)}/{len(runs)}] {outcome}")

    for run in runs:
        if run.is_finished:
            end(skip(run))
    waiting = [run for run in runs if run.folder not in outcomes]
    try:
        with in_one_line(registry.maker("executors", component.name), also="the same command resumes the runs"):
            for run, failure in executor.execute(waiting, device) if waiting else ():
                end(settle(run, failure))
    except InterruptedRunError as error:
        done = sum(run.is_finished for run in runs)
        raise InterruptedRunError(
            f"{signal.Signals(error.number).name} received with {done} of {len(runs)} runs finished; "
            "the same command resumes the others",
            error.number,
        ) from None
    for run in waiting:
        if run.folder not in outcomes:
            end(settle(run, f"the executor {component.name} did not say how it ended"))
    return [outcomes[run.folder] for run in runs]

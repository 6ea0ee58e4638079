"""Runs one after another or in parallel on this machine; if one fails, the others continue."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Literal

from fer_core.errors import FerError, IncompleteError, InterruptedRunError
from fer_core.experiments.attempt import Attempt, is_finished, mark
from fer_core.experiments.plan import PlannedRun
from fer_core.runs import folder as run_folder
from fer_core.runs.records import Result

logger = logging.getLogger(__name__)
Status = Literal["finished", "skipped", "failed", "interrupted"]
HEEDED = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
PAUSE = 0.05
"""Seconds between two polls of the processes."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended; `line` is its result, or why it failed."""

    run: PlannedRun
    status: Status
    line: str


class Stop:
    """Context that notes signals, so that trainings are asked to save before the runner ends.

    Attributes:
        received: The signal that came, or None.
        count: How many came.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self.count = 0
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in HEEDED}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = self.received or signal.Signals(number)
        self.count += 1


class Runner:
    """A queue of runs and the processes at work on them.

    Args:
        runs: In order.
        device: As `--device`.
        slots: Environment of each process that may work at a time.
        stop: Asked whether to end.
    """

    def __init__(
        self, runs: Sequence[PlannedRun], device: str, slots: Sequence[dict[str, str]], stop: Stop
    ) -> None:
        self.waiting = deque(runs)
        self.device = device
        self.slots: dict[int, dict[str, str]] = dict(enumerate(slots))
        self.stop = stop
        self.working: dict[int, Attempt] = {}
        self.outcomes: dict[Path, Outcome] = {}
        self.number = {run.folder: f"[{index}/{len(runs)}]" for index, run in enumerate(runs, 1)}
        self.elsewhere: set[str] = set()
        self.signals_passed = 0

    def work(self) -> list[Outcome]:
        """Until all runs have ended, or a signal came."""
        order = list(self.waiting)
        try:
            while self.waiting or self.working:
                self._pass_signals()
                self._fill()
                self._reap()
                if self.waiting or self.working:
                    time.sleep(PAUSE)
        finally:
            for attempt in self.working.values():
                attempt.stop()
        return [self.outcomes[run.folder] for run in order]

    def _pass_signals(self) -> None:
        if self.stop.count == self.signals_passed:
            return
        first, self.signals_passed = not self.signals_passed, self.stop.count
        for attempt in self.working.values():
            attempt.stop(signal.SIGTERM if first else signal.SIGKILL)
        if first and self.working:
            logger.info(
                f"{self.stop.received and self.stop.received.name} received: waiting for trainings to save"
            )
        for run in self.waiting:
            self.outcomes[run.folder] = Outcome(run, "interrupted", "not started")
        self.waiting.clear()

    def _fill(self) -> None:
        """Give every free slot the first run that no other process trains."""
        for slot, environment in self.slots.items():
            if slot in self.working:
                continue
            for _ in range(len(self.waiting)):
                run = self.waiting.popleft()
                if is_finished(run):
                    self._end(skip(run))
                    continue
                attempt = Attempt(run, self.device, environment)
                if not attempt.lock():
                    if run.name not in self.elsewhere:
                        self.elsewhere.add(run.name)
                        logger.info(f"{self.number[run.folder]} {run.name}  another process trains it: waiting")
                    self.waiting.append(run)
                    continue
                if is_finished(run):  # by the one that had the lock
                    attempt.close()
                    self._end(skip(run))
                    continue
                resumed = "resumes" if run.folder.exists() else "begins"
                attempt.start()
                self.working[slot] = attempt
                logger.info(f"{self.number[run.folder]} {run.name}  {resumed}")
                break

    def _reap(self) -> None:
        for slot, attempt in list(self.working.items()):
            status = attempt.poll()
            if status is None:
                continue
            del self.working[slot]
            run = attempt.run
            if status == 0 and is_finished(run):
                self._end(_with_result(run, "finished"))
            elif self.stop.received is not None:
                self._end(Outcome(run, "interrupted", "saved"))
            else:
                self._end(Outcome(run, "failed", attempt.failure()))
            attempt.close()

    def _end(self, outcome: Outcome) -> None:
        self.outcomes[outcome.run.folder] = outcome
        logger.info(f"{self.number[outcome.run.folder]} {describe_outcome(outcome)}")


def skip(run: PlannedRun) -> Outcome:
    """A run that was finished before, and belongs to the experiment from now on."""
    return _with_result(run, "skipped")


def _with_result(run: PlannedRun, status: Status) -> Outcome:
    """The outcome of a run that has a result; it failed where that is damaged."""
    try:
        line = summary(run)
    except FerError as error:
        return Outcome(run, "failed", str(error))
    mark(run)
    return Outcome(run, status, line)


def describe_outcome(outcome: Outcome) -> str:
    """How a run ended, in one line."""
    word = "is finished already" if outcome.status == "skipped" else outcome.status
    return f"{outcome.run.name}  {word}: {outcome.line}"


def summary(run: PlannedRun) -> str:
    """Test figures of a finished run. Raises FerError where its result is damaged."""
    metrics = Result.read(run.folder / run_folder.RESULT, "delete that folder to make the run again").metrics
    if "test" not in metrics:
        return "no faces in its test part"
    found = metrics["test"]
    return f"test accuracy {found.accuracy:.2%}, mean class accuracy {found.mean_class_accuracy:.2%}"


def run_local(runs: Sequence[PlannedRun], device: str, jobs: int) -> list[Outcome]:
    """Execute runs on this machine, `jobs` at a time.

    Raises:
        InterruptedRunError: A signal came; trainings were asked to save, and have ended.
    """
    with Stop() as stop:
        outcomes = Runner(runs, device, deal_out(jobs, device), stop).work()
    if stop.received is not None:
        raise interruption(stop.received, outcomes, len(runs))
    return outcomes


def interruption(received: signal.Signals, outcomes: Sequence[Outcome], total: int) -> InterruptedRunError:
    """The error of a runner that a signal stopped."""
    done = sum(outcome.status in ("finished", "skipped") for outcome in outcomes)
    return InterruptedRunError(
        f"{received.name} received with {done} of {total} runs finished; the same command resumes the others",
        received,
    )


def deal_out(jobs: int, device: str) -> list[dict[str, str]]:
    """Environment of each of `jobs` processes: accelerators in turn, or a fair part of the CPUs.

    Raises:
        FerError: Fewer than one job.
    """
    if jobs < 1:
        raise FerError(f"--jobs is {jobs}: give the number of parallel runs, at least 1")
    base = dict(os.environ)
    if jobs > 1 and (shares := _shares(device)):
        return [base | shares[index % len(shares)] for index in range(jobs)]
    if jobs > 1 and "OMP_NUM_THREADS" not in base:
        base["OMP_NUM_THREADS"] = str(max((os.cpu_count() or 1) // jobs, 1))
    return [base] * jobs


def _shares(name: str) -> Sequence[dict[str, str]]:
    """What a process needs in its environment to see one of the devices only; `cuda:1` is one already."""
    from fer_core.engine.choose import find_device, first_available

    if ":" in name:
        return ()
    return (first_available() if name == "auto" else find_device(name)).shares()


def check_outcomes(outcomes: Sequence[Outcome]) -> None:
    """Raises IncompleteError with the line of every failed run, where one failed."""
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    if failed:
        raise IncompleteError(
            f"{len(failed)} of {len(outcomes)} runs failed; the same command retries them",
            "\n".join(f"{outcome.run.name}: {outcome.line}" for outcome in failed),
        )

"""Runs one after another or in parallel on this machine; if one fails, the others continue."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from types import FrameType, TracebackType
from typing import Any

from fer_core.errors import FerError, InterruptedRunError
from fer_core.experiments.attempt import Attempt
from fer_core.experiments.plan import PlannedRun
from fer_core.experiments.warm import AVAILABLE, Warm

logger = logging.getLogger(__name__)
HEEDED = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
PAUSE = 0.05
"""Seconds between two polls of the processes."""


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
        forks: Whether the processes are forked by one for each slot, which has imported what they need.
    """

    def __init__(
        self,
        runs: Sequence[PlannedRun],
        device: str,
        slots: Sequence[dict[str, str]],
        stop: Stop,
        *,
        forks: bool = False,
    ) -> None:
        self.waiting = deque(runs)
        self.device = device
        self.slots: dict[int, dict[str, str]] = dict(enumerate(slots))
        self.stop = stop
        self.forks = forks
        self.warm: dict[int, Warm] = {}
        self.working: dict[int, Attempt] = {}
        self.elsewhere: set[str] = set()
        self.signals_passed = 0

    def work(self) -> Iterator[tuple[PlannedRun, str]]:
        """Each run that has ended and why it failed, until all have, or a signal came."""
        try:
            while self.waiting or self.working:
                self._pass_signals()
                yield from self._fill()
                yield from self._reap()
                if self.waiting or self.working:
                    time.sleep(PAUSE)
        finally:
            for attempt in self.working.values():
                attempt.stop()
            for warm in self.warm.values():
                warm.close()

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
        self.waiting.clear()

    def _fill(self) -> Iterator[tuple[PlannedRun, str]]:
        """Give every free slot the first run that no other process trains; yields those found finished."""
        for slot, environment in self.slots.items():
            if slot in self.working:
                continue
            for _ in range(len(self.waiting)):
                run = self.waiting.popleft()
                if run.is_finished:
                    yield run, ""
                    continue
                attempt = Attempt(run, self.device, environment)
                if not attempt.lock():
                    if run.name not in self.elsewhere:
                        self.elsewhere.add(run.name)
                        logger.info(f"{run.name}  another process trains it: waiting")
                    self.waiting.append(run)
                    continue
                if run.is_finished:  # by the one that had the lock
                    attempt.close()
                    yield run, ""
                    continue
                resumed = "resumes" if run.folder.exists() else "begins"
                attempt.start(self._warm(slot) if self.forks else None)
                self.working[slot] = attempt
                logger.info(f"{run.name}  {resumed}")
                break

    def _warm(self, slot: int) -> Warm:
        """The warm process of a slot, started anew if it was killed."""
        found = self.warm.get(slot)
        if found is None or found.process.poll() is not None:
            found = self.warm[slot] = Warm(self.slots[slot])
        return found

    def _reap(self) -> Iterator[tuple[PlannedRun, str]]:
        for slot, attempt in list(self.working.items()):
            status = attempt.poll()
            if status is None:
                continue
            del self.working[slot]
            failure = "" if status == 0 and attempt.run.is_finished else attempt.failure()
            attempt.close()
            if failure and self.stop.received is not None:
                logger.info(f"{attempt.run.name}  interrupted: saved")
            else:
                yield attempt.run, failure


class Local:
    """This machine: each run is a process.

    Args:
        jobs: How many work at a time; devices are divided among them.
    """

    def __init__(self, *, jobs: int = 1) -> None:
        self.jobs = jobs

    def execute(self, runs: Sequence[PlannedRun], device: str) -> Iterator[tuple[PlannedRun, str]]:
        """See `Executor`.

        Raises:
            InterruptedRunError: A signal came; trainings were asked to save, and have ended.
        """
        with Stop() as stop:
            slots = deal_out(self.jobs, device)
            yield from Runner(runs, device, slots, stop, forks=AVAILABLE and len(runs) > len(slots)).work()
        if stop.received is not None:
            raise InterruptedRunError("the trainings were stopped", stop.received)


def run_here(run: PlannedRun, device: str) -> str:
    """Begin or resume a run in a process of this machine, and wait for it: what an executor calls on a worker.

    A lock keeps two processes out of one folder; a signal lets the training save. A run can be pickled, and its
    folder is relative to the working directory of the command.

    Args:
        run: The run.
        device: As `--device`.

    Returns:
        Why it failed; empty where it did not.

    Raises:
        FerError: There can be no lock in the folder.
    """
    with Stop() as stop:
        for _, failure in Runner([run], device, [dict(os.environ)], stop).work():
            return failure
    return "a signal stopped it"


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

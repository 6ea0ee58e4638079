"""Runs on a Ray cluster: each is a task with its GPU requirement, and is resubmitted if its worker dies.

A task does what the local runner does, with one slot, so its files are the same. The folder of the experiment must
be one that all machines of the cluster share.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from fer_core.errors import FerError, InterruptedRunError
from fer_core.experiments.execute import Stop, run_here
from fer_core.experiments.plan import PlannedRun

logger = logging.getLogger(__name__)
RETRIES = 5
"""How often a worker of one run may die."""
PATIENCE = 0.5
"""Seconds after which signals are looked at."""
SAVING = 60
"""Seconds that trainings get for saving when a signal came."""
LOCAL = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
"""Settings of a cluster that is started here: no usage statistics, and normal priority of trainings."""
ANSWER = 10
"""Seconds within which a cluster must accept a connection; Ray itself tries for minutes."""


class OnRay:
    """A Ray cluster: the one that `RAY_ADDRESS` names or that is found here, else one started here.

    Args:
        gpus: GPUs of a run; None: 1 where the cluster has any and the device does not say otherwise.
        cpus: CPUs of a run.
    """

    def __init__(
        self, *, gpus: Annotated[float, Field(ge=0)] | None = None, cpus: Annotated[float, Field(gt=0)] = 1.0
    ) -> None:
        self.gpus, self.cpus = gpus, cpus

    def execute(self, runs: Sequence[PlannedRun], device: str) -> Iterator[tuple[PlannedRun, str]]:
        """See `Executor`.

        Raises:
            FerError: No Ray, no cluster, or none with what a run needs.
            InterruptedRunError: A signal came; tasks were cancelled.
        """
        try:
            import ray
        except ImportError:
            raise FerError("the executor ray needs Ray, which is missing: pip install 'fer-core[ray]'") from None
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), _cluster(ray):  # noqa: PTH123
            nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
            need = _need(nodes, device, self.gpus, self.cpus)
            machines = f"{len(nodes)} {'machine' if len(nodes) == 1 else 'machines'}"
            logger.info(f"Ray: {machines}, {need['num_gpus']:g} GPUs and {need['num_cpus']:g} CPUs for each run")
            # Ray would replace a dead worker itself, but silently, and without a reason when it gives up.
            task = ray.remote(max_retries=0, **need)(_make)
            with Stop() as stop:
                yield from _collect(ray, task, runs, device, stop)


@contextlib.contextmanager
def _cluster(ray: Any) -> Iterator[None]:
    """Connection to a cluster, which ends with the block unless it was there before."""
    if ray.is_initialized():
        yield
        return
    address = os.environ.get("RAY_ADDRESS", "")
    _check_answer(address)
    for name, value in LOCAL.items():
        os.environ.setdefault(name, value)
    try:
        ray.init(log_to_driver=False, include_dashboard=False, logging_level="ERROR")
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        reason = str(error).strip().partition("\n")[0]
        where = f"reached at RAY_ADDRESS={address}" if address else "started on this machine"
        raise FerError(f"Ray cannot be {where} ({reason}): see ray status, or run without --on") from error
    try:
        yield
    finally:
        ray.shutdown()


def _check_answer(address: str) -> None:
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER).close()
    except (OSError, OverflowError) as error:
        raise FerError(
            f"no Ray cluster answers at RAY_ADDRESS={address} ({error}): start one there with ray start, or unset "
            "RAY_ADDRESS for one on this machine"
        ) from error


def _need(nodes: Sequence[dict[str, float]], device: str, gpus: float | None, cpus: float) -> dict[str, float]:
    """The resources that a run requests. Raises FerError if no machine has them, since Ray would wait forever."""
    if gpus is None:
        from fer_core.engine.choose import find_device

        wanted = device == "auto" or not find_device(device).on_host
        gpus = 1.0 if wanted and any(node.get("GPU") for node in nodes) else 0.0
    if not any(node.get("GPU", 0.0) >= gpus and node.get("CPU", 0.0) >= cpus for node in nodes):
        has = ", ".join(f"{node.get('GPU', 0):g} and {node.get('CPU', 0):g}" for node in nodes)
        raise FerError(
            f"a run needs {gpus:g} GPUs and {cpus:g} CPUs, which no machine of the Ray cluster has ({has}): "
            "correct gpus and cpus in the experiment file, or start Ray with more"
        )
    return {"num_gpus": gpus, "num_cpus": cpus}


def _make(run: PlannedRun, device: str, folder: str, settings: dict[str, str]) -> str:
    """The task: one run, in a process of its own. Ray cancels by a SIGINT, which `run_here` passes on."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")  # into the worker's log
    os.chdir(folder)
    os.environ.update(settings)
    try:
        return run_here(run, device)
    except FerError as error:
        return str(error)


def _collect(
    ray: Any, task: Any, runs: Sequence[PlannedRun], device: str, stop: Stop
) -> Iterator[tuple[PlannedRun, str]]:
    """Submit all runs and wait for them; resubmit those whose worker died."""
    settings = {name: value for name, value in os.environ.items() if name.startswith("FER_")}
    working: dict[Any, PlannedRun] = {}
    deaths: Counter[Path] = Counter()

    def hand_out(run: PlannedRun) -> None:
        working[task.options(name=run.name).remote(run, device, str(Path.cwd()), settings)] = run

    for run in runs:
        hand_out(run)
    while working and stop.received is None:
        for ref in ray.wait(list(working), num_returns=1, timeout=PATIENCE)[0]:
            run = working.pop(ref)
            try:
                yield run, ray.get(ref)
            except ray.exceptions.RayTaskError as error:
                yield run, f"{type(error.cause).__name__}: {error.cause}"
            except ray.exceptions.RayError as error:
                deaths[run.folder] += 1
                if deaths[run.folder] <= RETRIES:
                    logger.warning(f"{run.name}  its worker died: another worker resumes it")
                    hand_out(run)
                    continue
                reason = str(error).partition("\n")[0]
                yield run, f"{deaths[run.folder]} workers died on it, the last: {reason}"
    if stop.received is not None:
        _let_save(ray, working, stop)
        raise InterruptedRunError("the tasks were cancelled", stop.received)


def _let_save(ray: Any, refs: Iterable[Any], stop: Stop) -> None:
    """Ask the trainings to save, and wait for them, unless a second signal comes."""
    waiting = list(refs)
    for ref in waiting:
        ray.cancel(ref)
    end = time.monotonic() + SAVING
    while waiting and stop.count < 2 and time.monotonic() < end:
        waiting = ray.wait(waiting, num_returns=len(waiting), timeout=PATIENCE)[1]

"""Runs on a Ray cluster: each is a task with its GPU need, and a worker that dies is replaced by a retry.

A task does what the local runner does, with one slot, so its files are the same. The folder of the experiment must
be one that all machines of the cluster share.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fer_core.errors import FerError, InterruptedRunError
from fer_core.experiments.execute import Outcome, Runner, Stop, describe_interruption
from fer_core.experiments.plan import Run

Say = Callable[[str], None]
RETRIES = 5
"""How often a worker of one run may die."""
PATIENCE = 0.5
"""Seconds after which signals are looked at."""


def run_on_ray(runs: Sequence[Run], device: str, gpus: float | None, cpus: float, say: Say) -> list[Outcome]:
    """Make runs on the cluster that `RAY_ADDRESS` names or that is found here, else on one that is started here.

    Args:
        runs: In order.
        device: As `--device`.
        gpus: GPUs of a run; None: 1 where the cluster has any and `device` does not say otherwise.
        cpus: CPUs of a run.
        say: Called with every line.

    Raises:
        FerError: No Ray, or a cluster without what a run needs.
        InterruptedRunError: A signal came; tasks were cancelled.
    """
    try:
        import ray
    except ImportError:
        raise FerError("--on ray needs Ray, which is not installed: pip install 'fer-core[ray]'") from None
    ours = not ray.is_initialized()
    if ours:
        ray.init(log_to_driver=False, include_dashboard=False, logging_level="ERROR")
    try:
        need = _need(ray.cluster_resources(), device, gpus, cpus)
        say(f"Ray: {len(ray.nodes())} nodes, {need['num_gpus']:g} GPUs and {need['num_cpus']:g} CPUs for each run")
        task = ray.remote(max_retries=RETRIES, **need)(_make)
        with Stop() as stop:
            return _collect(ray, task, runs, device, say, stop)
    finally:
        if ours:
            ray.shutdown()


def _need(cluster: dict[str, float], device: str, gpus: float | None, cpus: float) -> dict[str, float]:
    if gpus is None:
        gpus = 1.0 if cluster.get("GPU") and device in ("auto", "cuda") else 0.0
    for name, amount in (("GPU", gpus), ("CPU", cpus)):
        if amount > cluster.get(name, 0.0):
            raise FerError(
                f"a run needs {amount:g} {name}s, but the Ray cluster has {cluster.get(name, 0.0):g}: "
                f"correct {name.lower()}s in the experiment file, or start Ray with more"
            )
    return {"num_gpus": gpus, "num_cpus": cpus}


def _make(run: Run, device: str, folder: str) -> tuple[str, str]:
    """The task: one run, in a process of its own. Ray's cancelling raises KeyboardInterrupt here."""
    os.chdir(folder)
    environment = dict(os.environ)
    with Stop() as stop:
        (outcome,) = Runner([run], device, [environment], _unheard, stop).work()
    return outcome.status, outcome.line


def _unheard(line: str) -> None:
    print(line, file=sys.stderr)  # noqa: T201 - goes to the worker's log


def _collect(ray: Any, task: Any, runs: Sequence[Run], device: str, say: Say, stop: Stop) -> list[Outcome]:
    refs = {task.options(name=run.name).remote(run, device, str(Path.cwd())): run for run in runs}
    outcomes: dict[Any, Outcome] = {}
    waiting = list(refs)
    while waiting and stop.received is None:
        ready, waiting = ray.wait(waiting, num_returns=1, timeout=PATIENCE)
        for ref in ready:
            run = refs[ref]
            try:
                status, line = ray.get(ref)
            except ray.exceptions.RayError as error:
                status, line = "failed", f"Ray gave up: {str(error).splitlines()[0]}"
            outcomes[ref] = Outcome(run, status, line)
            say(f"[{len(outcomes)}/{len(runs)}] {run.name}  {status}: {line}")
    if stop.received is not None:
        for ref in waiting:
            ray.cancel(ref)
        ray.wait(waiting, num_returns=len(waiting), timeout=60)
        raise InterruptedRunError(*describe_interruption(stop.received, list(outcomes.values()), len(runs)))
    return [outcomes[ref] for ref in refs]

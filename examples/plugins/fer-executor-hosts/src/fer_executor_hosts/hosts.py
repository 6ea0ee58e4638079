"""Runs of an experiment on machines that a command such as ssh reaches."""

import pickle
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from queue import SimpleQueue
from typing import Annotated

from fer_core.plugin import PlannedRun
from pydantic import Field


class Hosts:
    """Machines that see this folder and this Python environment; each executes one run at a time.

    Args:
        hosts: What starts a command on each: `[ssh node1, ssh node2]`. One that is listed twice executes two.
        python: Python on the machines.
    """

    def __init__(
        self, *, hosts: Annotated[tuple[str, ...], Field(min_length=1)], python: str = sys.executable
    ) -> None:
        self.python = python
        self.count, self.free = len(hosts), SimpleQueue[str]()
        for host in hosts:
            self.free.put(host)

    def execute(self, runs: Sequence[PlannedRun], device: str) -> Iterator[tuple[PlannedRun, str]]:
        """Hand out the runs, and give back each with why it failed."""
        pool = ThreadPoolExecutor(self.count)
        try:
            for done in as_completed([pool.submit(self.make, run, device) for run in runs]):
                yield done.result()
        finally:
            pool.shutdown(cancel_futures=True)  # Ctrl-C reaches ssh, too: no further run is started

    def make(self, run: PlannedRun, device: str) -> tuple[PlannedRun, str]:
        """Execute a run on the next free machine, and wait for it."""
        host = self.free.get()
        try:
            command = [*shlex.split(host), self.python, "-m", "fer_executor_hosts.worker"]
            task = pickle.dumps((run, device, Path.cwd()))
            done = subprocess.run(command, input=task, stdout=subprocess.PIPE, check=False)
        except OSError as error:
            return run, f"{host} cannot be started: {error.strerror}"
        finally:
            self.free.put(host)
        if done.returncode:
            return run, f"{host} ended with status {done.returncode}"
        return run, done.stdout.decode().splitlines()[-1]

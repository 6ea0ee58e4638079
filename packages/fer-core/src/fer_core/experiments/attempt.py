"""One run as a separate process: started or resumed under a lock that outlives its parent.

The lock is on the file that takes the process's output, and the process inherits it: a training whose runner was
killed continues alone and keeps its lock, so no other process trains in the same folder.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from fer_core.errors import FerError
from fer_core.experiments.plan import PlannedRun
from fer_core.experiments.warm import Forked, Warm


class Attempt:
    """A process that trains a run.

    Args:
        run: The run.
        device: As `--device`.
        environment: Of the process.
    """

    def __init__(self, run: PlannedRun, device: str, environment: Mapping[str, str]) -> None:
        self.run = run
        self.device = device
        self.environment = dict(environment)
        self.output: IO[bytes] | None = None
        self.process: subprocess.Popen[bytes] | Forked | None = None
        self.begin = 0

    @property
    def log(self) -> Path:
        """Output of the process; also the lock."""
        return self.run.folder.with_name(f".{self.run.folder.name}.log")

    def lock(self) -> bool:
        """Take the lock; False where another process trains the run. Raises FerError where none can be had."""
        try:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            output = self.log.open("ab")
        except OSError as error:
            raise FerError(f"cannot write {self.log}: {error.strerror}; choose another --root") from error
        if not _try_lock(output):
            output.close()
            return False
        self.output = output
        return True

    def start(self, warm: Warm | None = None) -> None:
        """Start the process; an incomplete folder of a killed one is removed first.

        Args:
            warm: What forks it; None: a new process.
        """
        assert self.output is not None
        folder = self.run.folder
        if folder.exists() and not self.run.is_begun and not self.run.is_finished:
            shutil.rmtree(folder)
        self.begin = self.log.stat().st_size
        if warm is not None:
            self.process = warm.start(self.run.command(self.device), self.output)
            return
        self.process = subprocess.Popen(
            [sys.executable, "-m", "fer_core", *self.run.command(self.device)],
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=subprocess.STDOUT,
            env=self.environment,
            start_new_session=True,  # Ctrl-C reaches the runner alone, which passes on what lets trainings save
        )

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Ask the process to save and end."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def poll(self) -> int | None:
        """Exit status of the process, None while it works."""
        assert self.process is not None
        return self.process.poll()

    def close(self) -> None:
        """Release the lock."""
        if self.output is not None:
            self.output.close()
            self.output = None

    def failure(self) -> str:
        """Why the process failed, in one line."""
        assert self.process is not None
        with self.log.open("rb") as handle:
            handle.seek(self.begin)
            lines = [
                line.strip() for line in handle.read().decode("utf-8", "replace").splitlines() if line.strip()
            ]
        told = [line.removeprefix("Error: ") for line in lines if line.startswith("Error: ")]
        if told:
            return told[-1]
        status = self.process.returncode or 0
        if status < 0:
            return f"killed by {signal.Signals(-status).name}; the same command resumes it"
        return f"exit status {status}: {lines[-1] if lines else 'no output'} (see {self.log})"


def _try_lock(file: IO[bytes]) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows itself protects a folder that is in use
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise FerError(
            f"cannot lock {file.name} ({error.strerror}): the file system must support locks; choose another "
            "--root"
        ) from error
    return True

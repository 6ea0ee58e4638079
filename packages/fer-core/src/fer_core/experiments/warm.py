"""A process that has imported what trainings need, and forks one child for each: imports are paid for once.

Nothing but modules is shared: a child begins as `python -m fer_core` does, with plugins, caches and random numbers
of its own, and a crash ends the child alone. The process starts no thread (those of OpenBLAS end at a fork) and
touches no device. Where forking is not safe (macOS) or impossible (Windows), each run is a new process.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import runpy
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import IO

AVAILABLE = sys.platform == "linux"
"""Whether warm processes work here."""
IMPORTED = (
    "torch",
    "torch._dynamo",  # every optimizer imports it
    "pandas",
    "scipy.stats",
    "sklearn.model_selection",
    "matplotlib.figure",
    "jinja2",
    "torch.utils.flop_counter",
    "fer_core.cli.train",
    "fer_core.workflows.train",
    "fer_core.workflows.resume",
)
"""By name: the commands stand above this module."""
PAUSE = 0.02
"""Seconds between two looks at a child."""
LARGEST = 1 << 20
"""Bytes of a command."""


class Warm:
    """A warm process, which trains one run at a time.

    Args:
        environment: Of the process and of its children.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=dict(environment),
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )

    def start(self, command: Sequence[str], output: IO[bytes]) -> Forked:
        """Run `python -m fer_core COMMAND` in a child that writes to `output`, whose lock it inherits."""
        socket.send_fds(self.socket, [json.dumps(list(command)).encode()], [output.fileno()])
        return Forked(self)

    def close(self) -> None:
        """End the process; a child that still works continues alone."""
        self.socket.close()
        self.process.wait()


class Forked:
    """A child of a warm process; it has what an attempt uses of `subprocess.Popen`.

    Attributes:
        returncode: Its exit status, None while it works; a signal that ended it is negative.
    """

    def __init__(self, warm: Warm) -> None:
        self.warm = warm
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Exit status, None while it works."""
        if self.returncode is None and select.select([self.warm.socket], [], [], 0)[0]:
            told = self.warm.socket.recv(LARGEST)
            self.returncode = int(told) if told else self.warm.process.wait() or 1  # the warm process has ended
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal to the child."""
        with suppress(OSError):
            self.warm.socket.send(str(int(number)).encode())


def serve(place: socket.socket) -> list[str] | None:
    """Fork children until the other side is gone. Returns in each child, with its command; None at the end."""
    for name in IMPORTED:
        with suppress(Exception):  # the run that needs it says what is wrong with it
            import_module(name)
    gc.freeze()  # collections in children do not visit the modules, whose memory they would copy
    child = 0
    while True:
        if select.select([place], [], [], PAUSE if child else None)[0]:
            message, files, _, _ = socket.recv_fds(place, LARGEST, 1)
            if not message:
                return None
            if not files:
                if child:
                    os.kill(child, int(message))
            elif child := os.fork():
                os.close(files[0])
            else:
                place.close()
                _become_its_own(files[0])
                command: list[str] = json.loads(message)
                return command
        if child:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                child = 0
                place.send(str(os.waitstatus_to_exitcode(status)).encode())


def _become_its_own(output: int) -> None:
    os.setsid()
    for number in (1, 2):
        os.dup2(output, number)
    os.close(output)


def main() -> None:
    """Serve the other end of the socket whose number is the argument; in a child, run its command."""
    command = serve(socket.socket(fileno=int(sys.argv[1])))
    if command is not None:
        _run(command)


def _run(command: Sequence[str]) -> None:
    """`python -m fer_core COMMAND`, without the interpreter's last collection.

    It would visit the modules and so copy their memory, which takes as long as all else in a small run.
    """
    sys.argv[1:] = command
    sys.orig_argv[1:] = ["-m", "fer_core", *command]
    try:
        runpy.run_module("fer_core", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        for thread in threading.enumerate():
            if thread is not threading.main_thread() and not thread.daemon:
                thread.join()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(end.code if isinstance(end.code, int) else bool(end.code))


if __name__ == "__main__":
    main()

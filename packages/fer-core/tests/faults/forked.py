"""Work in forked children of this process, each with its own bounds, and what became of it."""

from __future__ import annotations

import faulthandler
import gc
import os
import re
import resource
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

WORK = 5
"""Seconds of processor time that a command may take, whatever else the machine does; more where it is slow."""
PATIENCE = 120
"""Seconds of any time after which it hangs."""
MEMORY = 1 << 30
"""Bytes that it may need above those of this process."""
WIDTH, LINES = 1_500, 20
"""Characters of a line, and lines, that someone reads."""


@dataclass(frozen=True)
class Outcome:
    """How a child ended: exit status (negative: the signal), what it wrote, bytes above this process, its work."""

    folder: Path
    status: int
    out: str
    err: str
    memory: int
    seconds: float
    bound: int

    @property
    def origin(self) -> str:
        """Where in our own code an unforeseen exception comes from, as its crash file says."""
        named = re.search(r"report it with (\S+)", self.err)
        trace = Path(self.folder, named[1]).read_text("utf-8", "replace") if named else ""
        return "; ".join(re.findall(r'File ".*/fer_(\w+/.*", line \d+), in \w+', trace)[-2:])


@contextmanager
def frozen() -> Iterator[None]:
    """Objects of this process stay out of the garbage collection, which would copy their pages in every child."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def fer_run(*argv: str) -> int:
    """`fer-run ARGV` in this process; its exit status."""
    sys.argv = ["fer-run", *argv]
    (command,) = entry_points(group="console_scripts", name="fer-run")
    try:
        command.load()()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0


def fork(work: Callable[[], int], folder: Path, seconds: int = WORK) -> Outcome:
    """`work` in `folder`, in a child whose exit status it returns."""
    before = _resident()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            _enter(folder, seconds)
            status = work()
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    _, ended, usage = os.wait4(child, 0)
    out, err = (Path(folder, name).read_text("utf-8", "replace") for name in (".out", ".err"))
    memory, work_done = usage.ru_maxrss * 1024 - before, usage.ru_utime + usage.ru_stime
    return Outcome(folder, os.waitstatus_to_exitcode(ended), out, err, memory, work_done, seconds)


def fault(outcome: Outcome, named: Sequence[str]) -> str:
    """What is wrong with how a command ended, in a few words; empty where nothing is.

    Args:
        outcome: Of `fork`.
        named: Words of which the error must have one, where the command refuses what it found.
    """
    lines, errors = outcome.err.split("\n"), re.findall("^Error: .*", outcome.err, re.MULTILINE)
    said = outcome.err if outcome.status == 2 else outcome.out + outcome.err
    if outcome.status < 0:
        name = signal.Signals(-outcome.status).name
        work = f"more than {outcome.bound} s of work"
        return {"SIGXCPU": work, "SIGALRM": "hangs"}.get(name, f"killed by {name}")
    wrongs = {
        "a traceback": "Traceback" in outcome.out + outcome.err,
        f"exit status {outcome.status}": outcome.status not in (0, 1, 2),
        f"{outcome.memory >> 20} MiB above this process": outcome.memory > MEMORY,
        "long stderr": len(lines) > LINES or any(len(line) > WIDTH for line in lines),
        "control characters on stderr": any(not letter.isprintable() for letter in "".join(lines)),
        f"{len(errors)} errors": outcome.status == 2 and len(errors) != 1,
        "no file is named": outcome.status in (1, 2) and not any(word in said for word in named),
        "an answer of NaN": outcome.status == 0 and re.search(r"\bnan\b", outcome.out) is not None,
    }
    found = [words for words, wrong in wrongs.items() if wrong]
    return f"{', '.join(found)}: {_last(outcome.err)[:200]!r} {outcome.origin}" if found else ""


def _last(text: str) -> str:
    return (text.strip().splitlines() or [""])[-1]


def _enter(folder: Path, seconds: int) -> None:
    """Bounds and standard streams of its own."""
    faulthandler.disable()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(PATIENCE)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.chdir(folder)
    for number, name in enumerate((os.devnull, ".out", ".err")):
        os.dup2(os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), number)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

"""The boundary around code of plugins: what they raise becomes one line, what they print is no result."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass

from fer_core.errors import FerError, one_line

LONGEST = 500
"""Characters of an exception that are shown."""
SHOWN = 60
"""Characters of a value or of an output that are shown."""


@dataclass(frozen=True)
class Failure:
    """What is wrong with a plugin; `str()` is its report in one line.

    Attributes:
        plugin: Name of its entry point.
        distribution: Which installed it.
        version: Of the distribution.
        stage: What the plugin was doing.
        error: What happened; where the plugin works, a clause about it.
        works: Whether the plugin works nevertheless.
    """

    plugin: str
    distribution: str
    version: str
    stage: str
    error: str
    works: bool = False

    def __str__(self) -> str:
        whose = f"plugin {self.plugin} of {self.distribution} {self.version}"
        text = (
            f"{whose} works, but {self.error}" if self.works else f"{whose} failed at {self.stage}: {self.error}"
        )
        return one_line(text)


def describe(error: BaseException) -> str:
    """An exception as one line."""
    if isinstance(error, FerError):
        return str(error)
    try:
        message = " ".join(str(error).split())
    except BaseException:  # an exception of a plugin may fail at this, too
        message = "its message cannot be shown"
    text = one_line(f"{type(error).__name__}: {message}")
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def shown(value: object) -> str:
    """A short `repr` on one line, whatever the object does when it is asked for one."""
    try:
        text = " ".join(repr(value).split())
    except BaseException:
        text = f"a {type(value).__name__}"
    return one_line(text if len(text) <= SHOWN else f"{text[:SHOWN]}...")


class _Sink(io.RawIOBase):
    """Keeps what is written while it is open; what comes later, from a handler that kept it, goes to stderr."""

    def __init__(self) -> None:
        self.kept: bytearray | None = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]  # text layers write bytes
        if self.kept is not None:
            self.kept += data
        elif sys.stderr is not None:
            with suppress(OSError, ValueError):
                sys.stderr.write(bytes(data).decode("utf-8", "replace"))
        return len(data)


class Output:
    """What was printed within `output_caught`, once that has ended."""

    text = ""


@contextmanager
def output_caught() -> Iterator[Output]:
    """Within, what Python code prints on standard output is kept instead."""
    sink, found = _Sink(), Output()
    stream = io.TextIOWrapper(sink, "utf-8", "backslashreplace", write_through=True)  # type: ignore[type-var]
    try:
        with redirect_stdout(stream):
            yield found
    finally:
        found.text = bytes(sink.kept or b"").decode("utf-8", "replace").strip()
        sink.kept = None

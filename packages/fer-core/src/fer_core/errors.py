"""The error that users see, and the exit statuses of `fer-run`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from enum import IntEnum

MAX_LENGTH = 1_000
"""Characters of a message."""
SHOWN = 20
"""Names that a message lists."""


class ExitStatus(IntEnum):
    """What `fer-run` ends with; `docs/reference/outcomes.md` explains each."""

    DONE = 0
    INCOMPLETE = 1
    USER_ERROR = 2
    FAULT = 70
    """An unforeseen exception: a bug in fer or in a plugin. `EX_SOFTWARE` of sysexits.h."""
    SIGNAL = 128
    """Plus the number of the signal that stopped the command, as shells count: 130 for Ctrl-C, 143 for SIGTERM."""


class FerError(Exception):
    """A mistake that the user can correct: one line saying what, why and what to do.

    Args:
        message: *What, why, what to do*, in one line.
        details: Lines printed below it where a picture helps more than a sentence (an expected folder tree).

    Attributes:
        exit_status: What `fer-run` ends with.
    """

    exit_status: int = ExitStatus.USER_ERROR

    def __init__(self, message: str, details: str = "") -> None:
        # It may quote the content of a file, line breaks and control characters included.
        super().__init__(_short(one_line(" ".join(message.splitlines()))))
        self.details = details


class IncompleteError(FerError):
    """Some of several inputs failed, after a line for each; the rest was done. Exit status 1."""

    exit_status = ExitStatus.INCOMPLETE


class InterruptedRunError(FerError):
    """A signal stopped something that can be resumed.

    Args:
        message: Which signal came, and how to resume.
        number: The signal's number.
    """

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.number = number
        self.exit_status = ExitStatus.SIGNAL + number


@contextmanager
def within(place: str) -> Iterator[None]:
    """Errors begin with `place`, such as a file, unless they name it."""
    try:
        yield
    except FerError as error:
        if type(error) is not FerError or place in str(error):
            raise
        raise FerError(f"{place}: {error}", error.details) from error


def one_line(text: str) -> str:
    """`text` with everything escaped that would break a line or a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _short(text: str) -> str:
    """Long text without its middle; the end says what to do."""
    return text if len(text) <= MAX_LENGTH else f"{text[: MAX_LENGTH // 2]} ... {text[-MAX_LENGTH // 2 :]}"


def nearest(name: str, known: Iterable[str]) -> str:
    """Text that offers the names nearest to `name`, or the first of them when none is near."""
    names = sorted(set(known))
    if not names:
        return "none is installed"
    near = get_close_matches(name, names, n=3, cutoff=0.6)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"known: {listed(names, SHOWN)}"


def listed(names: Sequence[str], most: int) -> str:
    """Names in a row; of more than `most` the first, and how many others there are."""
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest

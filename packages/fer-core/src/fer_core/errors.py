"""The one error that users are meant to see."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class FerError(Exception):
    """A mistake that the user can correct: one line saying what, why and what to do. Exit status 2.

    Args:
        message: *What, why, what to do*, in one line.
        details: Lines printed below it where a picture helps more than a sentence (an expected folder tree).

    Attributes:
        exit_status: What `fer-run` ends with.
    """

    exit_status = 2

    def __init__(self, message: str, details: str = "") -> None:
        # What a file holds may be quoted in it, line ends and control characters included.
        super().__init__(one_line(" ".join(message.splitlines())))
        self.details = details


class InterruptedRunError(FerError):
    """A signal ended what can be gone on with.

    Args:
        message: What came, and how to go on.
        exit_status: 128 plus the signal's number, as shells count.
    """

    def __init__(self, message: str, exit_status: int) -> None:
        super().__init__(message)
        self.exit_status = exit_status


def one_line(text: str) -> str:
    """`text` with everything escaped that would break a line or a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def nearest(name: str, known: Iterable[str]) -> str:
    """Text that offers the names nearest to `name`, or all of them when none is near."""
    names = sorted(set(known))
    if not names:
        return "none is installed"
    near = get_close_matches(name, names, n=3, cutoff=0.6)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"known: {', '.join(names)}"

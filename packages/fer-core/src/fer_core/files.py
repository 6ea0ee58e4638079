"""Atomic writing of files: to a temporary name, flushed, then renamed; and their sha256."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

from fer_core.errors import FerError


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file, then put it in the place of `path`.

    Raises:
        FerError: The file cannot be written (full disk, no permission); an earlier `path` is untouched.
    """
    with written_atomically(path) as partial:
        write(partial)


@contextlib.contextmanager
def written_atomically(path: Path) -> Iterator[Path]:
    """Gives the temporary file, which takes the place of `path` at the end. Raises as `write_atomically`."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        with partial.open("rb") as handle:
            os.fsync(handle.fileno())
        partial.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):  # a folder that turned read-only refuses that, too
            partial.unlink()
        reason = _os_reason(error)
        if reason is None or isinstance(error, FerError):
            raise
        advice = "free some space or correct the permissions (an earlier file is untouched)"
        if isinstance(error, FileNotFoundError):
            advice = "create its folder first"
        raise FerError(f"cannot write {path}: {reason}; {advice}") from error


@contextlib.contextmanager
def table_written_atomically(path: Path) -> Iterator[TextIO]:
    """Gives a file for rows of text, which takes the place of `path` at the end. Raises as `write_atomically`."""
    with (
        written_atomically(path) as partial,
        partial.open("w", newline="", encoding="utf-8", errors="backslashreplace") as handle,
    ):
        yield handle


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    write_atomically(path, lambda partial: _write_utf8(partial, text))


def make_folder(path: Path) -> None:
    """Make a folder and those above it. Raises FerError where that fails."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FerError(f"cannot make the folder {path} ({error.strerror}): name another one") from error


def free_path(path: Path, taken: set[Path]) -> Path:
    """`path`, with a number where it is taken, as for `a.png` and `a.bmp` whose copies end alike; then it is."""
    free, number = path, 1
    while free in taken:
        number += 1
        free = path.with_stem(f"{path.stem}-{number}")
    taken.add(free)
    return free


def sha256(path: Path) -> str:
    """sha256 of a file's bytes, as hexadecimal text."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_sha256(path: Path, expected: str | None, advice: str) -> str:
    """The sha256 of a file. Raises FerError, with `advice`, if it is not the one that is expected; None: any."""
    found = sha256(path)
    if expected is not None and found != expected:
        raise FerError(f"{path} has the sha256 {found[:12]}..., not {expected[:12]}...: {advice}")
    return found


def _write_utf8(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", errors="backslashreplace")  # ids may be file names of any bytes


def as_stored(text: str) -> str:
    """Text as files hold it: an id may be a file name of any bytes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _os_reason(error: BaseException) -> str | None:
    """The operating system's message, even if a library wrapped it in an exception of its own."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    text = str(error)
    # Messages of torch's writer, by the place where writing failed.
    if any(mark in text for mark in ("file write failed", "unexpected pos", "iostream error")):
        return "No space left on device"
    return text if any(mark in text for mark in ("No space left", "os error", "Permission denied")) else None

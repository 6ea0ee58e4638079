"""How a command ends: with an exit status and, if it failed, one line on stderr that says why."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from fer_core.cli.crash import describe_crash
from fer_core.errors import ExitStatus, FerError

DEBUG, STRICT = "FER_DEBUG", "FER_STRICT"
FULL = (errno.ENOSPC, errno.EDQUOT)
SIGPIPE = 13
"""Missing from the module `signal` on Windows."""


@contextmanager
def outcome(may_exit: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Turn an exception of a command into its line on stderr and the exit status of `ExitStatus`.

    With `FER_DEBUG=1` or `FER_STRICT=1` an unforeseen exception is raised as it is.

    Args:
        may_exit: Whether the command may raise `SystemExit`; if not, that is an unforeseen exception.

    Raises:
        click.exceptions.Exit: With the status, which click ends the process with.
    """
    try:
        yield
        _flush()
    except click.exceptions.Exit:
        raise
    except FerError as error:
        raise click.exceptions.Exit(_end_by_user(error)) from error
    except click.ClickException as error:
        error.show()
        raise click.exceptions.Exit(ExitStatus.USER_ERROR) from error
    except (KeyboardInterrupt, click.Abort) as error:
        _say("Interrupted")
        raise click.exceptions.Exit(ExitStatus.SIGNAL + signal.SIGINT) from error
    except BaseException as error:
        if isinstance(error, BrokenPipeError) and _reader_has_gone():
            _drop_output()
            raise click.exceptions.Exit(ExitStatus.SIGNAL + SIGPIPE) from error
        if isinstance(error, OSError) and error.errno in FULL:
            _drop_output()
            raise click.exceptions.Exit(_end_by_user(_full(error))) from error
        if _raises() or (isinstance(error, SystemExit) and may_exit()):
            raise
        _say(f"Error: {describe_crash(error)}")
        raise click.exceptions.Exit(ExitStatus.FAULT) from error


@contextmanager
def threads_watched() -> Iterator[None]:
    """Within, an unforeseen exception that ends a thread is reported as the command's own would be.

    Raises:
        click.exceptions.Exit: At the end, where there was one.
    """
    failed: list[BaseException] = []
    before = threading.excepthook

    def tell(thread: threading.ExceptHookArgs) -> None:
        error = thread.exc_value
        if error is None or isinstance(error, SystemExit) or _raises():
            before(thread)
            return
        failed.append(error)
        _say(f"Error: {describe_crash(error)}")

    threading.excepthook = tell
    try:
        yield
    finally:
        threading.excepthook = before
    if failed:
        raise click.exceptions.Exit(ExitStatus.FAULT)


def _end_by_user(error: FerError) -> int:
    if os.environ.get(DEBUG) == "1":
        _say("".join(traceback.format_exception(error)))
    _say(f"Error: {error}")
    if error.details:
        _say(error.details)
    return error.exit_status


def _full(error: OSError) -> FerError:
    """A full disk where no file is named, such as under standard output or under temporary files."""
    where = error.filename or "the output or a temporary file"
    return FerError(f"cannot write {where}: {error.strerror}; free some space there")


def _reader_has_gone() -> bool:
    """Whether nobody reads standard output any more, as when it is piped into `head`."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
    except (AttributeError, OSError, ValueError):  # no such call on Windows; no descriptor
        return sys.platform == "win32"
    return bool(poll.poll(0))


def _drop_output() -> None:
    """Discard the buffer of standard output that cannot be written and would fail again at exit."""
    try:
        _flush()
    except OSError:
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _flush() -> None:
    if sys.stdout:  # there is none where its descriptor was closed
        sys.stdout.flush()


def _raises() -> bool:
    return "1" in (os.environ.get(DEBUG), os.environ.get(STRICT))


def _say(line: str) -> None:
    with contextlib.suppress(OSError):  # stderr may have lost its reader, too
        click.echo(line, err=True)

"""Progress of long work, on stderr."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Callable, Iterator

from fer_core.logging import BARS

logger = logging.getLogger(__name__)
PATIENCE = 2.0
"""Seconds of work before anything is shown."""


def shows_bars() -> bool:
    """Whether bars are drawn: on a terminal, unless the logger `fer_core.progress` has a level above INFO."""
    return sys.stderr.isatty() and BARS.level <= logging.INFO


@contextlib.contextmanager
def show_progress(text: str, total: int | None, wanted: bool = True) -> Iterator[Callable[[int], None]]:
    """Gives a function to call with the number of items done, of `total` ones if that is known.

    Work that takes long shows a bar on a terminal and logs one line elsewhere; short work shows nothing.
    """
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        update: Callable[[int], None] | None = None

        def advance(done: int) -> None:
            nonlocal update
            if update is not None:
                update(done)
            elif wanted and time.monotonic() - began > PATIENCE:
                update = stack.enter_context(_bar(text, total) if shows_bars() else _line(text))

        yield advance


@contextlib.contextmanager
def _bar(text: str, total: int | None) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn, Task
    from rich.text import Text

    class Speed(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:,.1f}/s" if task.speed else "", style="progress.data.speed")

    columns = (*Progress.get_default_columns(), Speed())
    # Standard output stays where it is: what is printed there may be for a file.
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False) as bar:
        task = bar.add_task(text, total=total)
        yield lambda done: bar.update(task, completed=done)


@contextlib.contextmanager
def _line(text: str) -> Iterator[Callable[[int], None]]:
    logger.info(f"{text} ...")
    yield lambda done: None

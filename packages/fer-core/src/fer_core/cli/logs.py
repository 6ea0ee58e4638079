"""What `fer_core` logs, on the terminal: standard error, so that standard output holds results alone."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial

import click

from fer_core.logging import BARS, CORE, LineFormatter
from fer_core.workflows.processes import launched_rank

VERBOSITY = "fer_core.verbosity"
"""Key of click's `meta` with the option that was given."""
LEVELS = {"--quiet": logging.WARNING, "--verbose": logging.DEBUG}
OPTIONS = (("--quiet", "-q", "Show warnings and results alone."), ("--verbose", "-v", "Show details, too."))


class TerminalHandler(logging.Handler):
    """Writes lines to the current standard error, which a progress bar may have replaced."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a line; training continues when standard error is closed."""
        with suppress(OSError):
            click.echo(self.format(record), err=True)


@contextmanager
def logs_on_terminal() -> Iterator[None]:
    """Within, records from INFO on are shown; of several processes that torchrun started, those of the first."""
    handler = TerminalHandler() if launched_rank() == 0 else logging.NullHandler()
    handler.setFormatter(LineFormatter())
    level, propagate, bars = CORE.level, CORE.propagate, BARS.level
    CORE.addHandler(handler)
    CORE.setLevel(logging.INFO)
    CORE.propagate = False  # a library that configures logging would show every line a second time
    try:
        yield
    finally:
        CORE.removeHandler(handler)
        CORE.setLevel(level)
        CORE.propagate = propagate
        BARS.setLevel(bars)


def add_verbosity(command: click.Command) -> None:
    """Give a command and those below it `--quiet` and `--verbose`, unless they use these names themselves."""
    taken = {name for parameter in command.params for name in parameter.opts}
    for name, short, text in OPTIONS:
        if name not in taken:
            names = [free for free in (short, name) if free not in taken]
            choose = partial(_choose, name)
            command.params.append(
                click.Option(names, is_flag=True, expose_value=False, callback=choose, help=text)
            )
    if isinstance(command, click.Group):
        for below in command.commands.values():
            add_verbosity(below)


def _choose(name: str, context: click.Context, parameter: click.Parameter, given: bool) -> None:
    if not given:
        return
    if context.meta.setdefault(VERBOSITY, name) != name:
        raise click.UsageError("--quiet and --verbose exclude each other: give one of them")
    CORE.setLevel(LEVELS[name])
    BARS.setLevel(LEVELS[name])

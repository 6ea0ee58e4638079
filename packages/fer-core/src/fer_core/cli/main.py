"""The group of all commands. It knows their names and help lines, and imports the one that runs."""

from __future__ import annotations

import io
import os
import sys
import traceback
from typing import IO, Any

import click

from fer_core import distributed, registry
from fer_core.errors import FerError


class UserError(click.ClickException):
    """A `FerError` as click shows it: one line on stderr, its details below, and its exit status."""

    def __init__(self, error: FerError) -> None:
        super().__init__(str(error))
        self.error = error
        self.exit_code = error.exit_status  # type: ignore[misc] # click reads it from the instance

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the error; `FER_DEBUG=1` puts the traceback before it."""
        if os.environ.get("FER_DEBUG") == "1":
            click.echo("".join(traceback.format_exception(self.error)), file=file, err=True)
        super().show(file)
        if self.error.details:
            click.echo(self.error.details, file=file, err=True)


class LazyGroup(click.Group):
    """Commands by name, from the hook `fer_commands`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the commands, the core's first."""
        return list(registry.names("commands"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        """Import one command."""
        command: click.Command = registry.factory("commands", cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help lines without importing a command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, _help_line(name)) for name in self.list_commands(ctx)])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that the arguments name."""
        if isinstance(sys.stdout, io.TextIOWrapper):  # file names may hold bytes that are no text
            sys.stdout.reconfigure(errors="backslashreplace")
        try:
            result = super().invoke(ctx)
        except FerError as error:
            raise UserError(error) from error
        except KeyboardInterrupt:
            click.echo("Interrupted", err=True)
            ctx.exit(130)
        distributed.stop()
        return result


def _help_line(name: str) -> str:
    try:
        line: str = registry.find("commands", name).help
    except FerError:  # running it explains the clash
        return "(claimed by several plugins)"
    return line


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fer-core")
def main() -> None:
    """Train, evaluate and explain facial expression recognition models."""

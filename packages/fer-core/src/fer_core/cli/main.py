"""The group of all commands. It knows their names and help lines, and imports the one that runs."""

from __future__ import annotations

import io
import sys
from typing import Any

import click

from fer_core import registry
from fer_core.cli.logs import add_verbosity, logs_on_terminal
from fer_core.cli.outcome import outcome, threads_watched
from fer_core.errors import FerError
from fer_core.plugins import load_plugins
from fer_core.workflows.processes import stop


class LazyGroup(click.Group):
    """Commands by name, from the hook `fer_commands`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the commands, the core's first."""
        return list(registry.names("commands"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        """Import one command."""
        command = registry.factory("commands", cmd_name)
        if not isinstance(command, click.Command):
            home = registry.find("commands", cmd_name).ref
            raise FerError(f"command {cmd_name!r} is {home}, which is not a click command: correct its plugin")
        add_verbosity(command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help lines without importing a command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, _help_line(name)) for name in self.list_commands(ctx)])

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run a command line, which logs on the terminal."""
        with logs_on_terminal():
            return super().main(*args, **extra)

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Read the arguments before the command, `--help` among them."""
        with outcome():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> None:
        """Run the command that the arguments name."""
        if isinstance(sys.stdout, io.TextIOWrapper):  # file names may hold bytes that are not text
            sys.stdout.reconfigure(errors="backslashreplace")
        with outcome(lambda: _is_of_a_plugin(ctx.invoked_subcommand)), threads_watched():
            super().invoke(ctx)
            stop()


def _is_of_a_plugin(command: str | None) -> bool:
    """Whether a command is not the core's: then it may end by `sys.exit`."""
    claims = load_plugins().claims("commands", command or "")
    return any(claim.plugin.distribution != "fer-core" for claim in claims)


def _help_line(name: str) -> str:
    line: str = registry.find("commands", name).help
    return line


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fer-core")
def main() -> None:
    """Train, evaluate and explain facial expression recognition models."""


add_verbosity(main)

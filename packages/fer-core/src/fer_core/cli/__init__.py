"""The command `fer-run`: one file for each command, imported when it runs."""

from fer_core.cli.main import main

__all__ = ["main"]

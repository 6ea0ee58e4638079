"""Tables on standard output; imported where one is printed, since rich takes its time."""

from __future__ import annotations

import errno

from rich.console import Console


class TableConsole(Console):
    """rich's console, except that `fer_core.cli.outcome` handles a closed pipe."""

    def on_broken_pipe(self) -> None:
        """Raise BrokenPipeError, where rich would end the process."""
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

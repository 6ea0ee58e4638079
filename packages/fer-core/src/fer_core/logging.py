"""The logger of the package, and how its lines look."""

from __future__ import annotations

import logging

CORE = logging.getLogger("fer_core")
"""The parent of the loggers of all modules."""
BARS = logging.getLogger("fer_core.progress")
"""Its level decides on progress bars (`fer_core.data.progress`)."""


class LineFormatter(logging.Formatter):
    """The message alone, with the level before it from WARNING on."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line = super().format(record)
        return line if record.levelno < logging.WARNING else f"{record.levelname.lower():<9}{line}"

"""The log of a run: what `fer_core` logs while a run lasts is kept in the run's `log.txt`."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from types import TracebackType

from fer_core import distributed
from fer_core.logging import CORE, LineFormatter
from fer_core.runs import folder as run_folder


class RunLog(logging.Handler):
    """Context of a run, within which what `fer_core` logs, from INFO on, goes to `log.txt`.

    Lines wait until `open` names the run's folder, and for as long as the disk refuses them. All other handlers
    get what they would get without the run: the level that is lowered for `log.txt` is lowered for nobody else. Of
    several processes of a run only the main one logs, and worker processes write nothing into `log.txt`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(LineFormatter())
        self.lines: list[str] = []
        self.file: Path | None = None
        self._process = os.getpid()
        self._level = CORE.level
        self._others = logging.Logger(CORE.name)

    def __enter__(self) -> RunLog:
        """Replace the other handlers, which receive records from here."""
        self._level = CORE.level
        self._others.setLevel(CORE.getEffectiveLevel())
        self._others.parent, self._others.propagate = CORE.parent, CORE.propagate
        self._others.handlers = CORE.handlers
        CORE.handlers, CORE.propagate = [self], False
        CORE.setLevel(min(self._others.level, logging.INFO))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the logger as it was; handlers that were added within stay."""
        added = [handler for handler in CORE.handlers if handler is not self]
        CORE.handlers, CORE.propagate = [*self._others.handlers, *added], self._others.propagate
        CORE.setLevel(self._level)
        self.close()

    def open(self, folder: Path) -> None:
        """Write the lines so far to `log.txt` in `folder`, after what is there, and continue there."""
        self.file = folder / run_folder.LOG
        self._write()

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a record to the other handlers, and keep its line."""
        if not distributed.is_main():
            return
        if self._is_heard(record):
            self._others.callHandlers(record)
        if os.getpid() == self._process:
            self.lines.append(self.format(record))
            if self.file is not None:
                self._write()

    def _is_heard(self, record: logging.LogRecord) -> bool:
        """Whether the record passes the levels that were set before the run."""
        logger: logging.Logger | None = logging.getLogger(record.name)
        while logger is not None and logger is not CORE:
            if logger.level:  # a level of its own, which the record has passed
                return True
            logger = logger.parent
        return record.levelno >= self._others.level

    def _write(self) -> None:
        assert self.file is not None
        if not self.lines:
            return
        text = "".join(line + "\n" for line in self.lines)
        try:
            with self.file.open("ab") as handle:
                handle.write(text.encode("utf-8", "backslashreplace"))
        except OSError:  # the lines wait; where the run itself cannot be saved, that is an error
            return
        self.lines = []

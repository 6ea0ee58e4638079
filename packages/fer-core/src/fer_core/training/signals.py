"""Ctrl-C and SIGTERM (sent by schedulers on preemption): a run ends where it can be resumed, and says how."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NoReturn

from fer_core import distributed
from fer_core.errors import InterruptedRunError

HEEDED = (signal.SIGINT, signal.SIGTERM)


class Signals:
    """Context of a run, within which the first signal is noted, and a second Ctrl-C ends at once.

    Attributes:
        received: The signal that came, or None.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.received: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}
        self._process = os.getpid()
        self._saved = False

    def __enter__(self) -> Signals:
        # Python delivers signals to the main thread only; in other threads the caller handles them.
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in HEEDED}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            # torchrun sends SIGTERM to all processes once one has ended: this one reports its own error first.
            waits = error is not None and number == signal.SIGTERM and distributed.launched() > 1
            signal.signal(number, signal.SIG_IGN if waits else handler)

    @contextmanager
    def all_saved(self) -> Iterator[None]:
        """Within, the run may end at any time without loss. Raises InterruptedRunError on any signal so far."""
        self._saved = True
        try:
            if self.received is not None:
                self.leave()
            yield
        finally:
            self._saved = False

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = signal.Signals(number)
        if self._saved and os.getpid() == self._process:  # a forked worker has this handler, too
            self.leave()

    def leave(self) -> NoReturn:
        """End the run, whose state was saved. Raises InterruptedRunError."""
        received = self.received or signal.SIGTERM  # without one of its own, another process was asked
        raise InterruptedRunError(
            f"{received.name} received, so the run ends here; everything is saved: resume with "
            f"fer-run train --resume {self.folder}",
            received,
        )

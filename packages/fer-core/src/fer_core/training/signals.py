"""Ctrl-C and SIGTERM, by which schedulers pre-empt: training ends at a step, and everything is saved."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NoReturn

from fer_core.errors import InterruptedRunError

HEEDED = (signal.SIGINT, signal.SIGTERM)


class Signals:
    """Context within which the first signal is noted, and a second Ctrl-C ends at once.

    Attributes:
        received: The signal that came, or None.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Signals:
        # Python hands signals to the main thread only; elsewhere they stay the caller's affair.
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in HEEDED}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = signal.Signals(number)

    def leave(self, folder: Path) -> NoReturn:
        """End the run whose state was saved in `folder`. Raises InterruptedRunError."""
        received = self.received or signal.SIGTERM  # without one of its own, another process was asked
        raise InterruptedRunError(
            f"{received.name} came, so training ends here; everything is saved: go on with "
            f"fer-run train --resume {folder}",
            128 + received,
        )

"""The hook of devices."""
# mypy: disable-error-code="empty-body"
# A hookspec is a signature and its docstring; it has no body to check.

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fer_core.hookspecs import hookspec

if TYPE_CHECKING:
    from fer_core.types import Ref


@hookspec
def fer_devices() -> Mapping[str, Ref]:
    """Devices for `--device`; `cpu`, `cuda` and `mps` are the core's own.

    Returns:
        Name -> subclass of `fer_core.plugin.Device`, or its import reference.

    Factory:
        `(name: str, index: int | None) -> Device`, which the base class has; the number is that in `cuda:1`. A
        subclass sets `torch_name`, the device type of torch, and overrides what differs from any device of torch:
        why it cannot be used here (`missing`), `autocast` and `scaler`, placement and pinned memory, streams and
        events, `room` for data in its memory, `synchronize` and `peak_memory`, switches for determinism, the
        `backend` of several processes. What it does not override works on any device. `priority` puts it into the
        order of `--device auto`, which begins with the highest: cuda 20, mps 10, cpu 0.

        A run records the name and is resumed on that device; where it is missing, no other one is taken in its
        place.

    Called:
        The hook once in a process, when plugins are loaded. The reference is imported when a run asks for that
        device or for `auto`, and by `fer-run doctor`.
    """
